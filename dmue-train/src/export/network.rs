//! The target branch as ONNX nodes, batch normalisation folded into the convolutions.

use std::collections::BTreeMap;

use dmue_edge::model::proto::pb::{AttributeProto, TensorProto};
use dmue_edge::model::proto::{
    Subgraph, attribute_int, attribute_ints, node, tensor_f32, tensor_i64,
};
use dmue_edge::model::{FACE, FEATURE, LOGITS};
use tch::{Kind, Tensor};

use super::values;
use crate::model::dmue::Dmue;
use crate::model::network::EPSILON;
use crate::model::spec::{
    Activation, Backbone, Block, Convolution, Join, Layer, Norm, Pool, Reduction, Shape, Shuffle,
};

/// The bounds of ReLU6, constants of the whole graph.
const RELU6: [(&str, f32); 2] = [("relu6.low", 0.), ("relu6.high", 6.)];

/// Nodes from `face` `[N,ch,S,S]` to `feature` `[N,D]` and `logits` `[N,C]`; the variables' names are the
/// nodes' names.
pub fn subgraph(
    backbone: &Backbone,
    variables: &BTreeMap<String, Tensor>,
    model: &Dmue,
) -> Subgraph {
    let mut writer = Writer { variables, graph: Subgraph::default(), last_copy: false };
    let face = Value { name: FACE.into(), shape: backbone.input };
    let shared = writer.layers(&backbone.stem, face);
    writer.last_copy = true; // the target branch
    let maps = writer.layers(&backbone.branch, shared);
    writer.classifier(&maps.name, model);
    writer.graph
}

struct Writer<'a> {
    variables: &'a BTreeMap<String, Tensor>,
    graph: Subgraph,
    /// Variables hold several copies and the last one, the target branch, is written.
    last_copy: bool,
}

/// A value of the graph, `[N, channels, size, size]`.
#[derive(Clone)]
struct Value {
    name: String,
    shape: Shape,
}

