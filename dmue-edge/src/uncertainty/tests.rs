//! Against naive loops in double precision, a script's golden values, invariants, and the method's
//! identity.

use proptest::prelude::*;
use rand::RngExt;
use serde::Deserialize;

use super::*;
use crate::model::fixture::{generator, uncertainty, values};

/// f32 keeps 24 bits; sums over a few dozen products of order 1 lose a few of them.
const ROUNDING: f32 = 1e-5;

#[derive(Deserialize)]
struct Golden {
    feature: Vec<f32>,
    logits: Vec<f32>,
    class_means: Vec<Vec<f32>>,
    prior_weight: f32,
    sums: Vec<Vec<f32>>,
    counts: Vec<f32>,
    score_head: GoldenHead,
    wide_head: GoldenHead,
    alpha_head: GoldenHead,
    single: GoldenAnswers,
    window: GoldenAnswers,
}

#[derive(Deserialize)]
struct GoldenHead {
    w1: Vec<Vec<f32>>,
    b1: Vec<f32>,
    prelu: f32,
    w2: Vec<f32>,
    b2: f32,
}

#[derive(Deserialize)]
struct GoldenAnswers {
    unit: Vec<f32>,
    similarities: Vec<f32>,
    score_input: Vec<f32>,
    alpha_input: Vec<f32>,
    wide_score: f32,
    score: f32,
    alpha: f32,
}

impl GoldenHead {
    fn build(&self, inputs: usize) -> TwoLayerHead {
        let (w1, b1, w2) = (self.w1.concat(), self.b1.clone(), self.w2.clone());
        TwoLayerHead::new(inputs, w1, b1, self.prelu, w2, self.b2).unwrap()
    }
}

fn assert_close(found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    for (index, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= tolerance, "at {index}: {a} where {b} is expected");
    }
}

/// `tests/golden/uncertainty.py` made the numbers.
#[test]
fn golden_values_of_an_independent_script() {
    let json = include_str!("../../tests/golden/uncertainty.json");
    let golden: Golden = serde_json::from_str(json).unwrap();
    let prior = Prior::new(golden.class_means.concat(), golden.prior_weight, 3, 4).unwrap();
    let (score, alpha) = (golden.score_head.build(13), golden.alpha_head.build(6));
    let model = PairwiseUncertainty::new(prior, score, alpha).unwrap();
    let sums = ClassSums { sums: golden.sums.concat(), counts: golden.counts };
    for (window, expected) in [(None, golden.single), (Some(&sums), golden.window)] {
        let unit = unit(&golden.feature);
        assert_close(&unit, &expected.unit, 1e-6);
        let similarities = similarity(&unit, model.prior(), window);
        assert_close(&similarities, &expected.similarities, 1e-6);
        assert_close(&score_input(&similarities, &golden.logits), &expected.score_input, ROUNDING);
        assert_close(&alpha_input(&similarities, 2), &expected.alpha_input, ROUNDING);
        let found = model.confidence(&golden.feature, &golden.logits, window);
        assert_close(&[found.score, found.alpha], &[expected.score, expected.alpha], 1e-6);
        let wide = model.clone().with_score_head(golden.wide_head.build(17)).unwrap();
        let found = wide.confidence(&golden.feature, &golden.logits, window);
        assert_close(&[found.score, found.alpha], &[expected.wide_score, expected.alpha], 1e-6);
    }
}

/// Every formula once more, as loops over indices in f64.
fn naive(
    model: &PairwiseUncertainty,
    feature: &[f32],
    logits: &[f32],
    window: &ClassSums,
) -> (f64, f64) {
    let (prior, d) = (model.prior(), feature.len());
    let norm = feature.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
    let mut sv = vec![0.0; prior.classes()];
    for (i, sv) in sv.iter_mut().enumerate() {
        let (mut to_mean, mut to_sum) = (0.0, 0.0);
        for (k, &value) in feature.iter().enumerate() {
            let f = f64::from(value) / norm;
            to_mean += f * f64::from(prior.class_means()[i * d + k]);
            to_sum += f * f64::from(window.sums[i * d + k]);
        }
        let n0 = f64::from(prior.weight());
        *sv = (n0 * to_mean + to_sum) / (n0 + f64::from(window.counts[i]));
    }
    let mut predicted = 0;
    for i in 1..logits.len() {
        if logits[i] > logits[predicted] {
            predicted = i;
        }
    }
    let (low, high) = sv.iter().fold((f64::MAX, f64::MIN), |(l, h), &v| (l.min(v), h.max(v)));
    let mut tail: Vec<f64> = sv.iter().map(|v| (v - low) / (high - low)).collect();
    tail.extend((0..sv.len()).map(|i| if i == predicted { 1.0 } else { 0.0 }));
    let mut front = sv.clone();
    front.sort_by(|a, b| b.partial_cmp(a).unwrap());
    front.push(sv[predicted]);
    front.extend(&tail);
    let total: f64 = logits.iter().map(|&logit| f64::from(logit).exp()).sum();
    let mut likely: Vec<f64> = logits.iter().map(|&z| (f64::from(z).exp() / total).ln()).collect();
    likely.sort_by(|a, b| b.partial_cmp(a).unwrap());
    front.extend(&likely);
    if model.takes_feature() {
        front.extend(feature.iter().map(|&value| f64::from(value)));
    }
    (naive_head(model.score_head(), &front), naive_head(model.alpha_head(), &tail))
}

