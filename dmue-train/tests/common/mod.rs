//! What several test files share: seeded draws, tensors from nested lists, comparison.
#![allow(dead_code, reason = "every test file uses its own part of this module")]

pub mod faces;
pub mod formulas;
pub mod runs;
pub mod start;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::{Kind, Tensor};

/// Rows of numbers.
pub type Matrix = Vec<Vec<f64>>;

/// Seeded random numbers.
pub struct Draws(ChaCha8Rng);

impl Draws {
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// Uniform in -width..width.
    pub fn spread(&mut self, width: f64) -> f64 {
        (self.0.random::<f64>() * 2. - 1.) * width
    }

    /// A whole number in low..=high.
    pub fn whole(&mut self, low: usize, high: usize) -> usize {
        self.0.random_range(low..=high)
    }

    /// Standard normal, by Box and Muller.
    pub fn normal(&mut self) -> f64 {
        let (radius, turn) = (1. - self.0.random::<f64>(), self.0.random::<f64>());
        (-2. * radius.ln()).sqrt() * (std::f64::consts::TAU * turn).cos()
    }

    pub fn row(&mut self, length: usize, width: f64) -> Vec<f64> {
        (0..length).map(|_| self.spread(width)).collect()
    }

    pub fn matrix(&mut self, rows: usize, columns: usize, width: f64) -> Matrix {
        (0..rows).map(|_| self.row(columns, width)).collect()
    }
}

/// `[rows, columns]` in f64.
pub fn tensor2(rows: &[Vec<f64>]) -> Tensor {
    let columns = rows.first().map_or(0, Vec::len) as i64;
    Tensor::from_slice(&rows.concat()).view([rows.len() as i64, columns])
}

/// `[blocks, rows, columns]` in f64.
pub fn tensor3(blocks: &[Matrix]) -> Tensor {
    Tensor::stack(&blocks.iter().map(|block| tensor2(block)).collect::<Vec<_>>(), 0)
}

pub fn labels(labels: &[usize]) -> Tensor {
    Tensor::from_slice(&labels.iter().map(|&label| label as i64).collect::<Vec<_>>())
}

/// All values in row-major order.
pub fn values(tensor: &Tensor) -> Vec<f64> {
    Vec::try_from(tensor.detach().to_kind(Kind::Double).contiguous().view([-1])).unwrap()
}

/// The largest difference of two tensors of one shape.
pub fn difference(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    let apart = a.to_kind(Kind::Double) - b.to_kind(Kind::Double);
    apart.abs().max().double_value(&[])
}

/// Every value within `tolerance` of the expected one, absolute below 1 and relative above.
pub fn assert_close(found: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!(
            (found - expected).abs() <= tolerance * expected.abs().max(1.),
            "{what}[{index}] is {found}, expected {expected}"
        );
    }
}
