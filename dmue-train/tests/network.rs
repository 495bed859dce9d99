//! Copies of a branch in one grouped convolution, the shared neck, and its folding into the head.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::collections::HashMap;

use common::difference;
use dmue_train::config::{Config, Model};
use dmue_train::model::dmue::Dmue;
use dmue_train::model::network::{EPSILON, Stack};
use dmue_train::model::spec::{
    Activation, Backbone, Block, Convolution, Join, Layer, Norm, Pool, Reduction, Shuffle,
};
use tch::{Device, Kind, Tensor, nn};

const COPIES: i64 = 4;
/// Rounding of a few hundred products in f32, summed in another order.
const ROUNDING: f64 = 2e-5;

fn convolution(
    name: &str,
    channels: [i64; 2],
    kernel: i64,
    stride: i64,
    groups: i64,
) -> Convolution {
    Convolution::new(name.into(), channels, kernel, stride).grouped(groups)
}

fn block(body: Vec<Layer>, shortcut: Vec<Layer>, join: Join) -> Layer {
    Layer::Block(Block { name: "join".into(), body, shortcut, join, activation: Activation::Relu })
}

fn residual(body: Vec<Convolution>, shortcut: Option<Convolution>) -> Layer {
    let plain = |specs: Vec<Convolution>| specs.into_iter().map(Layer::Convolution).collect();
    block(plain(body), plain(shortcut.into_iter().collect()), Join::Add)
}

fn pool(reduction: Reduction, padding: i64) -> Layer {
    Layer::Pool(Pool { name: "pool".into(), reduction, kernel: 3, stride: 2, padding })
}

fn shuffle(groups: i64) -> Layer {
    Layer::Shuffle(Shuffle { name: "shuffle".into(), groups })
}

/// What a branch may begin with and go on with, by name.
fn stacks() -> Vec<(&'static str, Vec<Layer>)> {
    let plain = |spec| Layer::Convolution(spec);
    let dense = |name, channels, stride| plain(convolution(name, channels, 3, stride, 1));
    let half =
        |name, channels| plain(convolution(name, channels, 3, 1, 1).normed(Norm::HalfInstance));
    vec![
        ("dense", vec![dense("a", [6, 4], 2), dense("b", [4, 8], 1)]),
        ("grouped first", vec![plain(convolution("a", [6, 12], 3, 1, 3))]),
        (
            "depthwise",
            vec![
                plain(convolution("a", [6, 6], 3, 2, 6).activated(Activation::Relu6)),
                plain(convolution("b", [6, 4], 1, 1, 2)),
            ],
        ),
        (
            "identity of the shared input",
            vec![residual(
                vec![convolution("a", [6, 6], 3, 1, 1), convolution("b", [6, 6], 3, 1, 2)],
                None,
            )],
        ),
        ("half of it by instance", vec![half("a", [6, 4]), half("b", [4, 7])]),
        (
            "shuffles and pools of the shared input and after",
            vec![
                shuffle(3),
                pool(Reduction::Max, 1),
                dense("a", [6, 8], 1),
                shuffle(2),
                pool(Reduction::Average, 0),
            ],
        ),
        (
            "concatenation with the pooled shared input, then with a shortcut's output",
            vec![
                block(vec![dense("a", [6, 4], 2)], vec![pool(Reduction::Average, 1)], Join::Concat),
                block(vec![shuffle(5)], vec![dense("b", [10, 3], 1)], Join::Concat),
            ],
        ),
        (
            "shortcut, then identity",
            vec![
                residual(
                    vec![convolution("a", [6, 8], 3, 2, 2), convolution("b", [8, 8], 3, 1, 1)],
                    Some(convolution("c", [6, 8], 1, 2, 1)),
                ),
                residual(vec![convolution("d", [8, 8], 3, 1, 4)], None),
            ],
        ),
    ]
}

/// Every variable drawn anew, running statistics and norms included.
fn randomise(store: &nn::VarStore) {
    tch::no_grad(|| {
        for (name, mut value) in store.variables() {
            let drawn = value.rand_like() + if name.ends_with("running_var") { 0.5 } else { -0.5 };
            value.copy_(&drawn);
        }
    });
}

/// One copy's share of the variables: its rows of every tensor.
fn sliced(all: &HashMap<String, Tensor>, name: &str, copy: i64, like: &Tensor) -> Tensor {
    all[name].narrow(0, copy * like.size()[0], like.size()[0])
}