impl Writer<'_> {
    /// Gives the last value.
    fn layers(&mut self, layers: &[Layer], input: Value) -> Value {
        layers.iter().fold(input, |input, layer| {
            let shape = layer.output(input.shape);
            let name = match layer {
                Layer::Convolution(spec) => self.convolution(spec, &input.name),
                Layer::Block(block) => self.block(block, input),
                Layer::Pool(pool) => self.pool(pool, &input.name),
                Layer::Shuffle(shuffle) => self.shuffle(shuffle, &input),
            };
            Value { name, shape }
        })
    }

    fn block(&mut self, block: &Block, input: Value) -> String {
        let body = self.layers(&block.body, input.clone()).name;
        let beside = self.layers(&block.shortcut, input).name;
        match block.join {
            Join::Add => self.push("Add", &[&body, &beside], &block.name, vec![]),
            Join::Concat => self.concat(&[&beside, &body], &block.name),
        }
        self.activation(block.activation, &block.name)
    }

    fn convolution(&mut self, spec: &Convolution, input: &str) -> String {
        let (weight, bias) = self.folded(spec);
        let weight = self.constant(&spec.name, "weight", &weight);
        let bias = self.constant(&spec.name, "bias", &bias);
        let attributes = vec![
            attribute_ints("kernel_shape", &[spec.kernel; 2]),
            attribute_ints("strides", &[spec.stride; 2]),
            attribute_ints("pads", &[spec.padding(); 4]),
            attribute_int("group", spec.groups),
        ];
        self.push("Conv", &[input, &weight, &bias], &spec.name, attributes);
        let normed = match spec.norm {
            Norm::Batch => spec.name.clone(),
            Norm::HalfInstance => self.half_instance(spec),
        };
        self.activation(spec.activation, &normed)
    }

    /// Instance normalisation of the first half; the second is batch normalised already.
    fn half_instance(&mut self, spec: &Convolution) -> String {
        let named = |part: &str| format!("{}.{part}", spec.name);
        let second = spec.batch_normalised();
        let lengths = self.integers(&named("halves.lengths"), &[spec.output - second, second]);
        let halves = [named("first"), named("second")];
        let outputs = [halves[0].as_str(), halves[1].as_str()];
        let axis = vec![attribute_int("axis", 1)];
        self.graph.nodes.push(node("Split", &[&spec.name, &lengths], &outputs, axis));
        let [scale, shift] = ["instance_norm_weight", "instance_norm_bias"]
            .map(|part| self.constant(&spec.name, part, &self.variable(spec, part)));
        let instance = named("instance");
        self.push("InstanceNormalization", &[outputs[0], &scale, &shift], &instance, vec![]);
        let joined = named("halves");
        self.concat(&[&instance, outputs[1]], &joined);
        joined
    }

    /// Weight `[output, input / groups, k, k]` and bias `[output]` of convolution and batch
    /// normalisation in one, folded in f64; channels that are instance normalised keep their weight.
    fn folded(&self, spec: &Convolution) -> (Tensor, Tensor) {
        let part = |name: &str| self.variable(spec, name);
        let weight = part("weight");
        let factor = part("norm_weight") / (part("running_var") + EPSILON).sqrt();
        let bias = part("norm_bias") - part("running_mean") * &factor;
        let plain = [spec.output - spec.batch_normalised()];
        let factor =
            Tensor::cat(&[factor.new_ones(plain, (Kind::Double, factor.device())), factor], 0);
        let bias = Tensor::cat(&[bias.new_zeros(plain, (Kind::Double, bias.device())), bias], 0);
        (weight * factor.view([-1, 1, 1, 1]), bias)
    }

    /// The rows in f64 that the written copy owns of a convolution's variable.
    fn variable(&self, spec: &Convolution, part: &str) -> Tensor {
        let all = self.variables[&format!("{}.{part}", spec.name)].detach();
        let rows = match part {
            "weight" => spec.output,
            "instance_norm_weight" | "instance_norm_bias" => spec.output - spec.batch_normalised(),
            _ => spec.batch_normalised(),
        };
        let start = if self.last_copy { all.size()[0] - rows } else { 0 };
        all.narrow(0, start, rows).to_kind(Kind::Double)
    }

    fn pool(&mut self, pool: &Pool, input: &str) -> String {
        let mut attributes = vec![
            attribute_ints("kernel_shape", &[pool.kernel; 2]),
            attribute_ints("strides", &[pool.stride; 2]),
            attribute_ints("pads", &[pool.padding; 4]),
        ];
        let operator = match pool.reduction {
            Reduction::Max => "MaxPool",
            Reduction::Average => {
                attributes.push(attribute_int("count_include_pad", 1));
                "AveragePool"
            }
        };
        self.push(operator, &[input], &pool.name, attributes);
        pool.name.clone()
    }

    fn shuffle(&mut self, shuffle: &Shuffle, input: &Value) -> String {
        let Shape { channels, size } = input.shape;
        let named = |part: &str| format!("{}.{part}", shuffle.name);
        let (groups, each) = (shuffle.groups, channels / shuffle.groups);
        // 0 keeps the batch dimension.
        let split = self.integers(&named("split_shape"), &[0, groups, each, size, size]);
        let whole = self.integers(&named("shape"), &[0, channels, size, size]);
        let (grouped, transposed) = (named("grouped"), named("transposed"));
        self.push("Reshape", &[&input.name, &split], &grouped, vec![]);
        let order = vec![attribute_ints("perm", &[0, 2, 1, 3, 4])];
        self.push("Transpose", &[&grouped], &transposed, order);
        self.push("Reshape", &[&transposed, &whole], &shuffle.name, vec![]);
        shuffle.name.clone()
    }

    fn concat(&mut self, inputs: &[&str], output: &str) {
        self.push("Concat", inputs, output, vec![attribute_int("axis", 1)]);
    }

    fn activation(&mut self, activation: Activation, input: &str) -> String {
        match activation {
            Activation::None => input.into(),
            Activation::Relu => {
                let output = format!("{input}.relu");
                self.push("Relu", &[input], &output, vec![]);
                output
            }
            Activation::Relu6 => {
                let output = format!("{input}.relu6");
                RELU6.iter().for_each(|(name, value)| self.add(tensor_f32(name, &[], &[*value])));
                self.push("Clip", &[input, RELU6[0].0, RELU6[1].0], &output, vec![]);
                output
            }
        }
    }

    fn classifier(&mut self, maps: &str, model: &Dmue) {
        self.push("GlobalAveragePool", &[maps], "pool", vec![]);
        self.push("Flatten", &["pool"], FEATURE, vec![attribute_int("axis", 1)]);
        let classifier = model.classifier();
        let weight = self.constant("classifier", "weight", &classifier.weight);
        let bias = self.constant("classifier", "bias", &classifier.bias);
        let transposed = vec![attribute_int("transB", 1)];
        self.push("Gemm", &[FEATURE, &weight, &bias], LOGITS, transposed);
    }

    /// Adds `name.part` and gives that name.
    fn constant(&mut self, name: &str, part: &str, tensor: &Tensor) -> String {
        let name = format!("{name}.{part}");
        let dims: Vec<usize> = tensor.size().iter().map(|&dim| dim as usize).collect();
        self.add(tensor_f32(&name, &dims, &values(tensor)));
        name
    }

    fn integers(&mut self, name: &str, values: &[i64]) -> String {
        self.add(tensor_i64(name, &[values.len()], values));
        name.into()
    }

    /// Adds a constant unless one of its name is there.
    fn add(&mut self, tensor: TensorProto) {
        if self.graph.initialisers.iter().all(|known| known.name != tensor.name) {
            self.graph.initialisers.push(tensor);
        }
    }

    fn push(
        &mut self,
        operator: &str,
        inputs: &[&str],
        output: &str,
        attributes: Vec<AttributeProto>,
    ) {
        self.graph.nodes.push(node(operator, inputs, &[output], attributes));
    }
}
