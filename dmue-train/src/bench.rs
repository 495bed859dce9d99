//! How fast a training step is: the very step of `fit` on made faces, stage by stage.

use std::fmt::{self, Display, Formatter};

use dmue_edge::face::align::FaceCrop;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use tch::Device;

use crate::config::{Config, Objective, Precision};
use crate::data::dataset::{Dataset, Source};
use crate::data::sample::Sample;
use crate::data::sampler::Sampler;
use crate::error::Result;
use crate::train::clock::{Clock, STAGES, Stage};
use crate::train::epoch::Trainer;
use crate::train::optimiser::Optimiser;
use crate::train::run::network;

/// Steps before the clock starts.
const WARM_UP: usize = 3;
/// Batches' worth of made faces.
const BATCHES: usize = 4;

/// What was measured of one config.
#[derive(Debug, Serialize)]
pub struct Throughput {
    /// The config's backbone.
    pub backbone: String,
    /// `dmue` or `ce`.
    pub objective: Objective,
    /// `float32` or `bfloat16`.
    pub precision: Precision,
    /// Images per step.
    pub batch: usize,
    /// Steps that were timed.
    pub steps: usize,
    /// Images per second.
    pub images_per_second: f64,
    /// Milliseconds per step of each stage: load, teach, forward, losses, backward, update.
    pub milliseconds: Vec<(&'static str, f64)>,
}

/// Times `steps` steps of a config's training on faces of noise of `classes` classes.
///
/// # Errors
/// A config that cannot be trained with so many classes.
pub fn measure(
    config: &Config,
    classes: usize,
    steps: usize,
    device: Device,
) -> Result<Throughput> {
    let data = Dataset::new(&noise(config, classes))?;
    let sampler = Sampler::of(&data.labels, &data.classes, config)?;
    let (store, model) = network(config, classes, device)?;
    let optimiser = Optimiser::new(&store, &config.optimiser);
    let clock = Clock::exact(device);
    let (maps, teachers) = (vec![], None);
    let mut trainer =
        Trainer { config, data: &data, maps, sampler, model, teachers, optimiser, device, clock };
    let batches: Vec<_> =
        (0..).flat_map(|seed| trainer.sampler.epoch(seed)).take(WARM_UP + steps).collect();
    for (step, indices) in batches.iter().enumerate() {
        if step == WARM_UP {
            trainer.clock = Clock::exact(device);
        }
        trainer.step(0, step, batches.len(), indices)?;
    }
    Ok(Throughput::of(config, steps, trainer.clock.seconds()))
}

impl Throughput {
    fn of(config: &Config, steps: usize, seconds: [f64; STAGES]) -> Self {
        let each = |seconds: f64| 1e3 * seconds / steps as f64;
        let named = Stage::ALL.iter().zip(seconds).map(|(stage, time)| (stage.name(), each(time)));
        Self {
            backbone: config.model.backbone.clone(),
            objective: config.method.objective,
            precision: config.precision,
            batch: config.batch,
            steps,
            images_per_second: (steps * config.batch) as f64 / seconds.iter().sum::<f64>(),
            milliseconds: named.collect(),
        }
    }
}

impl Display for Throughput {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "{:14} {:?}, ", self.backbone, self.objective)?;
        write!(out, "{:?}, batch {}: ", self.precision, self.batch)?;
        write!(out, "{:.1} images/s; ms a step:", self.images_per_second)?;
        let total: f64 = self.milliseconds.iter().map(|(_, time)| time).sum();
        for (name, time) in &self.milliseconds {
            write!(out, " {name} {time:.1} ({:.0} %)", 100. * time / total)?;
        }
        Ok(())
    }
}

/// Faces of noise of the config's size, classes in turn, with a crowd of one opinion.
fn noise(config: &Config, classes: usize) -> Source {
    let mut generator = ChaCha8Rng::seed_from_u64(config.seed);
    let (size, channels) = (config.model.size as u32, config.model.channels as u32);
    let mut sample = |index: usize| {
        let label = index % classes;
        let mut pixels = vec![0u8; (size * size * channels) as usize];
        generator.fill(&mut pixels);
        let mut votes = vec![0; classes];
        votes[label] = 10;
        let crop = FaceCrop { size, channels, pixels };
        Sample {
            name: format!("noise {index}"),
            crop,
            label,
            votes: Some(votes),
            original: [size; 2],
        }
    };
    Source {
        samples: (0..BATCHES * config.batch).map(&mut sample).collect(),
        classes: (0..classes).map(|class| format!("class{class}")).collect(),
        summary: "faces of noise".into(),
    }
}