fn naive_head(head: &TwoLayerHead, x: &[f64]) -> f64 {
    let (w1, b1, prelu, w2, b2) = head.weights();
    let mut logit = f64::from(b2);
    for h in 0..b1.len() {
        let mut value = f64::from(b1[h]);
        for (k, x) in x.iter().enumerate() {
            value += f64::from(w1[h * head.inputs() + k]) * x;
        }
        logit += f64::from(w2[h]) * if value < 0.0 { f64::from(prelu) * value } else { value };
    }
    1.0 / (1.0 + (-logit).exp())
}

#[test]
fn naive_loops_in_double_precision_give_the_same() {
    for (seed, (classes, d, hidden)) in (0..).zip([(2, 1, 1), (3, 5, 2), (8, 128, 16), (26, 64, 7)])
    {
        let model = uncertainty(seed, classes, d, hidden);
        let mut g = generator(seed + 100);
        for _ in 0..50 {
            let (feature, logits) = (values(&mut g, d), values(&mut g, classes));
            let counts = (0..classes).map(|_| g.random_range(0.0..9.0)).collect();
            let window = ClassSums { sums: values(&mut g, classes * d), counts };
            let found = model.confidence(&feature, &logits, Some(&window));
            let (score, alpha) = naive(&model, &feature, &logits, &window);
            // The sensitivity of the scaled similarities to rounding grows as their range shrinks.
            assert_close(&[found.score, found.alpha], &[score as f32, alpha as f32], 1e-4);
        }
    }
}

#[test]
fn an_empty_window_is_no_window() {
    let model = uncertainty(3, 4, 9, 3);
    let window = ClassSums { sums: vec![0.0; 36], counts: vec![0.0; 4] };
    let f = unit(&values(&mut generator(4), 9));
    assert_eq!(similarity(&f, model.prior(), Some(&window)), similarity(&f, model.prior(), None));
}

#[test]
fn a_zero_feature_and_equal_similarities_stay_finite() {
    assert_eq!(unit(&[0.0; 3]), [0.0; 3]);
    assert_eq!(scale(&[0.25; 4]), [0.0; 4]);
    let confidence = uncertainty(1, 3, 5, 2).confidence(&[0.0; 5], &[0.0; 3], None);
    assert!(confidence.score > 0.0 && confidence.alpha < 1.0, "{confidence:?}");
}

#[test]
fn of_equal_logits_the_first_is_predicted() {
    assert_eq!(predicted_class(&[0.5, 2.0, 2.0, 1.0]), 1);
    assert_eq!(predicted_class(&[f32::NAN, -1.0, -2.0]), 1);
    assert_eq!(predicted_class(&[]), 0);
}

#[test]
fn ties_keep_every_value_in_the_sorted_part() {
    let found = score_input(&[0.5, 0.75, 0.5], &[0.0, 3f32.ln(), 0.0]);
    assert_eq!(found[..10], [0.75, 0.5, 0.5, 0.75, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0]);
    assert_close(&found[10..], &[0.6f32.ln(), 0.2f32.ln(), 0.2f32.ln()], 1e-6);
}

