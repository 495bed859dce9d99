//! Synthetic ambiguity (seed section 2): whether what is mined for a flipped label is the label from
//! before.

use serde::Serialize;

use super::opened::{Opened, Rows};
use super::statistics::largest;
use crate::data::dataset::Dataset;
use crate::error::Result;

/// The flipped training faces of a run and what it says about them.
#[derive(Debug)]
pub struct Recovery {
    /// Indices into the training set.
    pub flipped: Vec<usize>,
    /// Mined distributions of those, or the softmax over the other classes where the run does not mine.
    pub rows: Rows,
    /// Figures over them.
    pub figures: RecoveryFigures,
}

/// Figures over a run's flipped labels.
#[derive(Clone, Debug, Serialize)]
pub struct RecoveryFigures {
    /// The run.
    pub run: String,
    /// `mined` or `softmax`.
    pub source: &'static str,
    /// Share of the training labels that were flipped, as the settings say.
    pub share: f64,
    /// Number of flipped labels.
    pub count: usize,
    /// Share of them whose first class is the label from before.
    pub recovered: f64,
}

impl Recovery {
    /// `None` for a run without flipped labels.
    ///
    /// # Errors
    /// Rows that libtorch does not hand out.
    pub fn of(run: &Opened) -> Result<Option<Self>> {
        let train = &run.data.train;
        let flipped = flipped(train);
        if flipped.is_empty() {
            return Ok(None);
        }
        let (source, rows) = if run.mines() {
            ("mined", run.mined(train, &flipped)?)
        } else {
            let all = run.outputs(train).negative_probabilities()?;
            ("softmax", flipped.iter().map(|&index| all[index].clone()).collect())
        };
        let figures = RecoveryFigures {
            run: run.name.clone(),
            source,
            share: run.config.data.flip_labels,
            count: flipped.len(),
            recovered: recovered(train, &flipped, &rows),
        };
        Ok(Some(Self { flipped, rows, figures }))
    }
}

/// Images whose label differs from the data's.
pub fn flipped(data: &Dataset) -> Vec<usize> {
    (0..data.len()).filter(|&index| data.labels[index] != data.annotated[index]).collect()
}

/// Share of the images of `indices` whose row's largest class is the label of the data.
pub fn recovered(data: &Dataset, indices: &[usize], rows: &Rows) -> f64 {
    let hits =
        indices.iter().zip(rows).filter(|(index, row)| largest(row) == data.annotated[**index]);
    hits.count() as f64 / indices.len() as f64
}
