//! One epoch: draw, vary, forward, terms, backward, step.

use indicatif::ProgressBar;
use tch::{Device, Tensor};

use super::checkpoint::Position;
use super::clock::{Clock, Stage};
use super::optimiser::Optimiser;
use crate::config::{Config, Objective};
use crate::data::augment::augment;
use crate::data::dataset::Dataset;
use crate::data::sampler::Sampler;
use crate::error::{Error, Result};
use crate::losses::criterion::{Targets, terms};
use crate::model::dmue::Dmue;

/// Mean and deviation of pixel values on 0..1, stated in the manifest too.
pub const MEAN: f64 = 0.5;
/// See [`MEAN`].
pub const DEVIATION: f64 = 0.5;

/// What a run trains with.
#[derive(Debug)]
pub struct Trainer<'a> {
    /// The settings.
    pub config: &'a Config,
    /// The training images.
    pub data: &'a Dataset,
    /// Draws batches from them.
    pub sampler: Sampler,
    /// The network.
    pub model: Dmue,
    /// Moves its weights.
    pub optimiser: Optimiser,
    /// Where everything lives.
    pub device: Device,
    /// What the stages of the steps took so far.
    pub clock: Clock,
}

/// Asked after every step whether the user wants to stop.
pub type Stop<'a> = &'a dyn Fn() -> bool;

/// How an epoch ended.
#[derive(Debug)]
pub enum Done {
    /// All its steps are done; the means of the loss terms over them.
    Epoch(Means),
    /// The user stopped it here.
    Stopped(Position),
}

/// Mean of each term over an epoch.
pub type Means = Vec<(&'static str, f64)>;

impl Trainer<'_> {
    /// Trains the epoch after `from`, whose first steps may be done; `bar` advances by one per step
    /// and shows the terms. Ends early, after a step, once `stop` says so.
    ///
    /// # Errors
    /// A loss that is no number; the weights are then useless, the last checkpoint is not.
    pub fn epoch(&mut self, from: Position, bar: &ProgressBar, stop: Stop<'_>) -> Result<Done> {
        let epoch = from.epochs;
        let batches = self.sampler.epoch(derive(self.config.seed, epoch, usize::MAX));
        let mut sums: Means = vec![];
        for (step, indices) in batches.iter().enumerate().skip(from.steps) {
            let values = self.step(epoch, step, batches.len(), indices)?;
            bar.set_message(message(&values));
            bar.inc(1);
            add(&mut sums, &values);
            if step + 1 < batches.len() && stop() {
                return Ok(Done::Stopped(Position { epochs: epoch, steps: step + 1 }));
            }
        }
        let count = batches.len().saturating_sub(from.steps).max(1) as f64;
        Ok(Done::Epoch(sums.into_iter().map(|(name, sum)| (name, sum / count)).collect()))
    }

    /// One step on the images of `indices`, the `step`-th of an epoch's `steps`; the value of each
    /// term.
    ///
    /// # Errors
    /// A loss that is no number.
    pub fn step(
        &mut self,
        epoch: usize,
        step: usize,
        steps: usize,
        indices: &[usize],
    ) -> Result<Means> {
        self.clock.start();
        let seed = derive(self.config.seed, epoch, step);
        tch::manual_seed(seed as i64); // dropout and noise
        let (images, labels) = self.data.batch(indices, self.device);
        let images = normalise(&augment(&images, &self.config.augment, seed));
        let images = images.to_kind(self.config.precision.kind());
        self.clock.lap(Stage::Load);
        let outputs = self.model.forward_train(&images);
        self.clock.lap(Stage::Forward);
        let crowd = self.crowd(indices);
        let targets = Targets { labels: &labels, crowd: crowd.as_ref() };
        let terms = terms(&self.model, &outputs, &targets, &self.config.method);
        let total = terms.total(&self.config.method, epoch as f64);
        let value = total.double_value(&[]);
        if !value.is_finite() {
            return Err(Error::Diverged { value, epoch, step });
        }
        self.clock.lap(Stage::Losses);
        self.optimiser.backward(&total);
        self.clock.lap(Stage::Backward);
        let progress = epoch as f64 + step as f64 / steps as f64;
        self.optimiser.update(progress, self.config.epochs as f64);
        self.clock.lap(Stage::Update);
        Ok(std::iter::once(("total", value)).chain(terms.values()).collect())
    }
}

impl Trainer<'_> {
    /// The crowd's distributions, where they are what is learnt.
    fn crowd(&self, indices: &[usize]) -> Option<Tensor> {
        let asked = self.config.method.objective == Objective::Votes;
        asked.then(|| self.data.crowd(indices, self.device)).flatten()
    }
}

/// Pixels 0..1 to what the network sees; equal to the edge's `preprocess::normalise`.
pub fn normalise(images: &Tensor) -> Tensor {
    (images - MEAN) / DEVIATION
}

/// A seed of its own for each (epoch, step), so that a resumed run draws what it would have drawn.
fn derive(seed: u64, epoch: usize, step: usize) -> u64 {
    // splitmix64's constants spread the bits.
    let mut value = seed;
    for part in [epoch as u64, step as u64] {
        value = (value ^ part).wrapping_add(0x9E37_79B9_7F4A_7C15);
        value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        value ^= value >> 27;
    }
    value >> 1
}

fn message(values: &Means) -> String {
    values.iter().map(|(name, value)| format!("{name} {value:.3}")).collect::<Vec<_>>().join("  ")
}

fn add(sums: &mut Means, values: &Means) {
    if sums.is_empty() {
        sums.clone_from(values);
        return;
    }
    sums.iter_mut().zip(values).for_each(|(sum, value)| sum.1 += value.1);
}
