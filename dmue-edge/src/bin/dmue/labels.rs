//! `dmue predict --out FILE`: a table of all faces of many images, made by all cores.
//!
//! Jobs take one image each and share the engine. Finished images are kept in [`parts`], so that a run
//! that was killed goes on; at the end [`table`] joins them. The rows are sorted by path and face and
//! depend neither on the number of jobs nor on where the run was killed.

mod parts;
mod table;

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use dmue_edge::engine::{Engine, Prediction};
use indicatif::ProgressBar;
use sha2::{Digest, Sha256};

use self::parts::{Parts, Run, Settings};
use self::table::{Counts, Row};
use crate::inputs;
use crate::output::{naming, with_suffix};
use crate::predict::{self, Arguments, Outcome};

/// Where the table goes and how it is made.
#[derive(clap::Args)]
pub struct Options {
    /// Write one row per face to this Parquet file instead of printing. An image without a face is a
    /// row too, and so is one that cannot be read, with the reason in the column `error`. The same
    /// command again goes on with a run that was killed
    #[arg(long, value_name = "FILE", conflicts_with_all = ["json", "annotate", "dump_crops"])]
    pub out: Option<PathBuf>,
    /// With --out: how many images are worked on at the same time [default: one per core]
    #[arg(long, value_name = "COUNT", requires = "out", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// With --out: replace FILE if it is there, and begin anew where a killed run had other options
    #[arg(long, requires = "out")]
    overwrite: bool,
}

/// Labels all images into `out`. An image that cannot be read is a row; a folder that cannot be listed
/// counts as failed.
///
/// # Errors
/// What concerns every image: the model, an argument that is not there, the output.
pub fn run(arguments: &Arguments, out: &Path) -> Result<Outcome, Box<dyn Error>> {
    let engine = arguments.engine()?;
    let threshold = arguments.threshold(&engine)?;
    let (images, failed) = images(&arguments.paths)?;
    let settings = settings(arguments, &engine)?;
    let notes = notes(&settings, &engine)?;
    let run = Run { settings, images: images.keys().cloned().collect() };
    let parts = Parts::open(out, run, arguments.labels.overwrite)?;
    if parts.run.images.iter().ne(images.keys()) {
        let _ = writeln!(
            io::stderr(),
            "warning: the images are no longer the {} of the run's start: going on with those; delete {} \
             to begin anew",
            parts.run.images.len(),
            parts.folder().display()
        );
    }
    let look = |name: &str| {
        let file = images.get(name).cloned().unwrap_or_else(|| name.into());
        look(&engine, arguments.cropped, &file)
    };
    label_missing(&parts, jobs(&arguments.labels), look, |images| {
        let rows: Vec<_> = images.iter().flat_map(|image| image.rows(threshold)).collect();
        table::encode(&rows, &notes).map_err(io::Error::other)
    })?;
    let count = parts.run.images.len();
    let Counts { faces, errors } = finish(parts, out, &notes)?;
    let file = out.display();
    predict::print(&format!("{file}: {count} images, {faces} faces, {errors} unreadable\n"))?;
    Ok(Outcome { failed })
}

/// An image and what is said about it.
struct Labelled<'a> {
    path: &'a str,
    answer: Result<Vec<Prediction>, String>,
}

impl Labelled<'_> {
    /// At least one, so that no image is missing in the table.
    fn rows(&self, threshold: Option<f64>) -> Vec<Row<'_>> {
        let path = self.path;
        let without = |error| vec![Row { path, face: None, unsure: None, error }];
        match &self.answer {
            Err(reason) => without(Some(reason)),
            Ok(faces) if faces.is_empty() => without(None),
            Ok(faces) => (0..)
                .zip(faces)
                .map(|face| {
                    let unsure = threshold.map(|threshold| predict::is_unsure(face.1, threshold));
                    Row { path, face: Some(face), unsure, error: None }
                })
                .collect(),
        }
    }
}

/// Every image by its path as text, sorted, and how many folders could not be listed.
fn images(arguments: &[PathBuf]) -> Result<(BTreeMap<String, PathBuf>, usize), Box<dyn Error>> {
    if let Some(missing) = arguments.iter().find(|path| !path.exists()) {
        return Err(format!("{}: no such file or folder", missing.display()).into());
    }
    let mut failed = 0;
    let mut images = BTreeMap::new();
    for input in inputs::collect(arguments) {
        match input {
            Ok(path) => _ = images.insert(path.to_string_lossy().into_owned(), path),
            Err(reason) => {
                failed += 1;
                predict::complain(&reason);
            }
        }
    }
    if images.is_empty() { Err("no images to label".into()) } else { Ok((images, failed)) }
}

