//! Which graphs are believed: checks that need no runtime, made before tract sees the file.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use super::proto::pb::{AttributeProto, GraphProto, ModelProto, NodeProto, ValueInfoProto};
use super::proto::{float_shape, is_default_domain, operator_set};
use super::tensors::{self, MOST_DIMENSIONS};
use super::{FACE, InputSpec, ModelError, OUTPUTS, quantised};

/// Operators that a model file may use: the backbones and the uncertainty are made of them. None of them
/// makes a large tensor from a small one, so a small file cannot ask for much memory.
pub const OPERATORS: [&str; 42] = [
    "Add",
    "ArgMax",
    "AveragePool",
    "BatchNormalization",
    "Clip",
    "Concat",
    "Conv",
    "DequantizeLinear",
    "Div",
    "Flatten",
    "Gemm",
    "GlobalAveragePool",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "InstanceNormalization",
    "LeakyRelu",
    "LogSoftmax",
    "MatMul",
    "Max",
    "MaxPool",
    "Min",
    "Mul",
    "OneHot",
    "PRelu",
    "QLinearConv",
    "QuantizeLinear",
    "ReduceL2",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceSum",
    "Relu",
    "Reshape",
    "Sigmoid",
    "Softmax",
    "Split",
    "Squeeze",
    "Sub",
    "TopK",
    "Transpose",
    "Unsqueeze",
];

/// Largest number that an integer attribute may be: paddings, strides and the like are far below
/// it.
const LARGEST_ATTRIBUTE: u64 = 65_536;

/// Nodes that a graph may have: the deepest of the paper's backbones has some 200, and tract's time to
/// prepare a graph grows faster than its nodes.
const MOST_NODES: usize = 4096;

/// Inputs, outputs and values of an attribute that a node may have.
const MOST_OF_A_NODE: usize = 256;

/// The graph of `model`, its operator set and its weights checked.
pub(super) fn graph(model: &ModelProto) -> Result<&GraphProto, ModelError> {
    let Some(graph) = &model.graph else {
        return Err(ModelError::NotOnnx { reason: "it holds no graph".into() });
    };
    check_operator_set(model)?;
    check_parts(model, graph)?;
    if graph.node.len() > MOST_NODES {
        let part = format!("a graph of {} nodes", graph.node.len());
        return unsupported(part, "no backbone has more than 4096");
    }
    check_names(graph)?;
    let biases = quantised::biases(graph);
    for tensor in &graph.initializer {
        tensors::check(tensor, biases.contains(tensor.name.as_str()))?;
    }
    Ok(graph)
}

/// Checks the wiring from the one input `face` to the four outputs: every value is made once and
/// before it is read, every node depends on the face.
pub(super) fn check_wiring(graph: &GraphProto, input: &InputSpec) -> Result<(), ModelError> {
    check_input(graph, input)?;
    check_nodes(graph)?;
    quantised::check(graph)
}

fn check_operator_set(model: &ModelProto) -> Result<(), ModelError> {
    match operator_set(model) {
        17 | 18 => Ok(()),
        found => Err(ModelError::OperatorSet { found }),
    }
}

fn check_parts(model: &ModelProto, graph: &GraphProto) -> Result<(), ModelError> {
    let parts = [
        ("functions", model.functions.is_empty()),
        ("training_info", model.training_info.is_empty()),
        ("sparse_initializer", graph.sparse_initializer.is_empty()),
    ];
    match parts.iter().find(|(_, absent)| !absent) {
        Some((part, _)) => unsupported((*part).into(), "a model is plain nodes and dense weights"),
        None => Ok(()),
    }
}

/// Names are quoted in messages: those that would move a terminal's cursor, or pass for another line,
/// are refused.
fn check_names(graph: &GraphProto) -> Result<(), ModelError> {
    let of_nodes = graph.node.iter().flat_map(|node| {
        let own = [&node.name, &node.op_type, &node.domain];
        let attributes = node.attribute.iter().map(|attribute| &attribute.name);
        own.into_iter().chain(&node.input).chain(&node.output).chain(attributes)
    });
    let of_values = graph.input.iter().chain(&graph.output).map(|value| &value.name);
    let of_tensors = graph.initializer.iter().map(|tensor| &tensor.name);
    match of_nodes.chain(of_values).chain(of_tensors).find(|name| name.contains(char::is_control)) {
        Some(name) => unsupported(format!("the name {name:?}"), "it holds a control character"),
        None => Ok(()),
    }
}

fn check_input(graph: &GraphProto, input: &InputSpec) -> Result<(), ModelError> {
    let [channels, height, width] = input.shape();
    let fits = match graph.input.as_slice() {
        [only] if only.name == FACE => {
            let shape = float_shape(only);
            shape.is_some_and(|shape| match shape[..] {
                [batch, c, h, w] => {
                    matches!(batch, None | Some(1))
                        && [c, h, w] == [channels, height, width].map(|dim| Some(dim as i64))
                }
                _ => false,
            })
        }
        _ => false,
    };
    if fits {
        return Ok(());
    }
    let found = graph.input.iter().map(describe).collect::<Vec<_>>().join(", ");
    let expected = format!("`{FACE}` float [N, {channels}, {height}, {width}]");
    Err(ModelError::Input { found: if found.is_empty() { "none".into() } else { found }, expected })
}