fn check_stack(name: &str, layers: &[Layer], train: bool) {
    let input = Tensor::randn([5, 6, 9, 9], (Kind::Float, Device::Cpu));
    let together = nn::VarStore::new(Device::Cpu);
    let stack = Stack::new(&together.root(), layers, COPIES);
    randomise(&together);
    let before: HashMap<_, _> =
        together.variables().into_iter().map(|(name, value)| (name, value.copy())).collect();
    let output = tch::no_grad(|| stack.forward(&input, train));
    let after = together.variables();
    for copy in 0..COPIES {
        let alone = nn::VarStore::new(Device::Cpu);
        let single = Stack::new(&alone.root(), layers, 1);
        tch::no_grad(|| {
            for (path, mut value) in alone.variables() {
                value.copy_(&sliced(&before, &path, copy, &value));
            }
        });
        let expected = tch::no_grad(|| single.forward(&input, train));
        let channels = expected.size()[1];
        let found = output.narrow(1, copy * channels, channels);
        assert!(difference(&found, &expected) < ROUNDING, "{name}, copy {copy}, train {train}");
        if copy + 1 == COPIES && !train {
            let last = tch::no_grad(|| stack.infer_last(&input));
            assert!(difference(&last, &expected) < ROUNDING, "{name}, the last alone");
        }
        for (path, value) in alone.variables() {
            let moved = sliced(&after, &path, copy, &value);
            assert!(difference(&moved, &value) < ROUNDING, "{name}: {path} of copy {copy}");
        }
    }
    let moved = before.iter().any(|(path, value)| difference(value, &after[path]) > 0.);
    assert_eq!(moved, train, "{name}: only training moves running statistics");
}

#[test]
fn copies_in_one_stack_equal_stacks_of_their_own() {
    tch::manual_seed(1);
    for (name, layers) in stacks() {
        check_stack(name, &layers, false);
        check_stack(name, &layers, true);
    }
}

/// Seen by its values: a stack without convolutions has no variables.
#[test]
fn a_shuffle_deals_the_groups_out_in_turn() {
    let store = nn::VarStore::new(Device::Cpu);
    let stack = Stack::new(&store.root(), &[shuffle(3)], 1);
    let channels = Tensor::arange(6, (Kind::Float, Device::Cpu)).view([1, 6, 1, 1]);
    let shuffled = stack.forward(&channels, false).view([6]);
    assert_eq!(Vec::<f32>::try_from(shuffled).unwrap(), [0., 2., 4., 1., 3., 5.]);
}

#[test]
fn half_of_the_channels_is_normalised_image_by_image() {
    tch::manual_seed(3);
    let spec = convolution("a", [2, 4], 3, 1, 1).normed(Norm::HalfInstance);
    let layers = [Layer::Convolution(spec.activated(Activation::None))];
    let store = nn::VarStore::new(Device::Cpu);
    let stack = Stack::new(&store.root(), &layers, 1);
    let input = Tensor::randn([3, 2, 8, 8], (Kind::Float, Device::Cpu)) * 5.;
    let mean = |value: &Tensor, over: &[i64]| value.mean_dim(over, false, Kind::Float).abs();
    let largest = |value: Tensor| value.max().double_value(&[]);
    for train in [false, true] {
        let output = tch::no_grad(|| stack.forward(&input, train));
        let of_images = mean(&output, &[2, 3]); // [N, 4]
        assert!(largest(of_images.narrow(1, 0, 2)) < 1e-5, "train {train}");
        assert!(largest(of_images.narrow(1, 2, 2)) > 1e-3, "train {train}");
        let of_batch = largest(mean(&output, &[0, 2, 3]).narrow(0, 2, 2));
        assert_eq!(of_batch < 1e-5, train, "the second half follows the batch: {of_batch}");
    }
}