/// What the rows depend on beside the images themselves.
fn settings(arguments: &Arguments, engine: &Engine) -> Result<Settings, Box<dyn Error>> {
    let model = match &arguments.model {
        Some(file) => std::fs::read(file).map_err(|error| naming(file, &error))?,
        None => Engine::default_model().unwrap_or_default().to_vec(),
    };
    let sha256: String = Sha256::digest(&model).iter().map(|byte| format!("{byte:02x}")).collect();
    let paths: Vec<_> = arguments.paths.iter().map(|path| path.to_string_lossy()).collect();
    let tolerated = arguments.tolerated_error.map(|rate| rate.to_string());
    let settings = [
        ("dmue-edge", env!("CARGO_PKG_VERSION").to_owned()),
        ("model", engine.model().manifest().name.clone()),
        ("model-sha256", sha256),
        ("paths", serde_json::to_string(&paths)?),
        ("cropped", arguments.cropped.to_string()),
        ("minimum-detection-score", arguments.minimum_detection_score.to_string()),
        ("minimum-face", arguments.minimum_face.to_string()),
        ("levels", arguments.levels.to_string()),
        ("tolerated-error", tolerated.unwrap_or_else(|| "none".into())),
    ];
    Ok(settings.map(|(name, value)| (name.to_owned(), value)).into())
}

/// The table's own metadata: `classes`, a JSON list in the order of `probabilities`, and `settings`.
fn notes(settings: &Settings, engine: &Engine) -> serde_json::Result<[(&'static str, String); 2]> {
    let classes = serde_json::to_string(&engine.model().manifest().classes)?;
    Ok([("classes", classes), ("settings", serde_json::to_string(settings)?)])
}

fn jobs(options: &Options) -> usize {
    let cores = || thread::available_parallelism().map_or(1, Into::into);
    options.jobs.map_or_else(cores, Into::into)
}

/// A decoder's panic is a defect of its own, but must not end a run of a million images.
fn look(engine: &Engine, cropped: bool, file: &Path) -> Result<Vec<Prediction>, String> {
    let answered = catch_unwind(AssertUnwindSafe(|| predict::look(engine, cropped, file)));
    match answered {
        Ok(seen) => seen.map(|seen| seen.result.predictions).map_err(|error| error.to_string()),
        Err(_) => Err(format!("{}: reading it failed inside: please report it", file.display())),
    }
}

/// Gives every image of the parts that are missing to the next job that is free; a part is encoded and
/// kept as soon as its last image is labelled.
fn label_missing(
    parts: &Parts,
    jobs: usize,
    look: impl Fn(&str) -> Result<Vec<Prediction>, String> + Sync,
    encode: impl Fn(&[Labelled<'_>]) -> io::Result<Vec<u8>>,
) -> io::Result<()> {
    let images = &parts.run.images;
    let missing: Vec<_> = (0..parts.count())
        .filter(|part| !parts.is_done(*part))
        .flat_map(|part| parts.images(part))
        .collect();
    let bar = predict::progress_bar(images.len());
    // Speed and time left are of this process' images only.
    bar.set_position((images.len() - missing.len()) as u64);
    bar.reset_eta();
    let next = AtomicUsize::new(0);
    let (sender, labelled) = mpsc::sync_channel(jobs);
    let work = |sender: mpsc::SyncSender<_>| {
        while let Some(&image) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
            let path = &images[image];
            let answer = Labelled { path, answer: look(path) };
            if sender.send((image, answer)).is_err() {
                return; // a part could not be kept
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..jobs.min(missing.len()) {
            let sender = sender.clone();
            thread::Builder::new().spawn_scoped(scope, || work(sender))?;
        }
        drop(sender);
        keep(parts, labelled, encode, &bar)
    })?;
    bar.finish_and_clear();
    Ok(())
}

fn keep<'a>(
    parts: &Parts,
    labelled: mpsc::Receiver<(usize, Labelled<'a>)>,
    encode: impl Fn(&[Labelled<'a>]) -> io::Result<Vec<u8>>,
    bar: &ProgressBar,
) -> io::Result<()> {
    let mut begun: BTreeMap<usize, Vec<Labelled<'a>>> = BTreeMap::new();
    for (image, answer) in labelled {
        bar.inc(1);
        let part = Parts::of_image(image);
        let images = begun.entry(part).or_default();
        images.push(answer);
        if images.len() == parts.images(part).len() {
            images.sort_by_key(|image| image.path);
            parts.write(part, &encode(images)?)?;
            begun.remove(&part);
        }
    }
    Ok(())
}

/// Joins the parts into the output, whole or not at all, and removes them.
fn finish(parts: Parts, out: &Path, notes: &[(&str, String)]) -> io::Result<Counts> {
    let temporary = with_suffix(out, ".part");
    let file = File::create(&temporary).map_err(|error| naming(&temporary, &error))?;
    let counts = table::join(&parts.files(), file, notes).map_err(io::Error::other)?;
    std::fs::rename(&temporary, out).map_err(|error| naming(out, &error))?;
    parts.remove()?;
    Ok(counts)
}
