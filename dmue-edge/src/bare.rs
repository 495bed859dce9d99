//! A network by itself, for benchmarks: no manifest, no checks, no promise of an interface that stays.

use std::sync::Arc;

use tract_core::internal::TractErrorContext;
use tract_core::prelude::*;

use crate::kernels::{self, Kernels};
use crate::onnx;

/// An ONNX file of one f32 input of known shape, as this crate runs its own networks.
pub struct Network {
    plan: Arc<TypedRunnableModel>,
    shape: Vec<usize>,
}

impl Network {
    /// Loads and optimises.
    ///
    /// # Errors
    /// tract refuses the file, or its input's shape is not all numbers.
    pub fn from_bytes(file: &[u8]) -> TractResult<Self> {
        let plan = kernels::prepare(onnx::read_file(file)?, Kernels::default())?;
        let shape = plan.model().input_fact(0)?.shape.as_concrete().map(<[usize]>::to_vec);
        Ok(Self { shape: shape.context("the input's shape is not known")?, plan })
    }

    /// Values that [`Self::run`] takes.
    pub fn input_length(&self) -> usize {
        self.shape.iter().product()
    }

    /// The first output.
    ///
    /// # Errors
    /// tract fails, or the input has another length.
    pub fn run(&self, input: &[f32]) -> TractResult<Vec<f32>> {
        let input = Tensor::from_shape(&self.shape, input)?;
        let outputs = self.plan.run(tvec!(input.into_tvalue()))?;
        let first = outputs.first().context("it has no output")?;
        Ok(first.to_plain_array_view::<f32>()?.iter().copied().collect())
    }
}
