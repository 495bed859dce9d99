//! Gradients against central finite differences, in f64.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::formulas::Batch;
use common::{Draws, assert_close, labels, tensor2, tensor3, values};
use dmue_train::losses::similarity::similarity;
use dmue_train::model::uncertainty::Uncertainty;
use tch::{Device, Kind, Tensor, nn};

/// Half the distance of the two points; the error of the quotient goes with its square.
const STEP: f64 = 1e-5;

/// What `loss` does when each value of `at` moves.
fn finite_differences(at: &Tensor, loss: &dyn Fn() -> Tensor) -> Vec<f64> {
    let _guard = tch::no_grad_guard();
    let flat = at.view([-1]);
    let moved = |index: i64, step: f64| {
        let mut value = flat.get(index);
        let _ = value.g_add_scalar_(step);
        let result = loss().double_value(&[]);
        let _ = value.g_sub_scalar_(step);
        result
    };
    let quotient = |index| (moved(index, STEP) - moved(index, -STEP)) / (2. * STEP);
    (0..flat.size()[0]).map(quotient).collect()
}

fn check(parameter: &Tensor, name: &str, loss: &dyn Fn() -> Tensor) {
    let mut parameter = parameter.shallow_clone();
    parameter.zero_grad();
    loss().backward();
    let found = values(&parameter.grad());
    assert!(found.iter().any(|value| value.abs() > 1e-6), "no gradient reaches {name}");
    assert_close(&found, &finite_differences(&parameter, loss), 1e-7, name);
}

#[test]
fn similarity_moves_the_target_and_every_auxiliary_branch() {
    for (seed, classes, images, size) in [(1, 3, 6, 4), (2, 2, 5, 3), (3, 4, 7, 2)] {
        let mut draws = Draws::new(seed);
        let blocks: Vec<_> = (0..images).map(|_| draws.matrix(classes + 1, size, 1.)).collect();
        let features = tensor3(&blocks).set_requires_grad(true);
        let labels = labels(&(0..images).map(|image| image % classes).collect::<Vec<_>>());
        check(&features, "features", &|| similarity(&features, &labels));
        for branch in 0..=classes as i64 {
            let reach = features.grad().select(1, branch).abs().max().double_value(&[]);
            assert!(reach > 1e-6, "branch {branch} of {classes} + 1 gets no gradient");
        }
    }
}

#[test]
fn weighted_cross_entropy_moves_the_uncertainty_head_the_logits_and_the_features() {
    let mut draws = Draws::new(5);
    let (classes, images, size) = (3, 8, 5);
    let mut store = nn::VarStore::new(Device::Cpu);
    tch::manual_seed(1);
    let head = Uncertainty::new(&store.root(), classes);
    store.double();
    let features = tensor2(&draws.matrix(images, size, 1.)).set_requires_grad(true);
    let logits = tensor2(&draws.matrix(images, classes as usize, 2.)).set_requires_grad(true);
    let labels = labels(&[0, 1, 2, 0, 1, 2, 0, 1]);
    let loss = || {
        let weighted = head.forward(&features, &labels) * &logits;
        weighted.log_softmax(1, Kind::Double).nll_loss(&labels)
    };
    for (name, variable) in store.variables() {
        check(&variable, &name, &loss);
    }
    check(&features, "features", &loss);
    check(&logits, "logits", &loss);
}

#[test]
fn equal_or_dead_features_give_finite_gradients() {
    let batch = Batch::random(4);
    let images = batch.labels.len() as i64;
    let store = nn::VarStore::new(Device::Cpu);
    let head = Uncertainty::new(&store.root(), batch.classes() as i64);
    for fill in [0., 1.] {
        let features = Tensor::full([images, 5], fill, (Kind::Float, Device::Cpu));
        let features = features.set_requires_grad(true);
        let labels = labels(&batch.labels);
        head.forward(&features, &labels).sum(Kind::Float).backward();
        assert!(values(&features.grad()).iter().all(|value| value.is_finite()), "{fill}");
    }
}
