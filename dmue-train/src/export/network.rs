//! The target branch as ONNX nodes, normalisation folded into the convolutions.

use std::collections::BTreeMap;

use dmue_edge::model::proto::{Subgraph, attribute_int, attribute_ints, node, tensor_f32};
use dmue_edge::model::{FACE, FEATURE, LOGITS};
use tch::{Kind, Tensor};

use super::values;
use crate::model::dmue::Dmue;
use crate::model::network::EPSILON;
use crate::model::spec::{Activation, Backbone, Convolution, Layer};

/// Nodes from `face` `[N,ch,S,S]` to `feature` `[N,D]` and `logits` `[N,C]`; the variables' names are the
/// nodes' names.
pub fn subgraph(
    backbone: &Backbone,
    variables: &BTreeMap<String, Tensor>,
    model: &Dmue,
) -> Subgraph {
    let mut writer = Writer { variables, graph: Subgraph::default(), copy: 0 };
    let shared = writer.layers(&backbone.stem, FACE.into());
    writer.copy = model.auxiliary_branches(); // the target branch is the last copy
    let maps = writer.layers(&backbone.branch, shared);
    writer.classifier(&maps, model);
    writer.graph
}

struct Writer<'a> {
    variables: &'a BTreeMap<String, Tensor>,
    graph: Subgraph,
    /// Which of the stacked copies is written.
    copy: i64,
}

impl Writer<'_> {
    /// Returns the name of the last value.
    fn layers(&mut self, layers: &[Layer], input: String) -> String {
        layers.iter().fold(input, |input, layer| match layer {
            Layer::Convolution(convolution) => self.convolution(convolution, &input),
            Layer::Residual(block) => {
                let body = self.layers(&block.body, input.clone());
                let added = match &block.shortcut {
                    Some(shortcut) => self.convolution(shortcut, &input),
                    None => input,
                };
                self.push("Add", &[&body, &added], &block.name, vec![]);
                self.relu(&block.name)
            }
        })
    }

    fn convolution(&mut self, spec: &Convolution, input: &str) -> String {
        let (weight, bias) = self.folded(spec);
        let dims: Vec<usize> = weight.size().iter().map(|&dim| dim as usize).collect();
        let names = [format!("{}.weight", spec.name), format!("{}.bias", spec.name)];
        self.graph.initialisers.push(tensor_f32(&names[0], &dims, &values(&weight)));
        self.graph.initialisers.push(tensor_f32(&names[1], &dims[..1], &values(&bias)));
        let attributes = vec![
            attribute_ints("kernel_shape", &[spec.kernel; 2]),
            attribute_ints("strides", &[spec.stride; 2]),
            attribute_ints("pads", &[spec.padding(); 4]),
            attribute_int("group", spec.groups),
        ];
        self.push("Conv", &[input, &names[0], &names[1]], &spec.name, attributes);
        match spec.activation {
            Activation::None => spec.name.clone(),
            Activation::Relu => self.relu(&spec.name),
        }
    }

    /// Weight and bias of convolution and normalisation in one, folded in f64.
    fn folded(&self, spec: &Convolution) -> (Tensor, Tensor) {
        let part = |part: &str| {
            self.variables[&format!("{}.{part}", spec.name)]
                .detach()
                .narrow(0, self.copy * spec.output, spec.output)
                .to_kind(Kind::Double)
        };
        let factor = part("norm_weight") / (part("running_var") + EPSILON).sqrt();
        let bias = part("norm_bias") - part("running_mean") * &factor;
        (part("weight") * factor.view([-1, 1, 1, 1]), bias)
    }

    fn relu(&mut self, input: &str) -> String {
        let output = format!("{input}.relu");
        self.push("Relu", &[input], &output, vec![]);
        output
    }

    fn classifier(&mut self, maps: &str, model: &Dmue) {
        self.push("GlobalAveragePool", &[maps], "pool", vec![]);
        self.push("Flatten", &["pool"], FEATURE, vec![attribute_int("axis", 1)]);
        let classifier = model.classifier();
        let (weight, bias) = (values(&classifier.weight), values(&classifier.bias));
        let shape = [bias.len(), weight.len() / bias.len()];
        self.graph.initialisers.push(tensor_f32("classifier.weight", &shape, &weight));
        self.graph.initialisers.push(tensor_f32("classifier.bias", &shape[..1], &bias));
        let inputs = [FEATURE, "classifier.weight", "classifier.bias"];
        self.push("Gemm", &inputs, LOGITS, vec![attribute_int("transB", 1)]);
    }

    fn push(
        &mut self,
        operator: &str,
        inputs: &[&str],
        output: &str,
        attributes: Vec<dmue_edge::model::proto::pb::AttributeProto>,
    ) {
        self.graph.nodes.push(node(operator, inputs, &[output], attributes));
    }
}
