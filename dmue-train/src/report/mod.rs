//! A run and others beside it, against people: tables, figures and one page.

use std::path::{Path, PathBuf};

use tch::Device;

use crate::data::dataset::Dataset;
use crate::error::{Error, Result};

pub mod canvas;
pub mod confidence;
pub mod crowd;
pub mod figures;
pub mod gallery;
pub mod opened;
pub mod page;
pub mod recovery;
pub mod statistics;
pub mod study;
pub mod tables;

use confidence::judge;
use crowd::Crowd;
use opened::{Opened, Rows};
use page::{Figure, Table};
use statistics::largest;
use study::Study;

/// What to report on.
#[derive(Clone, Debug)]
pub struct Options {
    /// The run's folder.
    pub run: PathBuf,
    /// Folders of runs to put beside it: the same validation faces.
    pub against: Vec<PathBuf>,
    /// Bootstrap draws of each interval.
    pub resamples: usize,
}

/// What a report holds.
#[derive(Debug)]
pub struct Report {
    /// Its tables.
    pub tables: Vec<Table>,
    /// Its figures.
    pub figures: Vec<Figure>,
}

/// Opens every run, compares them and picks what is shown.
///
/// # Errors
/// A folder without a run, runs with other validation faces.
pub fn build(options: &Options, device: Device) -> Result<Report> {
    let mut run = Opened::open(&options.run, device)?;
    let empty = empty_like(&run.data.valid);
    let valid = std::mem::replace(&mut run.data.valid, empty);
    let crowd = valid.votes.as_ref().map(|votes| Crowd::of(votes, &valid.labels));
    let compared = crowd.as_ref().map_or(vec![], |crowd| crowd.ambiguous.clone());
    let mut studies = vec![Study::of(&run, &valid, &compared)?];
    for path in &options.against {
        let other = Opened::open(path, device)?;
        check_same(&valid, &other.data.valid, path)?;
        studies.push(Study::of(&other, &valid, &compared)?);
    }
    let outputs = run.outputs(&valid);
    let probabilities = outputs.probabilities()?;
    let measures = run.measures(&outputs)?;
    let judged = judge(&measures, &probabilities, &valid.labels, crowd.as_ref(), options.resamples);

    let mut tables = vec![tables::runs(&studies, valid.len())];
    if let Some(crowd) = crowd.as_ref().filter(|crowd| !crowd.ambiguous.is_empty()) {
        tables.push(tables::nearness(&crowd.compare(&sources(&studies), options.resamples), crowd));
    }
    tables.push(tables::confidence(&judged, &run.name, crowd.as_ref()));
    tables.extend(tables::recovery(&studies));
    let score = measures.first().map_or(vec![], |measure| measure.confidence.clone());
    let mut figures = vec![gallery::curves(&studies)];
    let shown = shown(&valid, crowd.as_ref(), &probabilities);
    if run.mines() {
        figures.push(gallery::moments(&mut run, &valid, &shown, crowd.as_ref())?);
    }
    figures.extend(comparisons(&studies, &valid, crowd.as_ref()));
    figures.push(gallery::by_score(&run, &valid, &score, &probabilities, shown.first().copied())?);
    Ok(Report { tables, figures })
}

/// Figures 3 to 5, as far as there are runs for them.
fn comparisons(studies: &[Study], valid: &Dataset, crowd: Option<&Crowd>) -> Vec<Figure> {
    let mut figures = vec![];
    let mining = |study: &&Study| study.recovery.is_some() && study.mining().is_some();
    figures.extend(studies.iter().find(mining).and_then(|study| gallery::flipped(study, valid)));
    let Some(crowd) = crowd.filter(|crowd| !crowd.ambiguous.is_empty()) else { return figures };
    let clean = |kind: &str| {
        studies.iter().find(|study| study.mining() == Some(kind) && study.recovery.is_none())
    };
    if let (Some(negative), Some(all)) = (clean("LD-N"), clean("LD-A")) {
        let places = gallery::contested(crowd, 6);
        figures.push(gallery::negative_beside_all(negative, all, valid, crowd, &places));
    }
    if let Some(study) = clean("LD-N").or(clean("LD-A")) {
        let places = gallery::contested(crowd, 9);
        figures.push(gallery::mined_against_crowd(study, valid, crowd, &places));
    }
    figures
}

/// Every distribution to compare with the crowd, the first study's mined one first.
fn sources(studies: &[Study]) -> Vec<(String, Rows)> {
    let mut sources = vec![];
    for study in studies.iter().filter(|study| study.recovery.is_none()) {
        if let Some(kind) = study.mining() {
            sources.push((format!("{}: mined, {kind}", study.name), study.mined.clone()));
        }
        sources.push((format!("{}: softmax", study.name), study.softmax.clone()));
    }
    sources
}

/// A few contested faces, or without votes those whose label the network finds least likely.
fn shown(valid: &Dataset, crowd: Option<&Crowd>, probabilities: &Rows) -> Vec<usize> {
    let count = 4;
    if let Some(crowd) = crowd.filter(|crowd| crowd.ambiguous.len() >= count) {
        let places = gallery::contested(crowd, count);
        return places.iter().map(|&place| crowd.ambiguous[place]).collect();
    }
    let mut faces: Vec<usize> = (0..valid.len()).collect();
    let sure = |&index: &usize| probabilities[index][largest(&probabilities[index])];
    faces.sort_by(|a, b| sure(a).total_cmp(&sure(b)));
    faces.truncate(count);
    faces
}

fn check_same(valid: &Dataset, other: &Dataset, path: &Path) -> Result<()> {
    if valid.classes == other.classes
        && valid.images.size() == other.images.size()
        && valid.images.equal(&other.images)
    {
        return Ok(());
    }
    Err(Error::Config(format!(
        "--against {}: its {} validation faces or their size, classes or order are not those of the run \
         ({} faces): runs can only be compared on the same faces",
        path.display(),
        other.len(),
        valid.len()
    )))
}

fn empty_like(data: &Dataset) -> Dataset {
    Dataset {
        classes: data.classes.clone(),
        images: data.images.narrow(0, 0, 0),
        labels: vec![],
        annotated: vec![],
        votes: None,
    }
}
