//! A valid model of a few kilobytes, the same on every machine.

use dmue_edge::face::align::FaceTemplate;
use dmue_edge::model::graph::assemble;
use dmue_edge::model::proto::{Subgraph, attribute_int, attribute_ints, node, pb, tensor_f32};
use dmue_edge::model::{Colour, FACE, FEATURE, InputSpec, LOGITS, Manifest, TrainingInfo};
use dmue_edge::uncertainty::{
    PairwiseUncertainty, Prior, TwoLayerHead, alpha_inputs, score_inputs,
};

const CLASSES: usize = 3;
const FEATURE_SIZE: usize = 4;
/// Channels of its convolution.
const WIDTH: usize = 2;
/// Side of its input in pixels.
const SIDE: u32 = 8;

/// `face` `[N, 1, 8, 8]` -> convolution, batch normalisation, ReLU, maximum, average -> `feature`
/// `[N, 4]` -> `logits` `[N, 3]`, with the uncertainty behind them.
///
/// # Panics
/// Only if the library's own functions refuse it, which is a finding.
pub fn tiny_model() -> pb::ModelProto {
    assemble(network(), &uncertainty(), &manifest()).expect("a valid model")
}

/// `count` values in -0.5..0.5 that differ.
fn values(count: usize, seed: usize) -> Vec<f32> {
    (0..count).map(|i| ((i + seed) * 37 % 64) as f32 / 64.0 - 0.5).collect()
}

fn network() -> Subgraph {
    let constant = |name: &str, dims: &[usize]| {
        tensor_f32(name, dims, &values(dims.iter().product(), name.len()))
    };
    let ones = |name: &str| tensor_f32(name, &[WIDTH], &[1.0; WIDTH]);
    let initialisers = vec![
        constant("conv.weight", &[WIDTH, 1, 3, 3]),
        constant("conv.bias", &[WIDTH]),
        ones("norm.scale"),
        constant("norm.bias", &[WIDTH]),
        constant("norm.mean", &[WIDTH]),
        ones("norm.variance"),
        constant("body.weight", &[FEATURE_SIZE, WIDTH]),
        constant("head.weight", &[CLASSES, FEATURE_SIZE]),
    ];
    let strides = vec![attribute_ints("strides", &[2, 2]), attribute_ints("pads", &[1, 1, 1, 1])];
    let windows = vec![attribute_ints("kernel_shape", &[2, 2]), attribute_ints("strides", &[2, 2])];
    let transposed = || vec![attribute_int("transB", 1)];
    let norm = ["conv", "norm.scale", "norm.bias", "norm.mean", "norm.variance"];
    let nodes = vec![
        node("Conv", &[FACE, "conv.weight", "conv.bias"], &["conv"], strides),
        node("BatchNormalization", &norm, &["norm"], vec![]),
        node("Relu", &["norm"], &["relu"], vec![]),
        node("MaxPool", &["relu"], &["maximum"], windows),
        node("GlobalAveragePool", &["maximum"], &["pool"], vec![]),
        node("Flatten", &["pool"], &["flat"], vec![]),
        node("Gemm", &["flat", "body.weight"], &[FEATURE], transposed()),
        node("Gemm", &[FEATURE, "head.weight"], &[LOGITS], transposed()),
    ];
    Subgraph { nodes, initialisers }
}

fn uncertainty() -> PairwiseUncertainty {
    let means = values(CLASSES * FEATURE_SIZE, 5);
    let prior = Prior::new(means, 2.0, CLASSES, FEATURE_SIZE).expect("valid class means");
    let head = |inputs: usize, hidden: usize| {
        let (w1, b1) = (values(hidden * inputs, 1), values(hidden, 2));
        TwoLayerHead::new(inputs, w1, b1, 0.25, values(hidden, 3), 0.1).expect("a valid head")
    };
    let (score, alpha) = (head(score_inputs(CLASSES), 2), head(alpha_inputs(CLASSES), CLASSES));
    PairwiseUncertainty::new(prior, score, alpha).expect("matching parts")
}

fn manifest() -> Manifest {
    Manifest {
        format_version: 1,
        name: "tiny".into(),
        classes: ["a", "b", "c"].map(String::from).into(),
        input: InputSpec {
            size: SIDE,
            colour: Colour::Gray,
            mean: vec![0.5],
            std: vec![0.25],
            template: FaceTemplate::FERPLUS,
        },
        training: TrainingInfo {
            data: "none".into(),
            licence: "Apache-2.0 OR MIT".into(),
            command: "none".into(),
            commit: "none".into(),
            seed: 0,
            metrics: Default::default(),
        },
        temperature: 1.0,
        abstention: vec![],
    }
}
