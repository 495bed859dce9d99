//! A run from its data to its last checkpoint.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use tch::{Device, nn};

use super::checkpoint;
use super::epoch::Trainer;
use super::log::Log;
use super::optimiser::Optimiser;
use super::validate::validate;
use crate::config::Config;
use crate::data::dataset::{Dataset, Source};
use crate::data::sample::CropSpec;
use crate::data::sampler::Sampler;
use crate::error::{Error, Result};
use crate::model::dmue::Dmue;
use crate::model::spec::Backbone;

/// A run's data, split and without duplicates.
#[derive(Debug)]
pub struct RunData {
    /// What the network is trained on.
    pub train: Dataset,
    /// Kept out of training; the score head is fitted on it.
    pub held_out: Dataset,
    /// For reporting only.
    pub valid: Dataset,
    /// What was read and left out, a line each.
    pub summary: Vec<String>,
}

/// Where a run reads its faces.
#[derive(Clone, Debug)]
pub struct Paths {
    /// Training faces.
    pub data: PathBuf,
    /// Validation faces.
    pub valid: PathBuf,
    /// Bad rows are counted and left out.
    pub skip_bad: bool,
}

/// Set by Ctrl-C; the run then stops after the step in hand.
pub static STOP: AtomicBool = AtomicBool::new(false);

impl RunData {
    /// Reads both sets; drops training images that stand in the validation set or twice.
    ///
    /// # Errors
    /// Data that cannot be read, or whose classes differ.
    pub fn open(paths: &Paths, config: &Config) -> Result<Self> {
        let spec = CropSpec::of(&config.model);
        let valid = Source::open(&paths.valid, spec, paths.skip_bad)?;
        let mut train = Source::open(&paths.data, spec, paths.skip_bad)?;
        if train.classes != valid.classes {
            return Err(Error::Config(format!(
                "the classes differ: {:?} in training, {:?} in validation",
                train.classes, valid.classes
            )));
        }
        let mut summary = vec![train.summary.clone(), valid.summary.clone()];
        let (mut unique, dropped) = (valid, train.drop_duplicates());
        let repeated = unique.drop_duplicates();
        let shared = train.drop_known(&unique.samples);
        summary.push(format!(
            "{dropped} duplicates within training, {shared} training images that stand in \
             validation, {repeated} duplicates within validation left out"
        ));
        let (train, held_out) = train.hold_out(config.data.held_out, config.seed);
        Ok(Self {
            train: Dataset::new(&train)?,
            held_out: Dataset::new(&held_out)?,
            valid: Dataset::new(&unique)?,
            summary,
        })
    }
}

/// The variables of a run and the network over them.
pub fn network(config: &Config, classes: usize, device: Device) -> Result<(nn::VarStore, Dmue)> {
    let backbone = Backbone::named(&config.model.backbone, config.model.channels, config.model.size)?;
    tch::manual_seed(config.seed as i64);
    let store = nn::VarStore::new(device);
    let model = Dmue::new(&store.root(), &backbone, classes as i64, config.model.dropout);
    Ok((store, model))
}

/// Trains until the config's last epoch or until [`STOP`]; returns the finished epochs.
///
/// # Errors
/// A class with too few images, a loss that is no number, a folder that cannot be written.
pub fn fit(config: &Config, data: &RunData, out: &Path, resume: bool, device: Device) -> Result<usize> {
    let (mut store, model) = network(config, data.train.classes.len(), device)?;
    let mut optimiser = Optimiser::new(&store, &config.optimiser);
    let checkpoints = out.join("checkpoints");
    let done = if resume {
        checkpoint::load(&checkpoint::newest(&checkpoints)?, &mut store, Some(&mut optimiser))?
    } else {
        0
    };
    let classes = &data.train.classes;
    let sampler =
        Sampler::new(&data.train.labels, classes, config.batch, config.data.class_exponent)?;
    let trainer = Trainer { config, data: &data.train, sampler, model, optimiser, device };
    Run { trainer, store, valid: &data.valid, checkpoints, log: Log::open(&out.join("log.jsonl"))? }
        .epochs(done)
}

struct Run<'a> {
    trainer: Trainer<'a>,
    store: nn::VarStore,
    valid: &'a Dataset,
    checkpoints: PathBuf,
    log: Log,
}

impl Run<'_> {
    fn epochs(&mut self, done: usize) -> Result<usize> {
        let epochs = self.trainer.config.epochs;
        let bar = progress_bar(epochs, self.trainer.sampler.steps(), done);
        for epoch in done..epochs {
            bar.set_prefix(format!("epoch {}/{epochs}", epoch + 1));
            self.epoch(epoch, &bar)?;
            if STOP.load(Ordering::Relaxed) && epoch + 1 < epochs {
                return Ok(epoch + 1);
            }
        }
        bar.finish();
        Ok(epochs)
    }

    fn epoch(&mut self, epoch: usize, bar: &ProgressBar) -> Result<()> {
        let start = Instant::now();
        let means = self.trainer.epoch(epoch, bar)?;
        let seconds = start.elapsed().as_secs_f64();
        checkpoint::save(&self.checkpoints, &self.store, &self.trainer.optimiser, epoch + 1)?;
        let valid =
            validate(&self.trainer.model, self.valid, self.trainer.config, self.trainer.device);
        let terms: serde_json::Map<_, _> =
            means.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        self.log.write(&json!({
            "epoch": epoch + 1,
            "seconds": seconds,
            "loss": terms,
            "valid_accuracy": valid.accuracy,
            "valid_mean_recall": valid.mean_recall,
        }))?;
        bar.println(format!(
            "epoch {:3}  loss {:.4}  valid accuracy {:.2}  mean recall {:.2}  {seconds:.0} s",
            epoch + 1,
            means.first().map_or(f64::NAN, |mean| mean.1),
            100. * valid.accuracy,
            100. * valid.mean_recall,
        ));
        Ok(())
    }
}

fn progress_bar(epochs: usize, steps: usize, done: usize) -> ProgressBar {
    let bar = ProgressBar::new((epochs * steps) as u64);
    bar.set_position((done * steps) as u64);
    bar.reset_eta();
    let template = "{prefix} [{bar:30}] {pos}/{len} {eta} left  {msg}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}
