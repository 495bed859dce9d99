//! Rewrites a graph such that its convolutions compute in 8 bits.

use std::collections::{HashMap, HashSet};

use dmue_edge::model::proto::pb::{GraphProto, NodeProto, TensorProto};
use dmue_edge::model::proto::{node, tensor_f32, tensor_i8, tensor_i32, tensor_u8};

use super::ranges::Quantisation;
use super::select::Convolution;
use super::weights;

/// Puts a `QLinearConv` in place of each of `convolutions`; what they read and make is stored as `quantisations`
/// says. One hands its integers to the next. Floats are made of them where anything else reads them, and
/// for both sides of an addition.
pub fn rewrite(
    graph: &mut GraphProto,
    convolutions: &[Convolution],
    quantisations: &HashMap<String, Quantisation>,
) {
    let old = std::mem::take(&mut graph.node);
    let relus: HashSet<usize> = convolutions.iter().filter_map(|taken| taken.relu).collect();
    let taken: HashMap<usize, &Convolution> =
        convolutions.iter().map(|taken| (taken.node, taken)).collect();
    let is_left = |index: &usize| !relus.contains(index) && !taken.contains_key(index);
    let left = (0..old.len()).filter(is_left).flat_map(|index| &old[index].input);
    let outputs = graph.output.iter().map(|output| &output.name);
    let mut writer = Writer {
        quantisations,
        made: convolutions.iter().map(|taken| taken.output.as_str()).collect(),
        floats: left.chain(outputs).cloned().collect(),
        added: read(old.iter().filter(|node| node.op_type == "Add")),
        nodes: vec![],
        constants: vec![],
    };
    for (index, node) in old.iter().enumerate().filter(|(index, _)| !relus.contains(index)) {
        match taken.get(&index) {
            Some(taken) => writer.convolution(node, taken),
            None => writer.other(node),
        }
    }
    graph.node = writer.nodes;
    graph.initializer.extend(writer.constants);
    drop_unread(graph, &old);
}

/// Drops the constants that only `before` read.
fn drop_unread(graph: &mut GraphProto, before: &[NodeProto]) {
    let (before, now) = (read(before), read(&graph.node));
    graph.initializer.retain(|tensor| now.contains(&tensor.name) || !before.contains(&tensor.name));
}

fn read<'a>(nodes: impl IntoIterator<Item = &'a NodeProto>) -> HashSet<String> {
    nodes.into_iter().flat_map(|node| node.input.iter().cloned()).collect()
}

/// Names of the integers that a tensor is stored as, and of their scale and zero point.
fn stored(tensor: &str) -> [String; 3] {
    ["quantised", "quantised_scale", "quantised_zero_point"].map(|part| format!("{tensor}.{part}"))
}

/// Name of the floats that are made of them, where the tensor itself stays, too.
fn rounded(tensor: &str) -> String {
    format!("{tensor}.rounded")
}

struct Writer<'a> {
    quantisations: &'a HashMap<String, Quantisation>,
    /// Names of what convolutions make as integers.
    made: HashSet<&'a str>,
    /// Names of what is read as floats.
    floats: HashSet<String>,
    /// Names of what goes into additions.
    added: HashSet<String>,
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
}

impl Writer<'_> {
    fn convolution(&mut self, before: &NodeProto, taken: &Convolution) {
        let weights = self.weights(taken, self.quantisations[&taken.input].scale);
        let output = self.declare(&taken.output);
        let [weights, bias] = [weights[..3].to_vec(), weights[3..].to_vec()];
        let inputs = [stored(&taken.input).to_vec(), weights, output[1..].to_vec(), bias].concat();
        self.push("QLinearConv", &inputs, &output[0]);
        if let Some(node) = self.nodes.last_mut() {
            node.attribute.clone_from(&before.attribute);
        }
        if self.floats.contains(&taken.output) {
            self.push("DequantizeLinear", &output, &taken.output);
        }
    }

    /// Stays as it is; what it makes is quantised once, for all convolutions that read it.
    fn other(&mut self, before: &NodeProto) {
        let mut node = before.clone();
        if node.op_type == "Add" {
            let beside = node.input.iter_mut().filter(|input| self.is_stored_beside(input));
            beside.for_each(|input| *input = rounded(input));
        }
        self.nodes.push(node);
        for output in &before.output {
            if self.is_stored_beside(output) {
                self.store(output);
            }
        }
    }

    fn store(&mut self, tensor: &str) {
        let names = self.declare(tensor);
        self.push("QuantizeLinear", &[tensor, &names[1], &names[2]], &names[0]);
        if self.added.contains(tensor) {
            self.push("DequantizeLinear", &names, &rounded(tensor));
        }
    }

    /// Whether a tensor is there as floats and as integers made of them.
    fn is_stored_beside(&self, tensor: &str) -> bool {
        self.quantisations.contains_key(tensor) && !self.made.contains(tensor)
    }

    /// Adds scale and zero point of a tensor and gives [`stored`].
    fn declare(&mut self, tensor: &str) -> [String; 3] {
        let Quantisation { scale, zero_point } = self.quantisations[tensor];
        let names = stored(tensor);
        self.constants.push(tensor_f32(&names[1], &[], &[scale]));
        self.constants.push(tensor_u8(&names[2], &[], &[zero_point]));
        names
    }

    /// Adds a convolution's integers and gives their names: weight, scales, zero points, bias.
    fn weights(&mut self, taken: &Convolution, input_scale: f32) -> [String; 4] {
        let integers = weights::quantise(&taken.weight, &taken.bias, input_scale);
        let names = ["weight", "weight_scale", "weight_zero_point", "bias"]
            .map(|part| format!("{}.quantised_{part}", taken.output));
        let channels = [taken.bias.len()];
        self.constants.extend([
            tensor_i8(&names[0], &taken.dims, &integers.values),
            tensor_f32(&names[1], &channels, &integers.scales),
            tensor_i8(&names[2], &channels, &vec![0; taken.bias.len()]),
            tensor_i32(&names[3], &channels, &integers.biases),
        ]);
        names
    }

    fn push(&mut self, operator: &str, inputs: &[impl AsRef<str>], output: &str) {
        let inputs: Vec<&str> = inputs.iter().map(AsRef::as_ref).collect();
        self.nodes.push(node(operator, &inputs, &[output], vec![]));
    }
}
