//! Ranges of activations: which part of the values that a tensor takes is spread over 256 steps.

use std::ops::RangeInclusive;

/// Stored values are 0 to this.
const LARGEST: f64 = 255.;

/// Bins of a histogram: 16 to a step of the whole range, so that a bin's middle stands for its values.
const BINS: usize = 4096;

/// Each end of a range is tried at 1, 63/64, ... of the farthest value seen; at the least a seventh.
const SHARES: u32 = 64;
const LEAST_SHARE: u32 = 9;

/// Ranges narrower than this are taken for a tensor that is always 0: steps of theirs have no reciprocal in f32.
const NARROWEST: f64 = 1e-30;

/// How floats stand in 8 bits: `value = scale * (stored - zero_point)`, stored 0..=255.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantisation {
    /// One step, above 0.
    pub scale: f32,
    /// Stored for the value 0.
    pub zero_point: u8,
}

impl Quantisation {
    /// Steps over `low..=high`, `low` at most 0 and `high` at least 0, moved so that 0 is on one of them.
    pub fn of_range(low: f64, high: f64) -> Self {
        if high - low < NARROWEST {
            return Self { scale: 1., zero_point: 0 };
        }
        let scale = ((high - low) / LARGEST) as f32;
        Self { scale, zero_point: (-low / f64::from(scale)).round() as u8 }
    }

    /// The nearest value that can be stored.
    pub fn nearest(&self, value: f64) -> f64 {
        let (scale, zero) = (f64::from(self.scale), f64::from(self.zero_point));
        let steps = (value / scale).round_ties_even().clamp(-zero, LARGEST - zero);
        steps * scale
    }
}

/// How often a tensor takes which values other than 0, which is stored as it is.
#[derive(Clone, Debug)]
pub struct Histogram {
    low: f64,
    high: f64,
    counts: Vec<u64>,
}

impl Histogram {
    /// Empty, for values within `range`, which is widened to hold 0.
    pub fn new(range: &RangeInclusive<f32>) -> Self {
        let low = f64::from(range.start().min(0.));
        let high = f64::from(range.end().max(0.));
        Self { low, high, counts: vec![0; BINS] }
    }

    /// Counts `values`; those beyond the range as its ends.
    pub fn add(&mut self, values: &[f32]) {
        let bins_each = BINS as f64 / (self.high - self.low).max(NARROWEST);
        for &value in values.iter().filter(|value| **value != 0.) {
            let bin = (f64::from(value) - self.low) * bins_each;
            self.counts[(bin as usize).min(BINS - 1)] += 1;
        }
    }

    /// Of all [`candidates`] the one with the least squared error, the widest of equal ones.
    pub fn best(&self) -> Quantisation {
        let bins = self.bins();
        let mut best = (f64::INFINITY, Quantisation::of_range(self.low, self.high));
        for candidate in candidates(self.low, self.high) {
            let error = squared_error(candidate, &bins);
            if error < best.0 {
                best = (error, candidate);
            }
        }
        best.1
    }

    /// Middle and count of the bins that hold something.
    fn bins(&self) -> Vec<(f64, f64)> {
        let width = (self.high - self.low) / BINS as f64;
        let middle = |bin: usize| self.low + (bin as f64 + 0.5) * width;
        let counts = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        counts.map(|(bin, &count)| (middle(bin), count as f64)).collect()
    }
}

/// Ranges with each end drawn in by itself, the widest first.
pub fn candidates(low: f64, high: f64) -> impl Iterator<Item = Quantisation> {
    let shares = |end: f64| {
        let least = if end == 0. { SHARES } else { LEAST_SHARE };
        (least..=SHARES).rev().map(move |share| end * f64::from(share) / f64::from(SHARES))
    };
    shares(low).flat_map(move |low| shares(high).map(move |high| Quantisation::of_range(low, high)))
}

fn squared_error(quantisation: Quantisation, bins: &[(f64, f64)]) -> f64 {
    bins.iter().map(|&(value, count)| count * (quantisation.nearest(value) - value).powi(2)).sum()
}
