//! One epoch: draw, vary, forward, terms, backward, step.

use indicatif::ProgressBar;
use tch::{Device, Tensor};

use super::checkpoint::Position;
use super::clock::{Clock, Stage};
use super::optimiser::Optimiser;
use super::teachers::Teachers;
use crate::config::Config;
use crate::data::alignment::Map;
use crate::data::augment::augment;
use crate::data::dataset::Dataset;
use crate::data::mixing::mix;
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
    /// How the device would cut each of them; empty where the settings do not ask for it.
    pub maps: Vec<Option<Map>>,
    /// Draws batches from them.
    pub sampler: Sampler,
    /// The network.
    pub model: Dmue,
    /// Whose answers it learns, too.
    pub teachers: Option<Teachers>,
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
        let maps: Vec<Option<Map>> =
            indices.iter().map(|&index| self.maps.get(index).copied().flatten()).collect();
        let images = augment(&images, &maps, &self.config.augment, seed);
        let (images, shares) = self.mixed(images, indices, &labels, seed);
        self.clock.lap(Stage::Load);
        let taught = self.teachers.as_ref().map(|teachers| teachers.shares(&images, self.device));
        let taught = taught.transpose()?;
        self.clock.lap(Stage::Teach);
        let images = normalise(&images).to_kind(self.config.precision.kind());
        let outputs = self.model.forward_train(&images);
        self.clock.lap(Stage::Forward);
        let targets = Targets { labels: &labels, shares: shares.as_ref(), taught: taught.as_ref() };
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
    /// The images, mixed where the settings say so, and what is to be answered where that is not just labels.
    fn mixed(
        &self,
        images: Tensor,
        indices: &[usize],
        labels: &Tensor,
        seed: u64,
    ) -> (Tensor, Option<Tensor>) {
        let (share, settings) = (self.config.method.crowd, &self.config.augment);
        let crowd = if share > 0. { self.data.crowd(indices, self.device) } else { None };
        if crowd.is_none() && !settings.mixes() {
            return (images, None);
        }
        let own = labels.one_hot(self.data.classes.len() as i64).to_kind(images.kind());
        let shares = match crowd {
            Some(crowd) => own * (1. - share) + crowd * share,
            None => own,
        };
        let (images, shares) = mix(&images, &shares, settings, seed);
        (images, Some(shares))
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