#[test]
fn parts_of_other_sizes_are_refused() {
    let shape = |part, found, expected| ShapeError { part, found, expected };
    assert_eq!(Prior::new(vec![0.0; 7], 1.0, 2, 4), Err(shape("class_means", 7, 8)));
    assert!(Prior::new(vec![], 1.0, 0, 4).is_err());
    assert!(Prior::new(vec![0.0; 4], 1.0, usize::MAX, 4).is_err());
    let head = |inputs, w1, b1, w2| {
        TwoLayerHead::new(inputs, vec![0.0; w1], vec![0.0; b1], 0.0, vec![0.0; w2], 0.0)
    };
    assert_eq!(head(3, 5, 2, 2), Err(shape("a head's w1", 5, 6)));
    assert_eq!(head(3, 6, 2, 3), Err(shape("a head's w2", 3, 2)));
    assert_eq!(head(3, 0, 0, 0), Err(shape("a head's b1", 0, 1)));
    assert!(head(0, 0, 1, 1).is_err());
    let prior = || Prior::new(vec![0.0; 8], 1.0, 2, 4).unwrap();
    let (of_4, of_9) = (head(4, 8, 2, 2).unwrap(), head(9, 18, 2, 2).unwrap());
    assert!(PairwiseUncertainty::new(prior(), of_9.clone(), of_4.clone()).is_ok());
    let error = PairwiseUncertainty::new(prior(), of_4.clone(), of_4.clone()).unwrap_err();
    assert_eq!(error, shape("score_head's input", 4, 9));
    let of_13 = head(13, 26, 2, 2).unwrap();
    assert!(PairwiseUncertainty::new(prior(), of_13, of_4.clone()).unwrap().takes_feature());
    let error = PairwiseUncertainty::new(prior(), of_9.clone(), of_9).unwrap_err();
    assert_eq!(error, shape("alpha_head's input", 9, 4));
}

/// Seed section 4, eq. 6-13: for unit `x = cos(theta) c + sin(theta) u` with `u` a random direction
/// orthogonal to `c` and `theta ~ N(0, sigma^2)`, and `f` at the angle alpha from `c`: `E<x, f> =
/// cos(alpha) E[cos(theta)]`.
///
/// `similarity` computes the left side, once with the samples as class mean and once with half of
/// them as prior and half in the window. `E[cos(theta)] = exp(-sigma^2 / 2)`; cutting theta off at
/// pi changes it by less than 1e-6 here.
#[test]
fn the_identity_of_the_expected_similarity() {
    const SAMPLES: usize = 20_000;
    const D: usize = 16;
    let mut g = generator(20);
    for (sigma, alpha) in [(0.2f32, 0.0f32), (0.5, 0.4), (0.5, 1.2), (0.6, 2.5)] {
        let centre = unit(&normals(&mut g, D));
        let f = turned(&mut g, &centre, alpha);
        let samples: Vec<Vec<f32>> = (0..SAMPLES)
            .map(|_| {
                let theta = sigma * normals(&mut g, 1)[0];
                turned(&mut g, &centre, theta)
            })
            .collect();
        let expected = alpha.cos() * (-sigma * sigma / 2.0).exp();
        // Five standard errors of the mean over the samples: the chance to fail with a correct
        // formula is below 1e-6. The rounding of f32 sums of this length is an order of magnitude
        // below that.
        let tolerance = 5.0 * standard_error(&samples, &f);
        assert!(tolerance < 0.02, "{tolerance} would let a wrong formula pass");

        let n0 = SAMPLES as f32 / 2.0;
        let (first, second) = samples.split_at(SAMPLES / 2);
        let mean = |samples: &[Vec<f32>]| {
            sum(samples).iter().map(|v| v / samples.len() as f32).collect::<Vec<_>>()
        };
        let whole = Prior::new(mean(&samples), n0, 1, D).unwrap();
        let half = Prior::new(mean(first), n0, 1, D).unwrap();
        let window = ClassSums { sums: sum(second), counts: vec![n0] };
        for found in [similarity(&f, &whole, None), similarity(&f, &half, Some(&window))] {
            assert_close(&found, &[expected], tolerance);
        }
    }
}

/// `count` values of N(0, 1), by Box and Muller.
fn normals(g: &mut rand_chacha::ChaCha8Rng, count: usize) -> Vec<f32> {
    let mut normal = || {
        let (u, v): (f32, f32) = (g.random_range(f32::EPSILON..1.0), g.random());
        (-2.0 * u.ln()).sqrt() * (std::f32::consts::TAU * v).cos()
    };
    (0..count).map(|_| normal()).collect()
}

