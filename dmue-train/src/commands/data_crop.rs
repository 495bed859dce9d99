//! `dmue-train data crop`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dmue_train::config::Config;
use dmue_train::data::crop::{Cropper, Job, Outcome, jobs};
use dmue_train::data::folder;
use dmue_train::data::sample::CropSpec;
use dmue_train::data::sheet::{self, COLUMNS, Strip};
use dmue_train::train::folder::write_whole;
use dmue_train::{Error, Result};
use indicatif::{ProgressBar, ProgressStyle};

/// This many crops of a folder are shown on the sheet.
const SHOWN: usize = 10 * COLUMNS;

/// Arguments of `data crop`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Photos or video frames: files and folders; class folders stay class folders.
    #[arg(required = true)]
    photos: Vec<PathBuf>,
    /// A new folder for the crops, with sheet.png and not_found.txt.
    #[arg(long)]
    out: PathBuf,
    /// Shipped settings whose size and colour the crops get.
    #[arg(long, default_value = "edge")]
    model: String,
    /// Settings of your own (TOML) in place of the shipped ones.
    #[arg(long, conflicts_with = "model")]
    config: Option<PathBuf>,
    /// Every face of a photo; without it the largest one.
    #[arg(long)]
    every_face: bool,
}

/// Crops, then writes the sheet and the list of photos without a face.
pub fn run(arguments: &Arguments) -> Result<()> {
    let config = match &arguments.config {
        Some(path) => Config::read(path)?,
        None => Config::named(&arguments.model)?,
    };
    let (out, jobs) = (&arguments.out, jobs(&arguments.photos)?);
    make_empty(out)?;
    let spec = CropSpec::of(&config.model);
    let bar = progress_bar(jobs.len());
    let cropper = Cropper::new(spec, arguments.every_face)?;
    let outcomes = cropper.run(&jobs, out, &|| bar.inc(1))?;
    bar.finish();
    let lost = list_lost(&jobs, &outcomes, out)?;
    let crops: Vec<&PathBuf> = outcomes.iter().flatten().flatten().collect();
    let shown = out.display();
    if !crops.is_empty() {
        sheet::write(&out.join("sheet.png"), &strips(out, &crops, spec)?)?;
    }
    eprintln!(
        "{} photos: {} crops in {shown}, a look at them in {shown}/sheet.png",
        jobs.len(),
        crops.len()
    );
    if lost > 0 {
        eprintln!("{lost} photos gave none: {shown}/not_found.txt says why");
    }
    Ok(())
}

fn make_empty(out: &Path) -> Result<()> {
    std::fs::create_dir_all(out).map_err(Error::file(out))?;
    let shown = out.display();
    match folder::entries(out)?.is_empty() {
        true => Ok(()),
        false => Err(Error::Config(format!("--out {shown}: is not empty; choose a new folder"))),
    }
}

/// A line per photo without a crop: its path, a tab, the reason.
fn list_lost(jobs: &[Job], outcomes: &[Outcome], out: &Path) -> Result<usize> {
    let lost: Vec<String> = jobs
        .iter()
        .zip(outcomes)
        .filter_map(|(job, outcome)| Some((job, outcome.as_ref().err()?)))
        .map(|(job, reason)| format!("{}\t{reason}\n", job.photo.display()))
        .collect();
    write_whole(&out.join("not_found.txt"), lost.concat().as_bytes())?;
    Ok(lost.len())
}

/// A strip per folder of the output.
fn strips(out: &Path, crops: &[&PathBuf], spec: CropSpec) -> Result<Vec<Strip>> {
    let mut by_folder = BTreeMap::<String, Vec<&PathBuf>>::new();
    for crop in crops {
        let below = crop.strip_prefix(out).ok().and_then(Path::parent).unwrap_or(Path::new(""));
        by_folder.entry(below.display().to_string()).or_default().push(crop);
    }
    let mut strips = vec![];
    for (folder_name, crops) in by_folder {
        let read = |path: &PathBuf| {
            let sample = folder::sample(path, 0, spec);
            sample
                .map(|sample| sample.crop)
                .map_err(|reason| Error::Data { file: path.clone(), reason })
        };
        let faces = sheet::spread(&crops, SHOWN).into_iter().map(read).collect::<Result<_>>()?;
        let name = if folder_name.is_empty() { String::new() } else { folder_name + ": " };
        strips.push(Strip { title: format!("{name}{} faces", crops.len()), faces });
    }
    Ok(strips)
}

fn progress_bar(photos: usize) -> ProgressBar {
    let bar = ProgressBar::new(photos as u64);
    match ProgressStyle::with_template("[{bar:30}] {pos}/{len} photos, {eta} left") {
        Ok(style) => bar.with_style(style.progress_chars("=> ")),
        Err(_) => bar,
    }
}
