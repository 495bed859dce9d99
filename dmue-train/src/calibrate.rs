//! Thresholds for abstention, from labelled faces that no part of the model has learned from.

use dmue_edge::abstain::{Threshold, calibrate};
use dmue_edge::model::Model;

use crate::data::dataset::Source;
use crate::error::{Error, Result};
use crate::eval::answers;

/// Error rates that a model file gets a threshold for, where the faces allow the promise.
pub const ERROR_RATES: [f64; 6] = [0.01, 0.02, 0.05, 0.1, 0.15, 0.2];

/// Runs the distinct faces of `source` through dmue-edge and calibrates its score for
/// [`ERROR_RATES`]; each promise holds with `confidence`, above 0 and below 1, over the draw of faces.
///
/// # Errors
/// A class of the data that the model does not know; a `confidence` out of range.
pub fn thresholds(model: &Model, mut source: Source, confidence: f64) -> Result<Vec<Threshold>> {
    source.drop_duplicates();
    let answers = answers(model, &source)?;
    let scores: Vec<f32> = answers.iter().map(|answer| answer.score).collect();
    let right: Vec<bool> = answers.iter().map(|answer| answer.right()).collect();
    let calibrated = calibrate(&scores, &right, &ERROR_RATES, 1.0 - confidence);
    calibrated.map_err(dmue_edge::Error::from).map_err(Error::from)
}