#[test]
fn calibration_keeps_inference_and_makes_training_agree_with_it() {
    tch::manual_seed(4);
    for (name, layers) in stacks() {
        let input = Tensor::randn([64, 6, 9, 9], (Kind::Float, Device::Cpu));
        let store = nn::VarStore::new(Device::Cpu);
        let stack = Stack::new(&store.root(), &layers, COPIES);
        randomise(&store);
        let forward = |train| tch::no_grad(|| stack.forward(&input, train));
        let before = forward(false);
        let range = before.abs().max().double_value(&[]);
        let calibrated = stack.calibrate(&input);
        assert!(difference(&calibrated, &before) < 1e-5 * range, "{name}");
        assert!(difference(&forward(false), &before) < 1e-5 * range, "{name}");
        assert!(difference(&forward(true), &before) < 1e-4 * range, "{name}: training differs");
    }
}

#[test]
fn gradients_of_one_copy_reach_no_other() {
    let (_, layers) = stacks().pop().unwrap();
    let store = nn::VarStore::new(Device::Cpu);
    let stack = Stack::new(&store.root(), &layers, COPIES);
    let output = stack.forward(&Tensor::randn([3, 6, 9, 9], (Kind::Float, Device::Cpu)), true);
    output.narrow(1, 8, 8).square().sum(Kind::Float).backward(); // copy 1 of 8 channels each
    for (name, value) in store.variables().into_iter().filter(|(_, value)| value.requires_grad()) {
        let rows = value.size()[0] / COPIES;
        for copy in 0..COPIES {
            let largest = value.grad().narrow(0, copy * rows, rows).abs().max().double_value(&[]);
            assert_eq!(largest > 0., copy == 1, "{name}, copy {copy}: {largest}");
        }
    }
}

fn network(dropout: f64) -> (nn::VarStore, Dmue) {
    tch::manual_seed(2);
    let store = nn::VarStore::new(Device::Cpu);
    let backbone = Backbone::named("tiny", 1, 24).unwrap();
    let model = Dmue::new(&store.root(), &backbone, 3, dropout);
    (store, model)
}

/// bfloat16 has eight bits of mantissa. Gradients are not compared: those of the first layer of a deep random
/// network change by four fifths when nothing but its input is rounded so.
#[test]
fn maps_in_bfloat16_give_nearly_the_same_features() {
    for backbone in ["tiny", "edge", "shufflenet_v1"] {
        let backbone = Backbone::of(&Model { width: 0.25, ..small(backbone) }).unwrap();
        let store = nn::VarStore::new(Device::Cpu);
        let model = Dmue::new(&store.root(), &backbone, 3, 0.);
        let images = Tensor::randn([12, 1, 48, 48], (Kind::Float, Device::Cpu));
        let expected = model.forward_train(&images).features;
        let found = model.forward_train(&images.to_kind(Kind::BFloat16)).features;
        assert_eq!(found.kind(), Kind::Float);
        let apart = ((&found - &expected).norm() / expected.norm()).double_value(&[]);
        assert!(apart > 0. && apart < 0.05, "{}: {apart}", backbone.name);

        found.square().mean(Kind::Float).backward();
        for (name, value) in store.variables().iter().filter(|(name, _)| !name.contains("running"))
        {
            assert_eq!(value.kind(), Kind::Float, "{name}");
            let reached = name.starts_with("stem") || name.starts_with("branch");
            assert_eq!(value.grad().defined(), reached, "{}: {name}", backbone.name);
        }
    }
}

fn small(backbone: &str) -> Model {
    let mut model = Config::named("tiny").unwrap().model;
    model.backbone = backbone.into();
    model.size = 48;
    model
}

#[test]
fn neck_statistics_are_those_of_the_target_branch() {
    let (store, model) = network(0.);
    let images = Tensor::randn([10, 1, 24, 24], (Kind::Float, Device::Cpu));
    let outputs = model.forward_train(&images);
    let target = outputs.features.select(1, model.classes());
    let variables = store.variables();
    // Momentum 0.1 from mean 0 and variance 1; the running variance is the unbiased one.
    let mean = target.mean_dim([0i64].as_slice(), false, Kind::Float) * 0.1;
    let variance = target.var_dim([0i64].as_slice(), true, false) * 0.1 + 0.9;
    assert!(difference(&variables["neck.running_mean"], &mean) < 1e-6);
    assert!(difference(&variables["neck.running_var"], &variance) < 1e-6);
    let all = outputs.features.mean_dim([0i64, 1].as_slice(), false, Kind::Float) * 0.1;
    assert!(difference(&all, &mean) > 1e-4, "the branches are too alike to tell them apart");
}

