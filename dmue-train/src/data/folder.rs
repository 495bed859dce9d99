//! `DIR/<class>/*`: one folder of image files per class, classes in alphabetical order.

use std::path::{Path, PathBuf};

use super::dataset::Source;
use super::sample::{Collector, CropSpec, Sample};
use crate::error::{Error, Result};

/// Reads every file of every class folder, sorted by name; files that begin with a dot are ignored.
///
/// # Errors
/// Fewer than two class folders, an unreadable image.
pub fn read(path: &Path, spec: CropSpec, skip_bad: bool) -> Result<Source> {
    let folders: Vec<PathBuf> = entries(path)?.into_iter().filter(|entry| entry.is_dir()).collect();
    if folders.len() < 2 {
        let reason = format!("holds {} class folders, at least 2 are needed", folders.len());
        return Err(Error::Data { file: path.into(), reason });
    }
    let mut collector = Collector::new(path, skip_bad);
    let mut row = 0;
    for (label, folder) in folders.iter().enumerate() {
        for file in entries(folder)? {
            collector.take(row, sample(&file, label, spec).map(Some))?;
            row += 1;
        }
    }
    Ok(Source::collected(path, folders.iter().map(|folder| name(folder)).collect(), collector))
}

/// Decodes one image file.
pub fn sample(file: &Path, label: usize, spec: CropSpec) -> std::result::Result<Sample, String> {
    let describe = |reason: String| format!("{}: {reason}", file.display());
    let bytes = std::fs::read(file).map_err(|error| describe(error.to_string()))?;
    let crop = spec.decode(&bytes).map_err(describe)?;
    Ok(Sample { name: file.display().to_string(), crop, label, votes: None })
}

fn entries(path: &Path) -> Result<Vec<PathBuf>> {
    let mut found = vec![];
    for entry in std::fs::read_dir(path).map_err(Error::file(path))? {
        found.push(entry.map_err(Error::file(path))?.path());
    }
    found.retain(|entry| !name(entry).starts_with('.'));
    found.sort();
    Ok(found)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
