//! A run from its data to its last checkpoint.

use std::path::PathBuf;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tch::{Device, nn};

use super::checkpoint::{self, Position};
use super::clock::{Clock, Stage};
use super::epoch::{Done, Means, Stop, Trainer, normalise};
use super::folder::RunFolder;
use super::log::Log;
use super::optimiser::Optimiser;
use super::teachers::Teachers;
use super::validate::validate;
use crate::config::Config;
use crate::data::alignment::{self, Map};
use crate::data::dataset::{Dataset, Source};
use crate::data::sample::CropSpec;
use crate::data::sampler::Sampler;
use crate::error::{Error, Result};
use crate::model::dmue::Dmue;
use crate::model::pretrained;
use crate::model::spec::Backbone;

/// Training images by which weights without statistics get them.
const CALIBRATED: usize = 128;

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
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Paths {
    /// Training faces.
    pub data: PathBuf,
    /// Validation faces.
    pub valid: PathBuf,
    /// Bad rows are counted and left out.
    pub skip_bad: bool,
}

impl RunData {
    /// Reads both sets; drops training images that stand in the validation set or twice.
    ///
    /// # Errors
    /// Data that cannot be read, or whose classes differ.
    pub fn open(paths: &Paths, config: &Config) -> Result<Self> {
        let spec = CropSpec::of(&config.model);
        let open = |path| {
            Source::open(path, spec, paths.skip_bad)
                .and_then(|source| source.select(&config.data.classes))
        };
        let (valid, mut train) = (open(&paths.valid)?, open(&paths.data)?);
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
        let mut train = Dataset::new(&train)?;
        train.flip_labels(config.data.flip_labels, config.seed);
        Ok(Self {
            train,
            held_out: Dataset::new(&held_out)?,
            valid: Dataset::new(&unique)?,
            summary,
        })
    }
}

/// The variables of a run and the network over them.
pub fn network(config: &Config, classes: usize, device: Device) -> Result<(nn::VarStore, Dmue)> {
    let backbone = Backbone::of(&config.model)?;
    tch::manual_seed(config.seed as i64);
    let store = nn::VarStore::new(device);
    let auxiliary = config.method.auxiliary();
    let dropout = config.model.dropout;
    let model = Dmue::with(&store.root(), &backbone, classes as i64, dropout, auxiliary);
    Ok((store, model))
}

fn check_votes(config: &Config, train: &Dataset) -> Result<()> {
    let share = config.method.crowd;
    if share > 0. && train.votes.is_none() {
        return Err(Error::Config(format!(
            "method.crowd = {share}: the training data have no votes; use 0"
        )));
    }
    Ok(())
}

/// Trains from the run's newest checkpoint, or from the start where it has none, until the config's
/// last epoch or until `stop` says so; returns how far the run is.
///
/// # Errors
/// A class with too few images, a loss that is no number, a folder that cannot be written.
pub fn fit(folder: &RunFolder, data: &RunData, device: Device, stop: Stop<'_>) -> Result<Position> {
    let config = folder.config()?;
    let (mut store, model) = network(&config, data.train.classes.len(), device)?;
    let mut optimiser = Optimiser::new(&store, &config.optimiser);
    let checkpoints = folder.checkpoints();
    let from = match checkpoint::newest_if_any(&checkpoints)? {
        Some(newest) => checkpoint::load(&newest, &mut store, Some(&mut optimiser))?,
        None => {
            start(&config, data, &store, &model, device)?;
            Position::default()
        }
    };
    let sampler = Sampler::of(&data.train.labels, &data.train.classes, &config)?;
    check_votes(&config, &data.train)?;
    let log = Log::open(&folder.log(), from.epochs)?;
    let trainer = Trainer {
        config: &config,
        data: &data.train,
        model,
        maps: maps(&config, &data.train)?,
        teachers: teachers(&config, &data.train, &sampler)?,
        sampler,
        optimiser,
        device,
        clock: Clock::new(),
    };
    Run { trainer, store, valid: &data.valid, checkpoints, log, stop }.train(from)
}

/// How the device would cut the training faces, where the settings want them so.
fn maps(config: &Config, train: &Dataset) -> Result<Vec<Option<Map>>> {
    if config.augment.aligned == 0. {
        return Ok(vec![]);
    }
    let maps = alignment::maps(&train.images, tch::get_num_threads().max(1) as usize)?;
    let found = maps.iter().flatten().count();
    eprintln!("the device's detector finds {found} of {} training faces", maps.len());
    Ok(maps)
}