/// `centre` turned by `angle` towards a random direction orthogonal to it.
fn turned(g: &mut rand_chacha::ChaCha8Rng, centre: &[f32], angle: f32) -> Vec<f32> {
    let direction = normals(g, centre.len());
    let along = dot(&direction, centre);
    let across: Vec<f32> = direction.iter().zip(centre).map(|(d, c)| d - along * c).collect();
    let across = unit(&across);
    centre.iter().zip(&across).map(|(c, u)| angle.cos() * c + angle.sin() * u).collect()
}

fn sum(samples: &[Vec<f32>]) -> Vec<f32> {
    let total = |k| samples.iter().map(|x| f64::from(x[k])).sum::<f64>() as f32;
    (0..samples[0].len()).map(total).collect()
}

fn standard_error(samples: &[Vec<f32>], f: &[f32]) -> f32 {
    let n = samples.len() as f32;
    let cosines: Vec<f32> = samples.iter().map(|x| dot(x, f)).collect();
    let mean = cosines.iter().sum::<f32>() / n;
    let variance = cosines.iter().map(|c| (c - mean).powi(2)).sum::<f32>() / n;
    (variance / n).sqrt()
}

fn similarities() -> impl Strategy<Value = Vec<f32>> {
    prop::collection::vec(-1.0f32..1.0, 2..12)
}

proptest! {
    #[test]
    fn a_unit_feature_has_length_one_whatever_the_scale(
        feature in prop::collection::vec(-1.0f32..1.0, 1..40), scale in 1e-3f32..1e3,
    ) {
        prop_assume!(dot(&feature, &feature) > 1e-6);
        let scaled: Vec<f32> = feature.iter().map(|v| v * scale).collect();
        prop_assert!((dot(&unit(&scaled), &unit(&scaled)) - 1.0).abs() < ROUNDING);
        assert_close(&unit(&scaled), &unit(&feature), ROUNDING);
    }

    #[test]
    fn scaled_values_span_zero_to_one_and_keep_the_order(sv in similarities()) {
        let scaled = scale(&sv);
        let low = sv.iter().copied().fold(1.0, f32::min);
        let high = sv.iter().copied().fold(-1.0, f32::max);
        prop_assert!(scaled.iter().all(|v| (0.0..=1.0).contains(v)));
        if high - low >= MIN_RANGE {
            prop_assert!(scaled.contains(&0.0) && scaled.contains(&1.0));
        }
        for i in 0..sv.len() {
            for k in 0..sv.len() {
                prop_assert!(sv[i] > sv[k] || scaled[i] <= scaled[k]);
            }
        }
    }

    /// Renaming the classes moves the parts of the heads' inputs that belong to a class and leaves
    /// the rest.
    #[test]
    fn a_permutation_of_the_classes_permutes_the_inputs(
        (sv, order) in similarities().prop_flat_map(|sv| {
            let order: Vec<usize> = (0..sv.len()).collect();
            (Just(sv), Just(order).prop_shuffle())
        }),
        predicted in 0usize..2,
    ) {
        let permuted: Vec<f32> = order.iter().map(|&i| sv[i]).collect();
        let moved = order.iter().position(|&i| i == predicted).unwrap();
        let hot = |class: usize| (0..sv.len()).map(|i| f32::from(u8::from(i == class))).collect::<Vec<_>>();
        let (before, after) =
            (score_input(&sv, &hot(predicted)), score_input(&permuted, &hot(moved)));
        let c = sv.len();
        prop_assert_eq!(&before[..=c], &after[..=c]);
        for part in [c + 1, 2 * c + 1] {
            let expected: Vec<f32> = order.iter().map(|&i| before[part + i]).collect();
            prop_assert_eq!(&after[part..part + c], &expected[..]);
        }
        assert_close(&before[3 * c + 1..], &after[3 * c + 1..], ROUNDING);
    }

    #[test]
    fn the_prior_bounds_what_a_window_can_do(
        n0 in 1.0f32..100.0, n in 0.0f32..100.0, seed in 0u64..1000,
    ) {
        let mut g = generator(seed);
        let (f, mu) = (unit(&values(&mut g, 6)), unit(&values(&mut g, 6)));
        let prior = Prior::new(mu, n0, 1, 6).unwrap();
        // n copies of the frame itself: as much confirmation as a window can hold.
        let window = ClassSums { sums: f.iter().map(|v| v * n).collect(), counts: vec![n] };
        let alone = similarity(&f, &prior, None)[0];
        let confirmed = similarity(&f, &prior, Some(&window))[0];
        let expected = alone + (1.0 - alone) * n / (n0 + n);
        prop_assert!((confirmed - expected).abs() < ROUNDING, "{} {}", confirmed, expected);
    }
}
