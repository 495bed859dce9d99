//! Figures over faces and their bootstrap intervals: plain functions of numbers.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

/// Smallest share that a divergence divides by.
const SMALLEST_SHARE: f64 = 1e-6;

/// A figure with the interval that holds 95 % of its bootstrap values.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Estimate {
    /// Over all faces.
    pub value: f64,
    /// 2.5 % of the resampled values are lower.
    pub low: f64,
    /// 2.5 % are higher.
    pub high: f64,
}

/// Draws of `size` faces with replacement, the same for the same seed: figures of several models on
/// the same draws are paired.
#[derive(Debug)]
pub struct Bootstrap {
    draws: Vec<Vec<usize>>,
}

impl Bootstrap {
    /// `count` draws of `size` out of `size`.
    pub fn new(size: usize, count: usize, seed: u64) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        let mut draw = |_: usize| {
            (0..size).map(|_| generator.random_range(0..size.max(1))).collect::<Vec<_>>()
        };
        Self { draws: (0..count).map(&mut draw).collect() }
    }

    /// `figure` of all faces, given as their indices, and its interval over the draws.
    pub fn estimate(&self, figure: impl Fn(&[usize]) -> f64) -> Estimate {
        let size = self.draws.first().map_or(0, Vec::len);
        let all: Vec<usize> = (0..size).collect();
        let mut values: Vec<f64> = self.draws.iter().map(|draw| figure(draw)).collect();
        values.retain(|value| value.is_finite());
        values.sort_by(f64::total_cmp);
        Estimate {
            value: figure(&all),
            low: quantile(&values, 0.025),
            high: quantile(&values, 0.975),
        }
    }
}

impl Estimate {
    /// Whether the interval leaves 0 out.
    pub fn excludes_zero(&self) -> bool {
        self.low > 0. || self.high < 0.
    }
}

/// The value below which `share` of the sorted values lie, between neighbours on a straight line; NaN
/// of nothing.
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = share * last as f64;
    let (below, above) = (place.floor() as usize, place.ceil() as usize);
    sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64)
}

/// Mean over the faces of `indices`.
pub fn mean(values: &[f64], indices: &[usize]) -> f64 {
    indices.iter().map(|&index| values[index]).sum::<f64>() / indices.len() as f64
}

/// KL(crowd || model), natural logarithm: distributions of one length; a model's share below 1e-6
/// counts as 1e-6.
pub fn divergence(crowd: &[f64], model: &[f64]) -> f64 {
    let term = |(&crowd, &model): (&f64, &f64)| {
        if crowd > 0. { crowd * (crowd / model.max(SMALLEST_SHARE)).ln() } else { 0. }
    };
    crowd.iter().zip(model).map(term).sum()
}

/// The index of the largest value, the first of equals.
pub fn largest(values: &[f64]) -> usize {
    (0..values.len()).fold(0, |best, index| if values[index] > values[best] { index } else { best })
}

/// Indices by falling value, equals in their order.
pub fn ranking(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
    order
}

/// Whether one of the crowd's first choices (there may be several) is among the model's first `count`.
pub fn agrees(crowd: &[f64], model: &[f64], count: usize) -> bool {
    let top = crowd.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    ranking(model).iter().take(count).any(|&index| crowd[index] == top)
}

/// Ranks from 1, equals share the mean of theirs.
pub fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.; values.len()];
    let mut before = 0;
    for group in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let shared = before as f64 + (group.len() as f64 + 1.) / 2.;
        group.iter().for_each(|&index| ranks[index] = shared);
        before += group.len();
    }
    ranks
}

/// Spearman's rank correlation, -1..1; NaN where one of them is constant.
pub fn rank_correlation(first: &[f64], second: &[f64]) -> f64 {
    let (first, second) = (ranks(first), ranks(second));
    let middle = (first.len() as f64 + 1.) / 2.;
    let product = |a: &[f64], b: &[f64]| {
        a.iter().zip(b).map(|(a, b)| (a - middle) * (b - middle)).sum::<f64>()
    };
    product(&first, &second) / (product(&first, &first) * product(&second, &second)).sqrt()
}

/// Probability that a face with `high` has a larger value than one without; ties count half. NaN where
/// all faces or none have it.
pub fn auroc(values: &[f64], high: &[bool]) -> f64 {
    let ranks = ranks(values);
    let sum: f64 = ranks.iter().zip(high).filter(|(_, high)| **high).map(|(rank, _)| rank).sum();
    let highs = high.iter().filter(|high| **high).count() as f64;
    let lows = high.len() as f64 - highs;
    (sum - highs * (highs + 1.) / 2.) / (highs * lows)
}

/// Area under the risk-coverage curve: the mean of [`risks`].
pub fn aurc(confidence: &[f64], wrong: &[bool]) -> f64 {
    risks(confidence, wrong).iter().sum::<f64>() / confidence.len() as f64
}