#[test]
fn each_auxiliary_branch_is_normalised_by_its_own_batch() {
    let (store, model) = network(0.);
    randomise(&store);
    let images = Tensor::randn([10, 1, 24, 24], (Kind::Float, Device::Cpu));
    let outputs = model.forward_train(&images);
    let variables = store.variables();
    for branch in 0..model.classes() {
        let feature = outputs.features.select(1, branch);
        let head = variables["heads.auxiliary"].get(branch);
        let logits = necked(&feature, &variables["neck.scale"]).matmul(&head.transpose(0, 1));
        for found in [&outputs.auxiliary_logits, &outputs.mined_logits] {
            assert!(difference(&found.get(branch), &logits) < 1e-4, "branch {branch}");
        }
    }
    let feature = outputs.features.select(1, model.classes());
    let head = &variables["heads.target"];
    let logits = necked(&feature, &variables["neck.scale"]).matmul(&head.transpose(0, 1));
    assert!(difference(&outputs.target_logits, &logits) < 1e-4);
    assert!(!outputs.mined_logits.requires_grad());
}

/// Batch normalisation by the batch itself.
fn necked(feature: &Tensor, scale: &Tensor) -> Tensor {
    let mean = feature.mean_dim([0i64].as_slice(), true, Kind::Float);
    let variance = feature.var_dim([0i64].as_slice(), false, true);
    (feature - mean) / (variance + EPSILON).sqrt() * scale
}

#[test]
fn the_classifier_is_neck_and_head_in_one() {
    let (store, model) = network(0.5);
    randomise(&store);
    let images = Tensor::randn([7, 1, 24, 24], (Kind::Float, Device::Cpu));
    let output = model.forward_target(&images);
    let variables = store.variables();
    let [mean, variance, scale, head] =
        ["neck.running_mean", "neck.running_var", "neck.scale", "heads.target"]
            .map(|name| variables[name].detach());
    let necked = (&output.feature - mean) / (variance + EPSILON).sqrt() * scale;
    let expected = necked.matmul(&head.transpose(0, 1));
    let range = (expected.max() - expected.min()).double_value(&[]);
    assert!(difference(&output.logits, &expected) < 1e-5 * range);
    assert_eq!(output.feature.size(), [7, 12]);
}

#[test]
fn the_prior_moves_trained_probabilities_by_the_ratio_of_the_shares() {
    let (store, mut model) = network(0.5);
    randomise(&store);
    let images = Tensor::randn([5, 1, 24, 24], (Kind::Float, Device::Cpu));
    let alpha = 0.5;
    let trained = (model.forward_target(&images).logits * alpha).softmax(1, Kind::Float);
    let mut data = Config::named("tiny").unwrap().data;
    let mut check = |natural_prior, logit_adjustment, ratio: [f32; 3]| {
        (data.natural_prior, data.logit_adjustment) = (natural_prior, logit_adjustment);
        model.correct_prior(&data.prior_shift(&[0.6, 0.3, 0.1], &[0.4, 0.3, 0.3]), alpha);
        let moved = (model.forward_target(&images).logits * alpha).softmax(1, Kind::Float);
        let weighted = &trained * Tensor::from_slice(&ratio);
        let expected = &weighted / weighted.sum_dim_intlist([1i64].as_slice(), true, Kind::Float);
        assert!(difference(&moved, &expected) < ROUNDING);
    };
    check(true, 0., [0.6 / 0.4, 1., 0.1 / 0.3]);
    check(true, 1., [1. / 0.4, 1. / 0.3, 1. / 0.3]);
    check(false, 0.5, [0.4f32.powf(-0.5), 0.3f32.powf(-0.5), 0.3f32.powf(-0.5)]);
}

#[test]
fn dropout_touches_what_is_learnt_but_not_what_is_mined() {
    let (store, model) = network(0.5);
    randomise(&store);
    let images = Tensor::randn([7, 1, 24, 24], (Kind::Float, Device::Cpu));
    let [first, second] = [model.forward_train(&images), model.forward_train(&images)];
    assert!(difference(&first.mined_logits, &second.mined_logits) < 1e-6);
    assert!(difference(&first.features, &second.features) < 1e-6);
    assert!(difference(&first.auxiliary_logits, &second.auxiliary_logits) > 1e-3);
    assert!(difference(&first.target_logits, &second.target_logits) > 1e-3);
}
