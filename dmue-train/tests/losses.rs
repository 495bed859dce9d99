//! Every loss term against the loops of `common/formulas.rs` on random batches, and against the
//! numbers of `golden/losses.py`.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::formulas::{self, Batch, Expected};
use common::{Draws, assert_close, labels, tensor2, tensor3, values};
use dmue_train::config::{Latent, Method, Objective};
use dmue_train::losses::criterion::{Targets, terms};
use dmue_train::losses::latent::latent;
use dmue_train::losses::ramp;
use dmue_train::losses::similarity::similarity;
use dmue_train::model::dmue::{Dmue, TrainOutputs};
use dmue_train::model::spec::Backbone;
use dmue_train::model::uncertainty;
use serde::Deserialize;
use tch::{Device, Kind, Tensor, nn};

#[derive(Deserialize)]
struct Golden {
    method: Method,
    /// epoch, beta, w_u, w_d
    ramps: Vec<[f64; 4]>,
    batches: Vec<GoldenBatch>,
}

#[derive(Deserialize)]
struct GoldenBatch {
    epoch: f64,
    batch: Batch,
    expected: Expected,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("golden/losses.json")).unwrap()
}

fn drawn_method(draws: &mut Draws) -> Method {
    Method {
        objective: Objective::Dmue,
        latent: Latent::Negative,
        uncertainty: true,
        omega: 1. + draws.spread(0.9),
        gamma: 100. + draws.spread(99.),
        beta: 6. + draws.spread(5.),
        temperature: 1.2 + draws.spread(0.8),
        crowd: 0.,
        teachers: vec![],
        teacher_weight: 1.,
        teacher_temperature: 1. + draws.spread(0.8),
    }
}

/// A network whose uncertainty head holds the batch's weights, in `kind`.
fn network(batch: &Batch, kind: Kind) -> Dmue {
    let mut store = nn::VarStore::new(Device::Cpu);
    let backbone = Backbone::named("tiny", 1, 24).unwrap();
    let model = Dmue::new(&store.root(), &backbone, batch.classes() as i64, 0.);
    store.set_kind(kind);
    let head = &batch.head;
    tch::no_grad(|| {
        let copy = |to: &Tensor, from: &[f64]| {
            to.shallow_clone().copy_(&Tensor::from_slice(from).view_as(to));
        };
        copy(&model.uncertainty.weight1, &head.w1.concat());
        copy(&model.uncertainty.bias1, &head.b1);
        copy(&model.uncertainty.slope, &[head.slope]);
        copy(&model.uncertainty.weight2, &head.w2);
        copy(&model.uncertainty.bias2, &[head.b2]);
    });
    model
}

fn outputs(batch: &Batch, kind: Kind) -> TrainOutputs {
    TrainOutputs {
        features: tensor3(&batch.features).to_kind(kind),
        target_logits: tensor2(&batch.target_logits).to_kind(kind),
        auxiliary_logits: tensor3(&batch.auxiliary_logits).to_kind(kind),
        mined_logits: tensor3(&batch.mined_logits).to_kind(kind),
    }
}

/// Compares everything that the library makes of a batch.
fn check(batch: &Batch, method: &Method, epoch: f64, expected: &Expected, kind: Kind, limit: f64) {
    let (model, outputs, labels) =
        (network(batch, kind), outputs(batch, kind), labels(&batch.labels));
    let classes = batch.classes() as i64;
    let targets = Targets { labels: &labels, shares: None, taught: None };
    let terms = terms(&model, &outputs, &targets, method);
    for (found, expected, name) in [
        (&terms.auxiliary, expected.auxiliary, "auxiliary"),
        (&terms.soft, expected.soft, "soft"),
        (&terms.similarity, expected.similarity, "similarity"),
        (&terms.target, expected.target, "target"),
        (&terms.total(method, epoch), expected.total, "total"),
    ] {
        assert_eq!((found.kind(), found.dim()), (kind, 0), "{name}");
        assert_close(&values(found), &[expected], limit, name);
    }
    let mined = latent(&outputs.mined_logits, &labels, method.temperature);
    assert_close(&values(&mined), &expected.latent.concat(), limit, "latent");
    let target = outputs.features.select(1, classes);
    let pairwise = uncertainty::similarity(&target, &labels, classes);
    assert_close(&values(&pairwise), &expected.pairwise.concat(), limit, "SV");
    let alpha = model.uncertainty.forward(&target, &labels);
    assert_eq!(alpha.size(), [batch.labels.len() as i64, 1]);
    assert_close(&values(&alpha), &expected.alpha, limit, "alpha");
}

#[test]
fn random_batches_agree_with_loops_over_the_formulas() {
    let mut missing = 0;
    for seed in 0..60 {
        let batch = Batch::random(seed);
        missing += usize::from((0..batch.classes()).any(|class| !batch.labels.contains(&class)));
        let mut draws = Draws::new(1000 + seed);
        let method = drawn_method(&mut draws);
        let epoch = draws.whole(0, 20) as f64;
        let expected = Expected::of(&batch, &method, epoch);
        check(&batch, &method, epoch, &expected, Kind::Double, 1e-10);
    }
    assert!(missing > 10, "too few of the drawn batches lack a class: {missing}");
}

