//! What one run contributes to a report, so that runs are opened one after the other.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::canvas::FaceImage;
use super::opened::{Opened, Rows};
use super::recovery::{Recovery, RecoveryFigures};
use super::statistics::largest;
use crate::config::{Config, Latent, Objective};
use crate::data::dataset::Dataset;
use crate::error::{Error, Result};
use crate::metrics::{mean_recall, recalls};

/// Flipped faces that a study keeps to show.
const SHOWN: usize = 9;

/// One run on the validation faces.
#[derive(Debug)]
pub struct Study {
    /// The run folder's name.
    pub name: String,
    /// Its settings.
    pub config: Config,
    /// Finished epochs.
    pub epochs: usize,
    /// Its log by epoch.
    pub log: BTreeMap<usize, Logged>,
    /// Share of right answers, 0..1.
    pub accuracy: f64,
    /// Mean over the classes of the share that is found, 0..1.
    pub mean_recall: f64,
    /// Mined distributions of the compared faces; empty where the run does not mine.
    pub mined: Rows,
    /// Softmax over the classes other than the label, of the same faces.
    pub softmax: Rows,
    /// Of a run with flipped labels.
    pub recovery: Option<RecoveryFigures>,
    /// Some of its flipped faces, evenly spaced.
    pub flipped: Vec<FlippedFace>,
}

/// A training face with a flipped label.
#[derive(Clone, Debug)]
pub struct FlippedFace {
    /// Its pixels.
    pub face: FaceImage,
    /// What it was trained as.
    pub given: usize,
    /// What the data say.
    pub before: usize,
    /// What is mined, or the softmax over the other classes.
    pub shares: Vec<f64>,
}

/// A line of a run's log.
#[derive(Clone, Debug, Deserialize)]
pub struct Logged {
    epoch: usize,
    /// Mean of each term.
    pub loss: BTreeMap<String, f64>,
    /// 0..1
    pub valid_accuracy: f64,
}

impl Study {
    /// Asks `run` about `valid`; distributions are those of the faces of `compared`.
    ///
    /// # Errors
    /// A log that cannot be read.
    pub fn of(run: &Opened, valid: &Dataset, compared: &[usize]) -> Result<Self> {
        let outputs = run.outputs(valid);
        let probabilities = outputs.probabilities()?;
        let negative = outputs.negative_probabilities()?;
        let recovery = Recovery::of(run)?;
        let flipped = recovery.as_ref().map_or(vec![], |recovery| shown(run, recovery));
        let (accuracy, mean_recall) = accuracies(&probabilities, valid);
        Ok(Self {
            name: run.name.clone(),
            config: run.config.clone(),
            epochs: run.epochs,
            log: read_log(run)?,
            accuracy,
            mean_recall,
            mined: run.mined(valid, compared)?,
            softmax: compared.iter().map(|&index| negative[index].clone()).collect(),
            recovery: recovery.map(|recovery| recovery.figures),
            flipped,
        })
    }

    /// `LD-N`, `LD-A` or nothing.
    pub fn mining(&self) -> Option<&'static str> {
        self.config.method.auxiliary().map(|latent| match latent {
            Latent::Negative => "LD-N",
            Latent::All => "LD-A",
        })
    }

    /// What is special about its settings, in words.
    pub fn method(&self) -> String {
        let (method, data) = (&self.config.method, &self.config.data);
        let mut words = match method.objective {
            Objective::Ce if method.crowd == 1. => vec!["cross entropy on votes".to_owned()],
            Objective::Ce => vec!["cross entropy on labels".to_owned()],
            Objective::Dmue => vec![format!("DMUE, {}", self.mining().unwrap_or_default())],
        };
        if method.objective == Objective::Dmue {
            let without = [
                (method.gamma == 0., "L_sp"),
                (method.omega == 0., "L_soft"),
                (!method.uncertainty, "uncertainty"),
            ];
            words.extend(
                without.iter().filter(|part| part.0).map(|part| format!("without {}", part.1)),
            );
        }
        words.push(format!("exponent {}", data.class_exponent));
        if data.reserved == 0 {
            words.push("none reserved".into());
        }
        if data.flip_labels > 0. {
            words.push(format!("{:.0} % flipped", 100. * data.flip_labels));
        }
        words.join(", ")
    }
}

fn accuracies(probabilities: &Rows, data: &Dataset) -> (f64, f64) {
    let mut confusion = vec![vec![0; data.classes.len()]; data.classes.len()];
    for (row, &label) in probabilities.iter().zip(&data.labels) {
        confusion[label][largest(row)] += 1;
    }
    let right: usize = (0..confusion.len()).map(|class| confusion[class][class]).sum();
    (right as f64 / data.len() as f64, mean_recall(&recalls(&confusion)))
}

fn shown(run: &Opened, recovery: &Recovery) -> Vec<FlippedFace> {
    let train = &run.data.train;
    let step = (recovery.flipped.len() / SHOWN).max(1);
    let faces = recovery.flipped.iter().zip(&recovery.rows).step_by(step).take(SHOWN);
    let shown = faces.map(|(&index, shares)| FlippedFace {
        face: FaceImage::of(train, index),
        given: train.labels[index],
        before: train.annotated[index],
        shares: shares.clone(),
    });
    shown.collect()
}

/// The last line of each epoch: a run that went on repeats none, one that was started again does.
fn read_log(run: &Opened) -> Result<BTreeMap<usize, Logged>> {
    let path = run.folder().log();
    let text = std::fs::read_to_string(&path).map_err(Error::file(&path))?;
    let mut log = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        let logged: Logged = serde_json::from_str(line).map_err(|error| Error::Data {
            file: path.clone(),
            reason: format!("line {}: {error}", number + 1),
        })?;
        log.insert(logged.epoch, logged);
    }
    Ok(log)
}
