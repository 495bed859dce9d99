//! A tiny seeded model for the tests: one convolution, pooled, and two linear layers.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::graph::assemble;
use super::manifest::FORMAT_VERSION;
use super::proto::{Subgraph, attribute_int, attribute_ints, node, pb, tensor_f32};
use super::{Colour, FACE, FEATURE, InputSpec, LOGITS, Manifest, TrainingInfo};
use crate::abstain::Threshold;
use crate::face::align::FaceTemplate;
use crate::uncertainty::{PairwiseUncertainty, Prior, TwoLayerHead, alpha_inputs, score_inputs};

/// Channels of the tiny network's convolution.
const WIDTH: usize = 4;

/// `count` values, uniform in -1..1.
pub(crate) fn values(generator: &mut ChaCha8Rng, count: usize) -> Vec<f32> {
    (0..count).map(|_| generator.random_range(-1.0..1.0)).collect()
}

/// A generator of the same values on every machine.
pub(crate) fn generator(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// A manifest of `classes` made-up names.
pub(crate) fn manifest(classes: usize, size: u32, colour: Colour) -> Manifest {
    let channels = colour.channels() as usize;
    Manifest {
        format_version: FORMAT_VERSION,
        name: "tiny".into(),
        classes: (0..classes).map(|class| format!("class {class}")).collect(),
        input: InputSpec {
            size,
            colour,
            mean: vec![0.5; channels],
            std: vec![0.25; channels],
            template: FaceTemplate {
                right_eye: [0.3, 0.35],
                left_eye: [0.7, 0.35],
                nose: [0.5, 0.6],
                mouth: [0.5, 0.8],
            },
        },
        training: TrainingInfo {
            data: "none".into(),
            licence: "Apache-2.0 OR MIT".into(),
            command: "none".into(),
            commit: "none".into(),
            seed: u64::MAX,
            metrics: [("accuracy".to_string(), 12.5)].into(),
        },
        temperature: 1.25,
        abstention: vec![threshold(0.05, 0.9), threshold(0.1, 0.7)],
    }
}

fn threshold(error_rate: f64, threshold: f64) -> Threshold {
    Threshold { error_rate, threshold, coverage: 0.5, confidence: 0.95, count: 100 }
}

/// Random class means (their rows shorter than 1), prior weight and heads.
pub(crate) fn uncertainty(
    seed: u64,
    classes: usize,
    feature_size: usize,
    hidden: usize,
) -> PairwiseUncertainty {
    let mut g = generator(seed);
    let shorten = 1.0 / (feature_size as f32).sqrt();
    let means = values(&mut g, classes * feature_size).iter().map(|v| v * shorten).collect();
    let prior = Prior::new(means, g.random_range(1.0..50.0), classes, feature_size).unwrap();
    let mut head = |inputs: usize, hidden: usize| {
        // Log-probabilities can be large: undamped they would saturate the score.
        let w1 = values(&mut g, hidden * inputs).iter().map(|v| v / inputs as f32).collect();
        let b1 = values(&mut g, hidden);
        TwoLayerHead::new(inputs, w1, b1, 0.25, values(&mut g, hidden), 0.1).unwrap()
    };
    // Both formats: every other seed's head takes the feature.
    let of_feature = if seed.is_multiple_of(2) { feature_size } else { 0 };
    let score_head = head(score_inputs(classes) + of_feature, hidden);
    let alpha_head = head(alpha_inputs(classes), classes);
    PairwiseUncertainty::new(prior, score_head, alpha_head).unwrap()
}

/// `face` -> convolution 3x3 stride 2, ReLU, average, linear -> `feature` `[N, D]` -> linear ->
/// `logits` `[N, C]`.
pub(crate) fn network(seed: u64, channels: usize, classes: usize, feature: usize) -> Subgraph {
    let mut g = generator(seed);
    let mut constant =
        |name: &str, dims: &[usize]| tensor_f32(name, dims, &values(&mut g, dims.iter().product()));
    let initialisers = vec![
        constant("conv.weight", &[WIDTH, channels, 3, 3]),
        constant("conv.bias", &[WIDTH]),
        constant("body.weight", &[feature, WIDTH]),
        constant("head.weight", &[classes, feature]),
    ];
    let strides = vec![attribute_ints("strides", &[2, 2]), attribute_ints("pads", &[1, 1, 1, 1])];
    let transposed = || vec![attribute_int("transB", 1)];
    let nodes = vec![
        node("Conv", &[FACE, "conv.weight", "conv.bias"], &["conv"], strides),
        node("Relu", &["conv"], &["relu"], vec![]),
        node("GlobalAveragePool", &["relu"], &["pool"], vec![]),
        node("Flatten", &["pool"], &["flat"], vec![]),
        node("Gemm", &["flat", "body.weight"], &[FEATURE], transposed()),
        node("Gemm", &[FEATURE, "head.weight"], &[LOGITS], transposed()),
    ];
    Subgraph { nodes, initialisers }
}

/// The whole tiny model, input 12x12, D = 6, H = 5.
pub(crate) fn model(seed: u64, classes: usize, colour: Colour) -> pb::ModelProto {
    let network = network(seed, colour.channels() as usize, classes, 6);
    assemble(network, &uncertainty(seed, classes, 6, 5), &manifest(classes, 12, colour)).unwrap()
}
