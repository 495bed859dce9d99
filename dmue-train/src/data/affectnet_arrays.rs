//! AffectNet's smaller release: `train_set/images/ID.jpg` (faces already cut out) with
//! `train_set/annotations/ID_exp.npy`, and `val_set` likewise.

use std::path::{Path, PathBuf};

use super::affectnet::{NO_EXPRESSION, classes, label};
use super::dataset::Source;
use super::folder;
use super::layout::{Part, Parts};
use super::npy;
use super::sample::{Collector, CropSpec, Sample};
use super::split::Split;
use crate::error::{Error, Result};

const SUFFIX: &str = "_exp.npy";
const SETS: [(Split, &str); 3] =
    [(Split::Train, "train_set"), (Split::Valid, "val_set"), (Split::Test, "test_set")];

/// The splits of a folder that holds `train_set` or `val_set`, or the one set that `root` itself is.
///
/// # Errors
/// A set without `images` or without `annotations`.
pub fn find(root: &Path) -> Result<Option<Parts>> {
    if root.join("annotations").is_dir() && root.join("images").is_dir() {
        return Ok(Some(vec![(None, Part::AffectNetArrays { set: root.into() })]));
    }
    let mut parts = vec![];
    for (split, name) in SETS {
        let set = root.join(name);
        if set.is_dir() {
            check(&set)?;
            parts.push((Some(split), Part::AffectNetArrays { set }));
        }
    }
    Ok((!parts.is_empty()).then_some(parts))
}

fn check(set: &Path) -> Result<()> {
    for (folder, holds) in [("images", "ID.jpg"), ("annotations", "ID_exp.npy")] {
        if !set.join(folder).is_dir() {
            let reason = format!("looks like AffectNet but lacks the folder {folder} with {holds}");
            return Err(Error::Data { file: set.into(), reason });
        }
    }
    Ok(())
}

/// The faces of one set, in the order of their annotations' names.
///
/// # Errors
/// A bad annotation, an image that is missing.
pub fn read(set: &Path, spec: CropSpec, skip_bad: bool) -> Result<Source> {
    let mut collector = Collector::new(set, skip_bad);
    collector.rule = NO_EXPRESSION;
    let files = folder::entries(&set.join("annotations"))?;
    let annotations = files.iter().filter(|file| folder::name(file).ends_with(SUFFIX));
    for (row, annotation) in annotations.enumerate() {
        collector.take(row, sample(set, annotation, spec))?;
    }
    Ok(Source::collected(set, classes(), collector))
}

fn sample(
    set: &Path,
    annotation: &Path,
    spec: CropSpec,
) -> std::result::Result<Option<Sample>, String> {
    let describe = |reason: String| format!("{}: {reason}", annotation.display());
    let bytes = std::fs::read(annotation).map_err(|error| describe(error.to_string()))?;
    let code = npy::whole_number(&bytes).map_err(describe)?;
    let Some(label) = label(code).map_err(describe)? else { return Ok(None) };
    let name = folder::name(annotation);
    let image = image(set, name.strip_suffix(SUFFIX).unwrap_or(&name));
    folder::sample(&image, label, spec).map(Some)
}

/// `ID.jpg` as published, or `ID.png` as `data crop` writes it.
fn image(set: &Path, id: &str) -> PathBuf {
    let published = set.join(format!("images/{id}.jpg"));
    let cropped = published.with_extension("png");
    if !published.exists() && cropped.exists() { cropped } else { published }
}