/// The share of errors among the k most confident answers, k = 1..n. Equally confident answers share their
/// errors evenly.
pub fn risks(confidence: &[f64], wrong: &[bool]) -> Vec<f64> {
    let (mut risks, mut errors) = (vec![], 0f64);
    for group in ranking(confidence).chunk_by(|&a, &b| confidence[a] == confidence[b]) {
        let share = group.iter().filter(|&&index| wrong[index]).count() as f64 / group.len() as f64;
        for _ in group {
            errors += share;
            risks.push(errors / (risks.len() + 1) as f64);
        }
    }
    risks
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12, "{found}, expected {expected}");
    }

    #[test]
    fn divergence_by_hand() {
        close(divergence(&[0.5, 0.5, 0.], &[0.25, 0.5, 0.25]), 0.5 * 2f64.ln());
        close(divergence(&[0.2, 0.8], &[0.2, 0.8]), 0.);
        close(divergence(&[1., 0.], &[0., 1.]), 1e6f64.ln());
    }

    #[test]
    fn agreement_by_hand() {
        let model = [0.1, 0.6, 0.3];
        assert!(agrees(&[0., 1., 0.], &model, 1));
        assert!(!agrees(&[0., 0., 1.], &model, 1) && agrees(&[0., 0., 1.], &model, 2));
        assert!(agrees(&[0.5, 0.5, 0.], &model, 1), "one of two first choices");
        assert!(!agrees(&[1., 0., 0.], &model, 2));
    }

    #[test]
    fn ranks_and_correlation_by_hand() {
        assert_eq!(ranks(&[3., 1., 3., 2.]), [3.5, 1., 3.5, 2.]);
        close(rank_correlation(&[1., 2., 3.], &[10., 20., 15.]), 0.5);
        close(rank_correlation(&[1., 2., 3.], &[3., 2., 1.]), -1.);
        assert!(rank_correlation(&[1., 1.], &[1., 2.]).is_nan());
    }

    #[test]
    fn areas_by_hand() {
        let (confidence, wrong) = ([0.9, 0.8, 0.7, 0.6], [false, true, false, true]);
        close(aurc(&confidence, &wrong), (0. + 1. / 2. + 1. / 3. + 2. / 4.) / 4.);
        close(aurc(&[0.5; 4], &wrong), 0.5);
        close(auroc(&confidence, &wrong.map(|wrong| !wrong)), 0.75);
        close(auroc(&[0.5; 4], &wrong), 0.5);
        assert!(auroc(&[0.1, 0.2], &[true, true]).is_nan());
    }

    #[test]
    fn quantiles_by_hand() {
        close(quantile(&[1., 2., 3., 4., 5.], 0.5), 3.);
        close(quantile(&[0., 10.], 0.025), 0.25);
        assert!(quantile(&[], 0.5).is_nan());
    }

    #[test]
    fn the_interval_of_a_mean_is_as_wide_as_theory_says() {
        // 400 values of 0 or 1 in halves: the mean's deviation is 0.5 / 20 = 0.025
        let values: Vec<f64> = (0..400).map(|index| f64::from(index % 2)).collect();
        let estimate = Bootstrap::new(400, 2000, 1).estimate(|draw| mean(&values, draw));
        close(estimate.value, 0.5);
        let width = (estimate.high - estimate.low) / (2. * 1.96 * 0.025);
        assert!((0.9..1.1).contains(&width), "{estimate:?}");
    }

    #[test]
    fn a_paired_difference_is_narrower_than_what_it_is_the_difference_of() {
        let first: Vec<f64> = (0..200).map(|index| f64::from(index % 7)).collect();
        let second: Vec<f64> = first.iter().map(|value| value + 0.1).collect();
        let bootstrap = Bootstrap::new(200, 500, 3);
        let apart = bootstrap.estimate(|draw| mean(&second, draw) - mean(&first, draw));
        assert!((apart.low - 0.1).abs() < 1e-9 && (apart.high - 0.1).abs() < 1e-9, "{apart:?}");
        assert!(apart.excludes_zero());
    }

    proptest! {
        #[test]
        fn divergence_is_never_negative(weights in prop::collection::vec((0.01..1f64, 0.01..1f64), 2..9)) {
            let normalised = |pick: fn(&(f64, f64)) -> f64| {
                let total: f64 = weights.iter().map(pick).sum();
                weights.iter().map(|pair| pick(pair) / total).collect::<Vec<_>>()
            };
            let value = divergence(&normalised(|pair| pair.0), &normalised(|pair| pair.1));
            prop_assert!(value >= -1e-12);
        }

        #[test]
        fn auroc_counts_pairs(faces in prop::collection::vec((0u8..6, any::<bool>()), 2..40)) {
            let (mut wins, mut pairs) = (0., 0.);
            for (a, _) in faces.iter().filter(|face| face.1) {
                for (b, _) in faces.iter().filter(|face| !face.1) {
                    pairs += 1.;
                    wins += if a > b { 1. } else if a == b { 0.5 } else { 0. };
                }
            }
            let values: Vec<f64> = faces.iter().map(|face| f64::from(face.0)).collect();
            let high: Vec<bool> = faces.iter().map(|face| face.1).collect();
            let found = auroc(&values, &high);
            prop_assert!(pairs == 0. && found.is_nan() || (found - wins / pairs).abs() < 1e-9);
        }
    }
}
