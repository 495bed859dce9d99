//! `dmue-train fit`

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::command_line;
use dmue_train::config::{Config, Precision};
use dmue_train::model::spec::Backbone;
use dmue_train::train::folder::{RunFolder, RunInfo};
use dmue_train::train::run::{self, Paths, RunData};
use dmue_train::{Error, Result, device};

/// Arguments of `fit`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Training faces: a .parquet pack, a .csv list (path,label), a folder of class folders, or a
    /// published set's split such as RAFDB#train (dmue-train/DATA.md).
    #[arg(long, required_unless_present = "resume")]
    data: Option<PathBuf>,
    /// Validation faces, for reporting only; training images that stand among them are left out.
    #[arg(long, required_unless_present = "resume")]
    valid: Option<PathBuf>,
    /// Shipped settings to train with: edge, resnet18, resnet50_ibn, mobilenet_v2, shufflenet_v1 by
    /// network; ferplus, raf_db, affectnet, sfew by data set; or tiny for a try.
    #[arg(long, default_value = "edge")]
    model: String,
    /// Settings of your own (TOML) in place of the shipped ones.
    #[arg(long, conflicts_with = "model")]
    config: Option<PathBuf>,
    /// Folder of the run.
    #[arg(long)]
    out: PathBuf,
    /// Go on with the run in --out, with the settings and data that it was started with.
    #[arg(long, conflicts_with_all = ["data", "valid", "config", "epochs", "seed", "precision", "skip_bad"])]
    resume: bool,
    /// Trained weights to start from: .safetensors, a PyTorch state dict (.pt, .pth), a checkpoint of
    /// a run, or a .dmue.onnx, also of other classes.
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    init: Option<PathBuf>,
    /// Leave bad rows out and say how many, instead of stopping at the first.
    #[arg(long)]
    skip_bad: bool,
    /// In place of the settings' epochs; the cosine is stretched, steps of rates stay.
    #[arg(long)]
    epochs: Option<usize>,
    /// In place of the settings' seed.
    #[arg(long)]
    seed: Option<u64>,
    /// In place of the settings' precision of maps and their gradients.
    #[arg(long)]
    precision: Option<Precision>,
    /// Terms of the training data, for the model file's manifest.
    #[arg(long, default_value = "not stated")]
    licence: String,
}

/// Trains until the last epoch or Ctrl-C.
pub fn run(arguments: Arguments) -> Result<()> {
    train(arguments, vec![])
}

/// The same with teachers beside those of the settings.
pub fn train(arguments: Arguments, teachers: Vec<PathBuf>) -> Result<()> {
    let device = device::pick();
    eprintln!("device: {}", device::describe(device));
    let folder = folder(&arguments, &teachers)?;
    let (config, info) = (folder.config()?, folder.info()?);
    let data = RunData::open(&info.paths, &config)?;
    describe(&config, &data)?;
    let stop = stop_on_interrupt()?;
    let position = run::fit(&folder, &data, device, &|| stop.load(Ordering::Relaxed))?;
    let out = arguments.out.display();
    if position.epochs < config.epochs {
        eprintln!(
            "stopped and saved after {} epochs and {} steps",
            position.epochs, position.steps
        );
        eprintln!("go on with: dmue-train fit --resume --out {out}");
    } else {
        eprintln!("done; next: dmue-train export --run {out} --out NAME.dmue.onnx");
    }
    Ok(())
}

fn folder(arguments: &Arguments, teachers: &[PathBuf]) -> Result<RunFolder> {
    let (Some(data), Some(valid)) = (&arguments.data, &arguments.valid) else {
        return Ok(RunFolder::open(&arguments.out));
    };
    let mut config = match &arguments.config {
        Some(path) => Config::read(path)?,
        None => Config::named(&arguments.model)?,
    };
    config.epochs = arguments.epochs.unwrap_or(config.epochs);
    config.seed = arguments.seed.unwrap_or(config.seed);
    config.precision = arguments.precision.unwrap_or(config.precision);
    // The run may go on from another folder.
    let absolute = |file: &PathBuf| std::path::absolute(file).map_err(Error::file(file));
    if let Some(file) = &arguments.init {
        config.model.init = Some(absolute(file)?);
    }
    for teacher in teachers {
        config.method.teachers.push(absolute(teacher)?);
    }
    config.check()?;
    let info = RunInfo {
        command: command_line(),
        commit: commit(),
        licence: arguments.licence.clone(),
        paths: Paths { data: data.clone(), valid: valid.clone(), skip_bad: arguments.skip_bad },
    };
    RunFolder::create(&arguments.out, &config, &info)
}

/// The commit of the sources around the working folder, where there is git and a repository.
fn commit() -> String {
    let asked = std::process::Command::new("git").args(["rev-parse", "--short", "HEAD"]).output();
    let answer = asked.ok().filter(|output| output.status.success());
    answer
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .map_or("unknown".into(), |text| text.trim().to_owned())
}

fn describe(config: &Config, data: &RunData) -> Result<()> {
    let model = &config.model;
    let backbone = Backbone::of(model)?;
    eprintln!(
        "model: {} {}x{}x{}, {:.2} M parameters, {:.1} M multiply-adds",
        model.backbone,
        model.channels,
        model.size,
        model.size,
        backbone.parameters() as f64 / 1e6,
        backbone.multiply_adds() as f64 / 1e6
    );
    data.summary.iter().for_each(|line| eprintln!("{line}"));
    let (train, held_out, valid) = (data.train.len(), data.held_out.len(), data.valid.len());
    eprintln!("{train} faces to train on, {held_out} held out for the score, {valid} to validate");
    for (class, count) in data.train.classes.iter().zip(data.train.counts()) {
        eprintln!("  {class}: {count}");
    }
    Ok(())
}

fn stop_on_interrupt() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(130); // the second time the user means it
        }
        eprintln!("\nfinishing the step and saving; again to stop at once");
    })
    .map_err(|error| Error::Config(format!("Ctrl-C cannot be watched: {error}")))?;
    Ok(stop)
}