/// The settings' teachers, who answer for the classes' shares in batches, as the network is to: it gets the prior
/// that the settings ask for when it is exported, as they got it.
fn teachers(config: &Config, train: &Dataset, sampler: &Sampler) -> Result<Option<Teachers>> {
    let shift = config.data.prior_shift(&train.shares(), &sampler.shares());
    let shift: Vec<f64> = shift.into_iter().map(|shift| -shift).collect();
    let method = &config.method;
    Teachers::open(&method.teachers, method.teacher_temperature, &train.classes, &shift)
}

/// Takes the weights that the settings ask for, and says which.
fn start(
    config: &Config,
    data: &RunData,
    store: &nn::VarStore,
    model: &Dmue,
    device: Device,
) -> Result<()> {
    let Some(file) = &config.model.init else {
        return Ok(());
    };
    let backbone = Backbone::of(&config.model)?;
    let report = pretrained::initialise(file, &backbone, &data.train.classes, store)?;
    eprintln!("{report}");
    if report.folded {
        let count = data.train.len().min(CALIBRATED);
        let spread: Vec<usize> = (0..count).map(|index| index * data.train.len() / count).collect();
        let (images, _) = data.train.batch(&spread, device);
        model.calibrate(&normalise(&images), report.head);
    }
    Ok(())
}

struct Run<'a> {
    trainer: Trainer<'a>,
    store: nn::VarStore,
    valid: &'a Dataset,
    checkpoints: PathBuf,
    log: Log,
    stop: Stop<'a>,
}

impl Run<'_> {
    fn train(&mut self, from: Position) -> Result<Position> {
        let epochs = self.trainer.config.epochs;
        let bar = progress_bar(epochs, self.trainer.sampler.steps(), from);
        let mut position = from;
        while position.epochs < epochs {
            bar.set_prefix(format!("epoch {}/{epochs}", position.epochs + 1));
            position = self.epoch(position, &bar)?;
            if position.steps > 0 || (self.stop)() {
                break;
            }
        }
        bar.finish();
        Ok(position)
    }

    fn epoch(&mut self, from: Position, bar: &ProgressBar) -> Result<Position> {
        let start = Instant::now();
        let (position, means) = match self.trainer.epoch(from, bar, self.stop)? {
            Done::Epoch(means) => (Position { epochs: from.epochs + 1, steps: 0 }, Some(means)),
            Done::Stopped(position) => (position, None),
        };
        if !checkpoint::is_finite(&self.store) {
            let step = self.trainer.sampler.steps();
            return Err(Error::Diverged { value: f64::NAN, epoch: from.epochs, step });
        }
        let seconds = start.elapsed().as_secs_f64();
        // What is judged and saved is the average, where one is kept.
        self.trainer.optimiser.swap_average();
        // Logged before it is saved: a line without a checkpoint is dropped on resuming, a
        // checkpoint without a line would leave a gap.
        let line = match means {
            Some(means) => self.report(position.epochs, &means, seconds)?,
            None => String::new(),
        };
        let keep_every = self.trainer.config.keep_every;
        let optimiser = &self.trainer.optimiser;
        checkpoint::save(&self.checkpoints, &self.store, optimiser, position, keep_every)?;
        self.trainer.optimiser.swap_average();
        bar.suspend(|| eprint!("{line}"));
        Ok(position)
    }

    /// Logs a finished epoch and returns the line that a person reads.
    fn report(&mut self, epoch: usize, means: &Means, seconds: f64) -> Result<String> {
        let valid = validate(&self.trainer.model, self.valid, self.trainer.device);
        let terms: serde_json::Map<_, _> =
            means.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        self.log.write(&json!({
            "epoch": epoch,
            "seconds": seconds,
            "loading": self.trainer.clock.share(Stage::Load),
            "loss": terms,
            "valid_accuracy": valid.accuracy,
            "valid_mean_recall": valid.mean_recall,
        }))?;
        Ok(format!(
            "epoch {epoch:3}  loss {:.4}  valid accuracy {:.2}  mean recall {:.2}  {seconds:.0} s\n",
            means.first().map_or(f64::NAN, |mean| mean.1),
            100. * valid.accuracy,
            100. * valid.mean_recall,
        ))
    }
}

fn progress_bar(epochs: usize, steps: usize, from: Position) -> ProgressBar {
    let bar = ProgressBar::new((epochs * steps) as u64);
    bar.set_position((from.epochs * steps + from.steps) as u64);
    bar.reset_eta();
    let template = "{prefix} [{bar:30}] {pos}/{len} {eta} left  {msg}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}
