//! Floats that begin where a cache line does: vectors that straddle two cost twice.

use std::ops::{Deref, DerefMut};

/// Bytes.
const LINE: usize = 64;

/// A vector of fixed length whose first float is aligned to a cache line.
pub(super) struct Floats {
    values: Vec<f32>,
    first: usize,
}

impl Floats {
    pub fn zeros(length: usize) -> Self {
        let values = vec![0.0_f32; length + LINE / size_of::<f32>()];
        let first = values.as_ptr().align_offset(LINE);
        let mut floats = Self { values, first };
        floats.values.truncate(first + length);
        floats
    }
}

impl From<&[f32]> for Floats {
    fn from(values: &[f32]) -> Self {
        let mut floats = Self::zeros(values.len());
        floats.copy_from_slice(values);
        floats
    }
}

impl Deref for Floats {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.values[self.first..]
    }
}

impl DerefMut for Floats {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.values[self.first..]
    }
}

/// Nothing, without an allocation.
impl Default for Floats {
    fn default() -> Self {
        Self { values: Vec::new(), first: 0 }
    }
}
