//! RAF-DB (basic emotions) as published: `list_patition_label.txt` (its own spelling) and the folder
//! of aligned faces.

use std::path::{Path, PathBuf};

use super::dataset::Source;
use super::expressions::names;
use super::folder;
use super::layout::{Part, Parts, first_existing};
use super::sample::{Collector, CropSpec, Sample};
use super::split::Split;
use crate::error::{Error, Result};

const LISTS: [&str; 3] = [
    "list_patition_label.txt",
    "EmoLabel/list_patition_label.txt",
    "basic/EmoLabel/list_patition_label.txt",
];
const FOLDERS: [&str; 3] = ["Image/aligned", "aligned", "basic/Image/aligned"];

/// Position among the expressions of RAF-DB's labels 1..=7: surprise, fear, disgust, happiness,
/// sadness, anger, neutral.
const LABELS: [usize; 7] = [2, 6, 5, 1, 3, 4, 0];

/// The two splits of a folder that holds the list and the aligned faces.
///
/// # Errors
/// A folder that holds one without the other.
pub fn find(root: &Path) -> Result<Option<Parts>> {
    let missing = |what: &str, looked_in: &[&str]| {
        let reason = format!("looks like RAF-DB but lacks {what}: looked for {looked_in:?}");
        Err(Error::Data { file: root.into(), reason })
    };
    let (list, images) = (first_existing(root, &LISTS), first_existing(root, &FOLDERS));
    match (list, images) {
        (None, None) => Ok(None),
        (None, Some(_)) => missing("the list of labels", &LISTS),
        (Some(_), None) => missing("the folder of aligned faces", &FOLDERS),
        (Some(list), Some(images)) => {
            let part = |split| {
                let (list, images) = (list.clone(), images.clone());
                (Some(split), Part::RafDb { list, images, split })
            };
            Ok(Some([Split::Train, Split::Test].map(part).into()))
        }
    }
}

/// The faces of one split.
///
/// # Errors
/// An unreadable list, a bad row, an image that is missing.
pub fn read(
    list: &Path,
    images: &Path,
    split: Split,
    spec: CropSpec,
    skip_bad: bool,
) -> Result<Source> {
    let text = std::fs::read_to_string(list).map_err(Error::file(list))?;
    let mut collector = Collector::new(list, skip_bad);
    for (row, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        match entry(line) {
            Ok((of, ..)) if of != split => {}
            Ok((_, name, label)) => collector.take(row, sample(images, name, label, spec))?,
            Err(reason) => collector.take(row, Err(reason))?,
        }
    }
    Ok(Source::collected(list, names(7), collector))
}

fn entry(line: &str) -> std::result::Result<(Split, &str, usize), String> {
    let mut words = line.split_whitespace();
    let (Some(name), Some(label), None) = (words.next(), words.next(), words.next()) else {
        return Err(format!("\"{line}\" is no line like \"train_00001.jpg 5\""));
    };
    let split = Split::of_folder(name)
        .ok_or_else(|| format!("{name}: the name must begin with train_ or test_"))?;
    let place = label.parse::<usize>().ok().and_then(|label| label.checked_sub(1));
    let label = place.and_then(|place| LABELS.get(place)).ok_or_else(|| {
        format!(
            "label {label} of {name}: must be 1 surprise, 2 fear, 3 disgust, 4 happiness, \
             5 sadness, 6 anger or 7 neutral"
        )
    })?;
    Ok((split, name, *label))
}

fn sample(
    images: &Path,
    name: &str,
    label: usize,
    spec: CropSpec,
) -> std::result::Result<Option<Sample>, String> {
    folder::sample(&image(images, name), label, spec).map(Some)
}

/// `train_00001_aligned.jpg` as published, or `train_00001.png` as `data crop` writes it.
fn image(images: &Path, name: &str) -> PathBuf {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let cropped = images.join(format!("{stem}.png"));
    if cropped.exists() { cropped } else { images.join(format!("{stem}_aligned.jpg")) }
}
