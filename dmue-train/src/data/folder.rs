//! `DIR/<class>/*`: one folder of image files per class, classes in alphabetical order; and
//! `DIR/<split>/<class>/*`, as SFEW comes.

use std::path::{Path, PathBuf};

use super::dataset::Source;
use super::expressions::names;
use super::layout::{Part, Parts};
use super::sample::{Collector, CropSpec, Sample};
use super::split::Split;
use crate::error::{Error, Result};

/// SFEW's folders in the order of the expressions.
const SFEW: [&str; 7] = ["Neutral", "Happy", "Surprise", "Sad", "Angry", "Disgust", "Fear"];

/// The splits of a folder whose folders are called after them: train and another one, or train
/// alone.
///
/// # Errors
/// A folder that cannot be read.
pub fn find(root: &Path) -> Result<Option<Parts>> {
    let (mut parts, inner) = (vec![], folders(root)?);
    let lone = inner.len() == 1;
    for folder in inner {
        if let Some(split) = Split::of_folder(&name(&folder)) {
            parts.push((Some(split), Part::ClassFolders { root: classes_in(folder)? }));
        }
    }
    let trains = parts.iter().any(|(split, _)| *split == Some(Split::Train));
    Ok((trains && (lone || parts.len() > 1)).then_some(parts))
}

/// Steps into a lone folder that itself holds folders: `Train/Train_Aligned_Faces/Angry`.
fn classes_in(folder: PathBuf) -> Result<PathBuf> {
    let inner = folders(&folder)?;
    match <[PathBuf; 1]>::try_from(inner) {
        Ok([lone]) if !folders(&lone)?.is_empty() => Ok(lone),
        _ => Ok(folder),
    }
}

/// Reads every file of every class folder, sorted by name; names that begin with a dot are ignored.
///
/// # Errors
/// Fewer than two class folders, an unreadable image.
pub fn read(path: &Path, spec: CropSpec, skip_bad: bool) -> Result<Source> {
    let folders = folders(path)?;
    if folders.len() < 2 {
        let reason = format!(
            "holds {} class folders, at least 2 are needed, and it is laid out like none of the \
             published sets (dmue-train/DATA.md describes all layouts)",
            folders.len()
        );
        return Err(Error::Data { file: path.into(), reason });
    }
    let found: Vec<String> = folders.iter().map(|folder| name(folder)).collect();
    let (classes, labels) = labels(found);
    let mut collector = Collector::new(path, skip_bad);
    let mut row = 0;
    for (folder, label) in folders.iter().zip(labels) {
        for file in entries(folder)? {
            collector.take(row, sample(&file, label, spec).map(Some))?;
            row += 1;
        }
    }
    Ok(Source::collected(path, classes, collector))
}

/// Class names, and the label of each folder: its place, or for SFEW's seven names the expression's.
fn labels(folders: Vec<String>) -> (Vec<String>, Vec<usize>) {
    let place = |folder: &String| SFEW.iter().position(|name| name == folder);
    match folders.iter().map(place).collect::<Option<Vec<usize>>>() {
        Some(places) if places.len() == SFEW.len() => (names(SFEW.len()), places),
        _ => {
            let labels = (0..folders.len()).collect();
            (folders, labels)
        }
    }
}

/// Decodes one image file.
pub fn sample(file: &Path, label: usize, spec: CropSpec) -> std::result::Result<Sample, String> {
    let describe = |reason: String| format!("{}: {reason}", file.display());
    let bytes = std::fs::read(file).map_err(|error| describe(error.to_string()))?;
    let (crop, original) = spec.decode(&bytes).map_err(describe)?;
    Ok(Sample { name: file.display().to_string(), crop, label, votes: None, original })
}

/// What a folder holds, sorted by name, without names that begin with a dot.
///
/// # Errors
/// A folder that cannot be read.
pub fn entries(path: &Path) -> Result<Vec<PathBuf>> {
    let mut found = vec![];
    for entry in std::fs::read_dir(path).map_err(Error::file(path))? {
        found.push(entry.map_err(Error::file(path))?.path());
    }
    found.retain(|entry| !name(entry).starts_with('.'));
    found.sort();
    Ok(found)
}

/// The last part of a path.
pub fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn folders(path: &Path) -> Result<Vec<PathBuf>> {
    Ok(entries(path)?.into_iter().filter(|entry| entry.is_dir()).collect())
}