#[test]
fn golden_values_of_an_independent_script() {
    let golden = golden();
    for GoldenBatch { epoch, batch, expected } in &golden.batches {
        check(batch, &golden.method, *epoch, expected, Kind::Double, 1e-10);
        // Training computes in f32, whose rounding gamma = 1000 multiplies in the total.
        check(batch, &golden.method, *epoch, expected, Kind::Float, 1e-4);
    }
}

#[test]
fn the_loops_agree_with_the_script_too() {
    let golden = golden();
    for GoldenBatch { epoch, batch, expected } in &golden.batches {
        let found = Expected::of(batch, &golden.method, *epoch);
        assert_close(&[found.total], &[expected.total], 1e-12, "total");
    }
}

#[test]
fn ramps_turn_at_beta() {
    for [epoch, beta, up, down] in golden().ramps {
        assert_close(
            &[ramp::up(epoch, beta), ramp::down(epoch, beta)],
            &[up, down],
            1e-12,
            "ramps",
        );
    }
    for step in 0..400 {
        let (epoch, beta) = (f64::from(step) / 10., 1. + f64::from(step % 17));
        let expected = [formulas::up(epoch, beta), formulas::down(epoch, beta)];
        assert_close(&[ramp::up(epoch, beta), ramp::down(epoch, beta)], &expected, 1e-12, "ramps");
    }
    assert_eq!((ramp::up(6., 6.), ramp::down(6., 6.)), (1., 1.));
}

#[test]
fn the_latent_distribution_is_detached_and_sums_to_one() {
    for seed in 0..20 {
        let batch = Batch::random(seed);
        let logits = tensor3(&batch.mined_logits).set_requires_grad(true);
        let mined = latent(&logits, &labels(&batch.labels), 1.2);
        assert!(!mined.requires_grad());
        let rows: Vec<Vec<f64>> = Vec::try_from(&mined).unwrap();
        for (row, &label) in rows.iter().zip(&batch.labels) {
            assert_close(&[row.iter().sum()], &[1.], 1e-12, "sum of a row");
            assert_eq!(row[label], 0.);
            assert!(row.iter().all(|share| (0. ..=1.).contains(share)), "{row:?}");
        }
    }
}

#[test]
fn what_teachers_say_is_a_divergence_at_their_temperature() {
    for seed in 0..20 {
        let batch = Batch::random(seed);
        let mut draws = Draws::new(seed);
        let mut method = drawn_method(&mut draws);
        method.teachers = vec!["teacher.dmue.onnx".into()];
        method.teacher_weight = 0.7;
        let temperature = method.teacher_temperature;
        let model = network(&batch, Kind::Double);
        let (outputs, labels) = (outputs(&batch, Kind::Double), labels(&batch.labels));
        let total = |taught: &Tensor, method: &Method| {
            let targets = Targets { labels: &labels, shares: None, taught: Some(taught) };
            let terms = terms(&model, &outputs, &targets, method);
            (terms.teach.double_value(&[]), terms.total(method, 3.).double_value(&[]))
        };

        let taught: Vec<Vec<f64>> = (0..batch.labels.len())
            .map(|_| formulas::softmax(&draws.row(batch.classes(), 3.)))
            .collect();
        let feature = outputs.features.select(1, model.auxiliary_branches());
        let alpha = values(&model.uncertainty.forward(&feature, &labels));
        let mut expected = 0.;
        for ((row, taught), alpha) in batch.target_logits.iter().zip(&taught).zip(&alpha) {
            let own: Vec<f64> = row.iter().map(|z| alpha * z / temperature).collect();
            for (own, taught) in formulas::softmax(&own).iter().zip(taught) {
                expected += taught * (taught / own).ln() / batch.labels.len() as f64;
            }
        }
        expected *= temperature * temperature;
        let (teach, with) = total(&tensor2(&taught), &method);
        assert!((teach - expected).abs() < 1e-9 * expected.max(1.), "{teach}, not {expected}");
        method.teachers.clear();
        let (_, without) = total(&tensor2(&taught), &method);
        assert!((with - without - 0.7 * expected).abs() < 1e-9 * with.abs().max(1.));

        // A teacher who says what is said already has nothing to teach.
        let own = (Tensor::from_slice(&alpha).view([-1, 1]) * &outputs.target_logits / temperature)
            .softmax(1, Kind::Double);
        assert!(total(&own, &method).0.abs() < 1e-9);
    }
}

#[test]
fn extreme_logits_stay_finite() {
    let batch = Batch::random(7);
    let mut outputs = outputs(&batch, Kind::Float);
    outputs.target_logits *= 1e4;
    outputs.auxiliary_logits *= 1e4;
    outputs.mined_logits *= 1e4;
    outputs.features *= 0.; // what dead activations give
    let method = golden().method;
    let labels = labels(&batch.labels);
    let targets = Targets { labels: &labels, shares: None, taught: None };
    let total =
        terms(&network(&batch, Kind::Float), &outputs, &targets, &method).total(&method, 5.);
    assert!(total.double_value(&[]).is_finite());
}

#[test]
fn similarity_is_zero_for_equal_branches_and_blind_to_scale() {
    let mut draws = Draws::new(3);
    let (images, classes, size) = (6, 3, 4);
    let branch = tensor2(&draws.matrix(images, size, 1.));
    let scaled: Vec<Tensor> = (0..=classes).map(|copy| &branch * f64::from(copy + 1)).collect();
    let features = Tensor::stack(&scaled, 1);
    let loss = similarity(&features, &labels(&[0, 1, 2, 0, 1, 2]));
    assert!(loss.double_value(&[]) < 1e-20);
}
