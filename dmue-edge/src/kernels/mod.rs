//! Kernels of our own for what networks of faces spend their time in: convolutions with their additions and
//! limits, poolings, instance normalisation. [`accelerate`] replaces everything in a typed model that follows
//! from its input through them by one operator; tract keeps the rest, and does all of it with
//! `DMUE_KERNELS=off` or [`Kernels::Tract`].
//!
//! Images lie in memory with channels side by side and a border of zeros (`image`), so that a window of any
//! size is read where it is. A convolution is a matrix product over such windows, in tiles that fill the
//! registers (`dense`, `tiling`); a depthwise one works on eight channels at a time and hands a few pixels
//! at once to the product behind it (`depthwise`); 3x3 windows on larger images go through a transform that saves
//! products (`winograd`); convolutions of bytes take four products at once (`int8`, `dots`). Shuffling channels costs nothing: the next convolution reads them where they are.
//! Parts that are put side by side are written there. Once a thread has run a plan, nothing is allocated but
//! the outputs.

mod build;
#[allow(unsafe_code, clippy::needless_range_loop, reason = "indices of registers")]
mod dense;
#[allow(unsafe_code, clippy::needless_range_loop, reason = "indices of registers")]
mod depthwise;
#[allow(unsafe_code, reason = "vector instructions")]
mod dots;
#[allow(unsafe_code, reason = "vector instructions")]
mod epilogue;
mod floats;
mod image;
#[allow(unsafe_code, reason = "vector instructions")]
mod instance_norm;
#[allow(unsafe_code, reason = "vector instructions")]
mod instructions;
#[allow(unsafe_code, clippy::needless_range_loop, reason = "indices of registers")]
mod int8;
#[allow(unsafe_code, reason = "vector instructions")]
mod lanes;
mod lower;
mod operator;
mod patterns;
mod plan;
#[allow(unsafe_code, reason = "vector instructions")]
mod pool;
mod quantised;
mod region;
mod scale;
mod shapes;
#[cfg(test)]
mod tests;
mod tiling;
#[allow(unsafe_code, clippy::needless_range_loop, reason = "indices of registers")]
mod winograd;

use std::sync::Arc;

use instructions::InstructionSet;
use operator::Operator;
use plan::Plan;
use tract_core::internal::TypedNode;
use tract_core::ops::cnn::Conv;
use tract_core::prelude::{
    IntoRunnable, TractResult, TypedModel, TypedModelPatch, TypedRunnableModel, tvec,
};

/// Who computes the networks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kernels {
    /// This crate's kernels, with the best instructions that the processor has, or those that the environment variable
    /// `DMUE_KERNELS` names.
    #[default]
    Own,
    /// tract alone: the reference that the kernels are tested against.
    Tract,
}

/// Lets our kernels do what they can of a model for a batch of one. Before tract has optimised it: that takes
/// longest on what is replaced.
///
/// # Errors
/// tract refuses the change, or `DMUE_KERNELS` has a value of no meaning.
pub(crate) fn accelerate(mut model: TypedModel, kernels: Kernels) -> TractResult<TypedModel> {
    if kernels == Kernels::Tract {
        return Ok(model);
    }
    if let Some(set) = InstructionSet::chosen()? {
        // Of bytes tract takes products faster than portable code.
        let of_bytes = |node: &TypedNode| node.op_as().is_some_and(|c: &Conv| c.q_params.is_some());
        if set == InstructionSet::PORTABLE && model.nodes().iter().any(of_bytes) {
            return Ok(model);
        }
        // What no output needs must not look like a reader.
        model.compact()?;
        replace(&mut model, set)?;
    }
    Ok(model)
}

/// From a model as it was read to one that runs, [`accelerate`]d.
///
/// # Errors
/// As [`accelerate`], or tract refuses the model.
pub(crate) fn prepare(model: TypedModel, kernels: Kernels) -> TractResult<Arc<TypedRunnableModel>> {
    accelerate(model, kernels)?.into_optimized()?.into_runnable()
}

/// Says whether there was something to replace.
fn replace(model: &mut TypedModel, set: InstructionSet) -> TractResult<bool> {
    let Some(region) = lower::find(model) else { return Ok(false) };
    let Some(plan) = Plan::of(&region, set) else { return Ok(false) };
    let outlets: Vec<_> = region.outputs.iter().map(|(outlet, _)| *outlet).collect();
    let facts = outlets.iter().map(|outlet| Ok(model.outlet_fact(*outlet)?.without_value()));
    let operator = Operator::new(plan, facts.collect::<TractResult<_>>()?);
    let mut patch = TypedModelPatch::default();
    let input = patch.tap_model(model, region.input)?;
    let made = patch.wire_node("kernels", operator, &tvec![input])?;
    for (outlet, ours) in outlets.into_iter().zip(made) {
        patch.shunt_outside(model, outlet, ours)?;
    }
    patch.apply(model)?;
    model.compact()?;
    Ok(true)
}
