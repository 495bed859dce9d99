//! Which convolutions of a graph are worth 8 bits, and why the others are left.

use std::collections::HashMap;

use dmue_edge::model::proto::floats;
use dmue_edge::model::proto::pb::{
    AttributeProto, GraphProto, NodeProto, TensorProto, tensor_proto::DataType,
};

use super::weights::MOST_PRODUCTS;

/// Channels of an input from which on it is quantised: an image's gray values or colours stay as they are.
const LEAST_CHANNELS: usize = 8;

type Tensors<'a> = HashMap<&'a str, &'a TensorProto>;

/// A convolution that is quantised, and what its sums go through.
#[derive(Clone, Debug, PartialEq)]
pub struct Convolution {
    /// Index of its node.
    pub node: usize,
    /// Index of a ReLU that nothing else comes between: the least stored value, 0, does its work.
    pub relu: Option<usize>,
    /// Name of the tensor that it reads.
    pub input: String,
    /// Name of the tensor that it makes, behind the ReLU.
    pub output: String,
    /// Of the weight: channels of the output and of the input, height, width.
    pub dims: [usize; 4],
    /// Row major.
    pub weight: Vec<f32>,
    /// One value for each channel of the output.
    pub bias: Vec<f32>,
}

/// A convolution that is left as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Left {
    /// Its node's name.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// The convolutions of `graph` in its order: those to quantise, those to leave.
pub fn convolutions(graph: &GraphProto) -> (Vec<Convolution>, Vec<Left>) {
    let tensors: Tensors<'_> =
        graph.initializer.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
    let (mut taken, mut left) = (vec![], vec![]);
    for (index, node) in graph.node.iter().enumerate().filter(|(_, node)| node.op_type == "Conv") {
        match examine(graph, index, &tensors) {
            Ok(convolution) => taken.push(convolution),
            Err(reason) => left.push(Left { name: node.name.clone(), reason }),
        }
    }
    (taken, left)
}

fn examine(graph: &GraphProto, index: usize, tensors: &Tensors<'_>) -> Result<Convolution, String> {
    let node = &graph.node[index];
    let (Some(input), [output]) = (node.input.first(), &node.output[..]) else {
        return Err("it has no input, or not one output".into());
    };
    let (dims, weight) = weight(node, tensors)?;
    let bias = bias(node, dims[0], tensors)?;
    check_layout(node)?;
    let relu = relu_behind(graph, output);
    let last = relu.and_then(|relu| graph.node[relu].output.first()).unwrap_or(output);
    let (input, output) = (input.clone(), last.clone());
    Ok(Convolution { node: index, relu, input, output, dims, weight, bias })
}

fn weight(node: &NodeProto, tensors: &Tensors<'_>) -> Result<([usize; 4], Vec<f32>), String> {
    let weight = constant(node, 1, tensors).ok_or("its weight is not constant")?;
    let dims: Vec<usize> = weight.dims.iter().map(|&dim| dim as usize).collect();
    let dims: [usize; 4] = dims.try_into().map_err(|_| "it is not about height and width")?;
    let [_, channels, height, width] = dims;
    let products = channels * height * width;
    if attribute(node, "group").is_some_and(|group| group.i != 1) {
        Err("it works in groups".into())
    } else if channels < LEAST_CHANNELS {
        Err(format!("its input has {channels} channels, below {LEAST_CHANNELS}"))
    } else if products > MOST_PRODUCTS {
        Err(format!("{products} products are too many for a sum of 32 bits"))
    } else {
        Ok((dims, floats(weight).collect()))
    }
}

/// Zeros where there is none.
fn bias(node: &NodeProto, channels: usize, tensors: &Tensors<'_>) -> Result<Vec<f32>, String> {
    if node.input.len() < 3 {
        return Ok(vec![0.; channels]);
    }
    let bias = constant(node, 2, tensors).map(|bias| floats(bias).collect());
    let bias = bias.filter(|bias: &Vec<f32>| bias.len() == channels);
    bias.ok_or_else(|| "its bias is no constant of one value for each channel".into())
}

fn check_layout(node: &NodeProto) -> Result<(), String> {
    match attribute(node, "auto_pad") {
        Some(rule) if !matches!(rule.s.as_slice(), b"" | b"NOTSET") => {
            Err("auto_pad says its padding".into())
        }
        _ => Ok(()),
    }
}

fn attribute<'a>(node: &'a NodeProto, name: &str) -> Option<&'a AttributeProto> {
    node.attribute.iter().find(|attribute| attribute.name == name)
}

fn constant<'a>(node: &NodeProto, place: usize, tensors: &Tensors<'a>) -> Option<&'a TensorProto> {
    let tensor = tensors.get(node.input.get(place)?.as_str())?;
    (tensor.data_type == DataType::Float as i32).then_some(tensor)
}

/// The ReLU that alone reads `tensor`.
fn relu_behind(graph: &GraphProto, tensor: &str) -> Option<usize> {
    let reads = |node: &NodeProto| node.input.iter().any(|name| name == tensor);
    let mut readers = (0..graph.node.len()).filter(|&index| reads(&graph.node[index]));
    let only = readers.next().filter(|_| readers.next().is_none())?;
    let wanted = graph.output.iter().any(|output| output.name == tensor);
    (graph.node[only].op_type == "Relu" && !wanted).then_some(only)
}
