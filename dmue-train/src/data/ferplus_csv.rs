//! FERPlus as published: the votes in `fer2013new.csv`, the faces of the same rows in FER2013's
//! `fer2013.csv` beside it.

use std::path::{Path, PathBuf};

use dmue_edge::face::align::FaceCrop;
use dmue_edge::{FrameView, PixelFormat};

use super::dataset::Source;
use super::expressions::names;
use super::layout::{Part, Parts};
use super::sample::{Collector, CropSpec, Sample};
use super::split::Split;
use super::table::Table;
use super::votes::majority;
use crate::error::{Error, Result};

/// The file of votes, as published.
pub const VOTES: &str = "fer2013new.csv";
/// The file of faces, as published.
pub const FACES: &str = "fer2013.csv";

const VOTE_COLUMNS: [&str; 12] = [
    "Usage",
    "Image name",
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
    "unknown",
    "NF",
];
const FACE_COLUMNS: [&str; 2] = ["pixels", "Usage"];

/// FER2013's faces are 48x48.
const SIDE: u32 = 48;

/// The three splits of a folder that holds both files.
///
/// # Errors
/// A folder that holds only one of them.
pub fn find(root: &Path) -> Result<Option<Parts>> {
    let (votes, faces) = (root.join(VOTES), root.join(FACES));
    if !votes.exists() && !faces.exists() {
        return Ok(None);
    }
    for (file, source) in [
        (&votes, "FERPlus' votes: https://github.com/microsoft/FERPlus"),
        (&faces, "FER2013's faces: the challenge's archive on Kaggle"),
    ] {
        if !file.exists() {
            let reason = format!("is missing ({source}); both files must lie in one folder");
            return Err(Error::Data { file: file.clone(), reason });
        }
    }
    let part = |split| (Some(split), Part::FerPlus { votes: votes.clone(), split });
    Ok(Some([Split::Train, Split::Valid, Split::Test].map(part).into()))
}

/// The faces of one split that have a majority.
///
/// # Errors
/// A column that is missing, files that do not belong together, a bad row.
pub fn read(votes: &Path, split: Split, spec: CropSpec, skip_bad: bool) -> Result<Source> {
    let faces = votes.with_file_name(FACES);
    let mut ballots = Table::open(votes, VOTE_COLUMNS)?.rows();
    let mut pictures = Table::open(&faces, FACE_COLUMNS)?.rows();
    let mut collector = Collector::new(votes, skip_bad);
    for row in 0.. {
        match (ballots.next(), pictures.next()) {
            (None, None) => break,
            (Some(ballot), Some(picture)) => match sample(ballot, picture, split, spec) {
                Ok(None) => {}
                Ok(Some(labelled)) => collector.take(row, Ok(labelled))?,
                Err(reason) => collector.take(row, Err(reason))?,
            },
            (ballot, _) => return Err(lengths(row, ballot.is_some(), votes, faces)),
        }
    }
    Ok(Source::collected(votes, names(8), collector))
}

fn lengths(row: usize, more_votes: bool, votes: &Path, faces: PathBuf) -> Error {
    let (file, other) = if more_votes { (faces, votes.into()) } else { (votes.into(), faces) };
    let other = other.display();
    let reason = format!("ends after {row} rows, {other} goes on: they do not belong together");
    Error::Data { file, reason }
}

/// None for a row of another split, Some(None) for one without a majority.
fn sample(
    ballot: std::result::Result<[String; 12], String>,
    picture: std::result::Result<[String; 2], String>,
    split: Split,
    spec: CropSpec,
) -> std::result::Result<Option<Option<Sample>>, String> {
    let [usage, name, counts @ ..] = ballot?;
    let [pixels, other_usage] = picture.map_err(|reason| format!("{FACES}: {reason}"))?;
    if usage != other_usage {
        return Err(format!(
            "Usage is \"{usage}\" here and \"{other_usage}\" in {FACES}: the files do not belong \
             together"
        ));
    }
    if split_of(&usage)? != split {
        return Ok(None);
    }
    let counts: [String; 10] = counts;
    let mut counts: Vec<u8> = counts
        .iter()
        .zip(&VOTE_COLUMNS[2..])
        .map(|(count, column)| {
            count.parse().map_err(|_| format!("{column} is \"{count}\", not a count of votes"))
        })
        .collect::<std::result::Result<_, String>>()?;
    let classes = counts.len() - 2;
    let Some(label) = majority(&counts, classes) else { return Ok(Some(None)) };
    let crop = decode(&pixels, spec)?;
    counts.truncate(classes); // the rest are "unknown" and "no face"
    Ok(Some(Some(Sample { name, crop, label, votes: Some(counts), original: [SIDE; 2] })))
}

fn split_of(usage: &str) -> std::result::Result<Split, String> {
    match usage {
        "Training" => Ok(Split::Train),
        "PublicTest" => Ok(Split::Valid),
        "PrivateTest" => Ok(Split::Test),
        _ => Err(format!("Usage is \"{usage}\": must be Training, PublicTest or PrivateTest")),
    }
}

fn decode(pixels: &str, spec: CropSpec) -> std::result::Result<FaceCrop, String> {
    let values: Vec<u8> = pixels
        .split_ascii_whitespace()
        .map(|value| value.parse().map_err(|_| format!("pixels holds \"{value}\", not 0..=255")))
        .collect::<std::result::Result<_, String>>()?;
    let wanted = (SIDE * SIDE) as usize;
    if values.len() != wanted {
        return Err(format!("pixels holds {} values, must be {wanted} (48x48)", values.len()));
    }
    let frame = FrameView::new(&values, SIDE, SIDE, SIDE as usize, PixelFormat::Gray8)
        .map_err(|error| error.to_string())?;
    Ok(FaceCrop::resized(&frame, spec.size, spec.colour))
}
