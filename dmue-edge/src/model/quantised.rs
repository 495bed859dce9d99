//! Which 8-bit nodes are believed: their scales, zero points, weights and biases are constants whose types and
//! lengths belong together, so that nothing is left for tract to guess.

use std::collections::{HashMap, HashSet};

use super::proto::pb::{GraphProto, NodeProto, TensorProto, tensor_proto::DataType};
use super::{ModelError, proto};

const CONVOLUTION: &str = "QLinearConv";
/// Place of the bias among the inputs of a convolution.
const BIAS: usize = 8;

type Tensors<'a> = HashMap<&'a str, &'a TensorProto>;

/// Whether some of the graph is computed in 8 bits.
pub(super) fn present(graph: &GraphProto) -> bool {
    graph.node.iter().any(|node| node.op_type == CONVOLUTION)
}

/// Names of what is read as bias of a quantised convolution and as nothing else.
pub(super) fn biases(graph: &GraphProto) -> HashSet<&str> {
    let (mut biases, mut others) = (HashSet::new(), HashSet::new());
    for node in &graph.node {
        for (place, name) in node.input.iter().enumerate() {
            let is_bias = node.op_type == CONVOLUTION && place == BIAS;
            let names = if is_bias { &mut biases } else { &mut others };
            names.insert(name.as_str());
        }
    }
    biases.difference(&others).copied().collect()
}

/// Checks every node that quantises, computes with quantised values or makes floats of them.
///
/// # Errors
/// [`ModelError::Unsupported`] names the node and the input that cannot be true.
pub(super) fn check(graph: &GraphProto) -> Result<(), ModelError> {
    let tensors: Tensors<'_> =
        graph.initializer.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
    graph.node.iter().try_for_each(|node| {
        let inputs = Inputs { node, tensors: &tensors };
        match node.op_type.as_str() {
            CONVOLUTION => inputs.convolution(),
            "QuantizeLinear" | "DequantizeLinear" => inputs.linear(),
            _ => Ok(()),
        }
    })
}

/// The inputs of one node.
struct Inputs<'a> {
    node: &'a NodeProto,
    tensors: &'a Tensors<'a>,
}

impl Inputs<'_> {
    /// x, scale, zero point.
    fn linear(&self) -> Result<(), ModelError> {
        self.count(3..=3, "it takes a value, its scale and its zero point")?;
        self.scale(1, 1)?;
        self.zero_point(2, 1)
    }

    /// x, its scale and zero point; weight, its scales and zero points; scale and zero point of the output; bias.
    fn convolution(&self) -> Result<(), ModelError> {
        self.count(8..=9, "it takes three values, each with scale and zero point, and a bias")?;
        let channels = self.channels()?;
        for (scale, channels) in [(1, 1), (4, channels), (6, 1)] {
            self.scale(scale, channels)?;
            self.zero_point(scale + 1, channels)?;
        }
        if self.node.input.len() <= BIAS {
            return Ok(());
        }
        let fits = self.constant(BIAS).is_some_and(|bias| {
            bias.data_type == DataType::Int32 as i32 && bias.dims == [channels as i64]
        });
        self.hold(fits, BIAS, "a bias is one int32 constant for each channel of the output")
    }

    /// Channels of the output.
    fn channels(&self) -> Result<usize, ModelError> {
        let weight = self.constant(3).filter(|weight| is_8_bit(weight) && weight.dims.len() == 4);
        self.hold(weight.is_some(), 3, "a weight is a constant of 8-bit integers [O, I, H, W]")?;
        Ok(weight.map_or(0, |weight| weight.dims[0] as usize))
    }

    fn scale(&self, place: usize, channels: usize) -> Result<(), ModelError> {
        let fits = self.constant(place).is_some_and(|scale| {
            scale.data_type == DataType::Float as i32
                && is_for(scale, channels)
                && proto::floats(scale).all(|scale| scale > 0.0)
        });
        self.hold(
            fits,
            place,
            "a scale is a constant float above 0, a weight may have one for each channel",
        )
    }

    fn zero_point(&self, place: usize, channels: usize) -> Result<(), ModelError> {
        let zero = self.constant(place);
        let fits = zero.is_some_and(|zero| is_8_bit(zero) && is_for(zero, channels));
        self.hold(fits, place, "a zero point is a constant 8-bit integer for each scale")
    }

    fn constant(&self, place: usize) -> Option<&TensorProto> {
        self.tensors.get(self.node.input.get(place)?.as_str()).copied()
    }

    fn count(
        &self,
        allowed: std::ops::RangeInclusive<usize>,
        reason: &'static str,
    ) -> Result<(), ModelError> {
        let found = self.node.input.len();
        if allowed.contains(&found) {
            return Ok(());
        }
        let part = format!("the number of inputs, {found}, of node `{}`", self.node.name);
        Err(ModelError::Unsupported { part, reason })
    }

    fn hold(&self, fits: bool, place: usize, reason: &'static str) -> Result<(), ModelError> {
        if fits {
            return Ok(());
        }
        let input = self.node.input.get(place).map_or("", String::as_str);
        let part = format!("`{input}`, input {place} of node `{}`,", self.node.name);
        Err(ModelError::Unsupported { part, reason })
    }
}

fn is_8_bit(tensor: &TensorProto) -> bool {
    [DataType::Int8, DataType::Uint8].map(|integer| integer as i32).contains(&tensor.data_type)
}

/// One value, or one for each channel.
fn is_for(tensor: &TensorProto, channels: usize) -> bool {
    match tensor.dims[..] {
        [] | [1] => true,
        [length] => length == channels as i64,
        _ => false,
    }
}
