//! What the inner tensors of a float network hold while it looks at faces.

use std::ops::RangeInclusive;
use std::sync::Arc;

use dmue_edge::model::proto::pb::{ModelProto, ValueInfoProto};
use prost::Message;
use tract_onnx::prelude::{
    DatumExt, Framework, InferenceModelExt, IntoRunnable, IntoTValue, Tensor, TractResult,
    TypedRunnableModel, tvec,
};

use super::ranges::{Histogram, Quantisation};
use crate::error::{Error, Result};

/// A network with inner tensors as outputs, by tract.
pub struct Observed {
    names: Vec<String>,
    plan: Arc<TypedRunnableModel>,
    /// `[1, channels, S, S]`
    shape: [usize; 4],
}

impl Observed {
    /// `model` for one face `[channels, S, S]`, with the tensors `names` as outputs.
    ///
    /// # Errors
    /// tract refuses it.
    pub fn new(
        mut model: ModelProto,
        names: Vec<String>,
        [channels, height, width]: [usize; 3],
    ) -> Result<Self> {
        if let Some(graph) = &mut model.graph {
            let output =
                |name: &String| ValueInfoProto { name: name.clone(), ..Default::default() };
            graph.output = names.iter().map(output).collect();
        }
        let shape = [1, channels, height, width];
        let load = || {
            tract_onnx::onnx()
                .with_ignore_value_info(true)
                .model_for_read(&mut &*model.encode_to_vec())?
                .with_input_fact(0, f32::fact(shape).into())?
                .into_optimized()?
                .into_runnable()
        };
        let plan = load().map_err(failed)?;
        Ok(Self { names, plan, shape })
    }

    /// How each tensor is best stored in 8 bits, by name and in the order asked for, to judge by `faces`
    /// `[channels, S, S]`.
    ///
    /// # Errors
    /// tract fails on a face, or a tensor holds NaN or infinity.
    pub fn quantisations(&self, faces: &[Vec<f32>]) -> Result<Vec<(String, Quantisation)>> {
        let ranges = self.ranges(faces)?;
        let mut histograms: Vec<Histogram> = ranges.iter().map(Histogram::new).collect();
        for face in faces {
            for (histogram, values) in histograms.iter_mut().zip(self.run(face)?) {
                histogram.add(&values);
            }
        }
        let best = histograms.iter().map(Histogram::best);
        Ok(self.names.iter().cloned().zip(best).collect())
    }

    /// Least and largest value of each tensor.
    fn ranges(&self, faces: &[Vec<f32>]) -> Result<Vec<RangeInclusive<f32>>> {
        let mut ranges = vec![[f32::INFINITY, f32::NEG_INFINITY]; self.names.len()];
        for face in faces {
            for (range, values) in ranges.iter_mut().zip(self.run(face)?) {
                let [low, high] = *range;
                *range = values.iter().fold([low, high], |[l, h], &v| [l.min(v), h.max(v)]);
            }
        }
        Ok(ranges.into_iter().map(|[low, high]| low..=high).collect())
    }

    fn run(&self, face: &[f32]) -> Result<Vec<Vec<f32>>> {
        let outputs = self.run_plan(face).map_err(failed)?;
        for (name, values) in self.names.iter().zip(&outputs) {
            if let Some(value) = values.iter().find(|value| !value.is_finite()) {
                return Err(Error::Config(format!("`{name}` holds {value} for a face")));
            }
        }
        Ok(outputs)
    }

    fn run_plan(&self, face: &[f32]) -> TractResult<Vec<Vec<f32>>> {
        let input = Tensor::from_shape(&self.shape, face)?;
        let outputs = self.plan.run(tvec!(input.into_tvalue()))?;
        let values = |output: &tract_onnx::prelude::TValue| {
            Ok(output.to_plain_array_view::<f32>()?.iter().copied().collect())
        };
        outputs.iter().map(values).collect()
    }
}

fn failed(error: tract_onnx::prelude::TractError) -> Error {
    Error::Config(format!("the network does not run with its inner values as outputs: {error:#}"))
}
