//! How much a network may ask for: refused by its shapes, before anything of that size is allocated.

use tract_core::internal::{TypedFact, TypedModel, TypedNode};
use tract_core::ops::cnn::{Conv, MaxPool, PoolSpec, SumPool};

use super::ModelError;

/// Values that a network's wires may hold for one face, weights included: 512 MiB of floats. The
/// largest of the paper's backbones has half of it.
const MOST_VALUES: u64 = 1 << 27;

/// Values that one node may make, or look at through its windows (kernel size times input channels
/// times positions): 128 MiB of floats. A 7x7 stem on an RGB crop of 512 pixels looks at 10 million.
const MOST_VALUES_OF_A_NODE: u64 = 1 << 25;

/// Values that all windows together may look at: the paper's backbones look at a fifth of it.
const MOST_VALUES_IN_WINDOWS: u64 = 1 << 28;

/// Refuses networks that would exhaust memory or time.
///
/// # Errors
/// [`ModelError::Activations`] or [`ModelError::Node`].
pub(super) fn check(model: &TypedModel) -> Result<(), ModelError> {
    model.nodes().iter().try_for_each(check_node)?;
    let facts = model.nodes().iter().flat_map(|node| &node.outputs);
    check_sum(facts.map(|output| volume(&output.fact)), MOST_VALUES)?;
    check_sum(model.nodes().iter().filter_map(windows), MOST_VALUES_IN_WINDOWS)
}

fn check_sum(parts: impl Iterator<Item = u64>, limit: u64) -> Result<(), ModelError> {
    let values = parts.fold(0, u64::saturating_add);
    if values > limit {
        return Err(ModelError::Activations { values, limit });
    }
    Ok(())
}

/// The weights are as large as the file: only what is computed can be larger.
fn check_node(node: &TypedNode) -> Result<(), ModelError> {
    if node.inputs.is_empty() {
        return Ok(());
    }
    let made = node.outputs.iter().map(|output| volume(&output.fact)).max().unwrap_or(0);
    let values = made.max(windows(node).unwrap_or(0));
    match values {
        0..=MOST_VALUES_OF_A_NODE => Ok(()),
        _ => {
            let (name, limit) = (node.name.clone(), MOST_VALUES_OF_A_NODE);
            Err(ModelError::Node { name, values, limit })
        }
    }
}

/// Values that a convolution or a pooling looks at, one counted as often as it is looked at.
fn windows(node: &TypedNode) -> Option<u64> {
    let convolution = node.op_as::<Conv>().map(|op| &op.pool_spec);
    let maximum = node.op_as::<MaxPool>().map(|op| &op.pool_spec);
    let average = node.op_as::<SumPool>().map(|op| &op.pool_spec);
    let PoolSpec { kernel_shape, input_channels, output_channels, .. } =
        convolution.or(maximum).or(average)?;
    let positions = volume(&node.outputs.first()?.fact) / (*output_channels as u64).max(1);
    let kernel = product(kernel_shape);
    Some(kernel.saturating_mul(*input_channels as u64).saturating_mul(positions))
}

fn volume(fact: &TypedFact) -> u64 {
    fact.shape.as_concrete().map_or(u64::MAX, product)
}

fn product(dims: &[usize]) -> u64 {
    dims.iter().fold(1, |product, &dim| product.saturating_mul(dim as u64))
}