fn describe(value: &ValueInfoProto) -> String {
    let shape = float_shape(value).map(|dims| {
        let dims = dims.iter().map(|dim| dim.map_or("N".into(), |dim| dim.to_string()));
        format!("float [{}]", dims.collect::<Vec<_>>().join(", "))
    });
    format!("`{}` {}", value.name, shape.as_deref().unwrap_or("of another type"))
}

fn check_nodes(graph: &GraphProto) -> Result<(), ModelError> {
    let mut constants = HashSet::new();
    for tensor in &graph.initializer {
        if tensor.name == FACE || !constants.insert(tensor.name.as_str()) {
            return Err(ModelError::DuplicateName { name: tensor.name.clone() });
        }
    }
    let mut from_face = HashSet::from([FACE]);
    for node in &graph.node {
        check_node(node)?;
        check_inputs(node, &constants, &from_face)?;
        for output in node.output.iter().filter(|name| !name.is_empty()) {
            if constants.contains(output.as_str()) || !from_face.insert(output) {
                return Err(ModelError::DuplicateName { name: output.clone() });
            }
        }
    }
    check_outputs(graph, &from_face)
}

fn check_node(node: &NodeProto) -> Result<(), ModelError> {
    if !is_default_domain(&node.domain) || !OPERATORS.contains(&node.op_type.as_str()) {
        let part = format!("operator `{}` of node `{}`", node.op_type, node.name);
        return unsupported(part, "no backbone is made of it");
    }
    if node.input.len().max(node.output.len()) > MOST_OF_A_NODE {
        let part = format!("the number of inputs or outputs of node `{}`", node.name);
        return unsupported(part, "256 are the most");
    }
    for attribute in &node.attribute {
        let part = || format!("attribute `{}` of node `{}`", attribute.name, node.name);
        if holds_graph_or_tensor(attribute) {
            return unsupported(part(), "weights are named initialisers and graphs do not nest");
        }
        let values = [attribute.ints.len(), attribute.floats.len(), attribute.strings.len()];
        if values.iter().any(|&count| count > MOST_OF_A_NODE) {
            return unsupported(part(), "256 values are the most");
        }
        let mut integers = std::iter::once(attribute.i).chain(attribute.ints.iter().copied());
        if integers.clone().any(|value| value.unsigned_abs() > LARGEST_ATTRIBUTE) {
            return unsupported(part(), "it is absurdly large");
        }
        let axes = axes_of(&node.op_type);
        if is_about_axes(&attribute.name) && !integers.all(|axis| axes.contains(&axis)) {
            return unsupported(part(), "no tensor that it can be about has such an axis");
        }
    }
    Ok(())
}

fn is_about_axes(attribute: &str) -> bool {
    matches!(attribute, "axis" | "axes" | "perm")
}

/// Axes that a node may be about. For OneHot tract counts from an axis below -1 of a vector for ever.
fn axes_of(operator: &str) -> RangeInclusive<i64> {
    let most = MOST_DIMENSIONS as i64;
    if operator == "OneHot" { -1..=most } else { -most..=most }
}

fn holds_graph_or_tensor(attribute: &AttributeProto) -> bool {
    attribute.t.is_some()
        || attribute.g.is_some()
        || attribute.sparse_tensor.is_some()
        || !attribute.tensors.is_empty()
        || !attribute.graphs.is_empty()
        || !attribute.sparse_tensors.is_empty()
}

fn check_inputs(
    node: &NodeProto,
    constants: &HashSet<&str>,
    from_face: &HashSet<&str>,
) -> Result<(), ModelError> {
    // An empty name stands for an optional input that is left out.
    let mut inputs = node.input.iter().map(String::as_str).filter(|name| !name.is_empty());
    let undefined = |name: &&str| !constants.contains(name) && !from_face.contains(name);
    if let Some(value) = inputs.clone().find(undefined) {
        return Err(ModelError::Undefined { node: node.name.clone(), value: value.into() });
    }
    if !inputs.any(|name| from_face.contains(name)) {
        let part = format!("node `{}`", node.name);
        return unsupported(
            part,
            "it depends on constants only: write its result as an initialiser",
        );
    }
    Ok(())
}

fn check_outputs(graph: &GraphProto, from_face: &HashSet<&str>) -> Result<(), ModelError> {
    let found: Vec<String> = graph.output.iter().map(|value| value.name.clone()).collect();
    for name in OUTPUTS {
        if !found.iter().any(|other| other == name) {
            return Err(ModelError::MissingOutput { name, found });
        }
    }
    match found.into_iter().find(|name| !from_face.contains(name.as_str())) {
        Some(value) => Err(ModelError::Undefined { node: "output".into(), value }),
        None => Ok(()),
    }
}

fn unsupported<T>(part: String, reason: &'static str) -> Result<T, ModelError> {
    Err(ModelError::Unsupported { part, reason })
}
