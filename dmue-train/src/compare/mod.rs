//! Models side by side on the same labelled faces: our own files, and plain ONNX classifiers of others.

use std::path::{Path, PathBuf};
use std::time::Instant;

use dmue_edge::face::align::FaceCrop;
use dmue_edge::model::{Inference, Model};

use crate::data::dataset::Source;
use crate::data::sample::CropSpec;
use crate::error::Result;
use crate::eval::crop_spec;
use crate::metrics::Answer;
use crate::report::confidence::judge;
use crate::report::crowd::Crowd;
use crate::report::opened::{Measure, Rows};
use crate::report::page::Table;
use crate::report::tables;

mod confidence;
pub mod pictures;
pub mod plain;

use confidence::measures;
use plain::Plain;

/// Faces that are run before the clock is read.
const WARM_UP: usize = 20;
/// Draws of the bootstrap intervals.
const RESAMPLES: usize = 1000;

/// One model and its answers.
#[derive(Debug)]
pub struct Entry {
    /// The file's name, or that of the description.
    pub name: String,
    /// Class names of the data.
    pub classes: Vec<String>,
    /// Which of these the model knows.
    pub knows: Vec<bool>,
    /// One for each distinct face, over the data's classes. A plain classifier's score is its largest
    /// probability.
    pub answers: Vec<Answer>,
    /// What else a model of ours says about its answers; empty for a plain classifier.
    pub measures: Vec<Measure>,
    /// What people said of the faces, where the data tell.
    pub crowd: Option<Crowd>,
    /// Size of the file.
    pub bytes: u64,
    /// Median time of a face from crop to answer, one thread.
    pub milliseconds: f64,
}

enum Candidate {
    Ours(Box<Model>),
    Plain(Plain),
}

/// Runs each of `ours` (`.dmue.onnx`) and each of the list `others` (see [`plain`]) on the distinct faces of
/// `data`, one after the other on one thread.
///
/// # Errors
/// A file that cannot be read or run.
pub fn compare(
    ours: &[PathBuf],
    others: Option<&Path>,
    data: &Path,
    skip_bad: bool,
) -> Result<Vec<Entry>> {
    let mut entries = vec![];
    for file in ours {
        let model = Model::open(file).map_err(dmue_edge::Error::from)?;
        let name = model.manifest().name.clone();
        entries.push(entry(name, file, &Candidate::Ours(Box::new(model)), data, skip_bad)?);
    }
    for plain in others.map_or(Ok(vec![]), plain::open)? {
        let (name, file) = (plain.description.name.clone(), plain.description.file.clone());
        entries.push(entry(name, &file, &Candidate::Plain(plain), data, skip_bad)?);
    }
    Ok(entries)
}

fn entry(
    name: String,
    file: &Path,
    candidate: &Candidate,
    data: &Path,
    skip_bad: bool,
) -> Result<Entry> {
    let mut source = Source::open(data, candidate.crop_spec(), skip_bad)?;
    source.drop_duplicates();
    let known = candidate.classes();
    let places: Vec<Option<usize>> =
        source.classes.iter().map(|name| known.iter().position(|class| class == name)).collect();
    for sample in source.samples.iter().take(WARM_UP) {
        candidate.infer(&sample.crop)?;
    }
    let (mut answers, mut inferences, mut times) = (vec![], vec![], vec![]);
    for sample in &source.samples {
        let start = Instant::now();
        let (shares, inference) = candidate.infer(&sample.crop)?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
        let share = |place: &Option<usize>| place.map_or(0., |place| shares[place]);
        let probabilities: Vec<f32> = places.iter().map(share).collect();
        let logits = probabilities.iter().map(|share| share.max(f32::MIN_POSITIVE).ln()).collect();
        let largest = probabilities.iter().copied().fold(0., f32::max);
        let score = inference.as_ref().map_or(largest, |inference| inference.score);
        answers.push(Answer { label: sample.label, logits, probabilities, score, alpha: 0. });
        inferences.extend(inference);
    }
    times.sort_by(f64::total_cmp);
    Ok(Entry {
        name,
        knows: places.iter().map(Option::is_some).collect(),
        measures: match candidate {
            Candidate::Ours(model) => measures(model, &inferences),
            Candidate::Plain(_) => vec![],
        },
        crowd: source.votes().map(|votes| Crowd::of(&votes, &source.labels())),
        classes: source.classes,
        answers,
        bytes: std::fs::metadata(file).map_or(0, |data| data.len()),
        milliseconds: times.get(times.len() / 2).copied().unwrap_or(f64::NAN),
    })
}

impl Candidate {
    fn crop_spec(&self) -> CropSpec {
        match self {
            Self::Ours(model) => crop_spec(model),
            Self::Plain(plain) => plain.crop_spec(),
        }
    }

    fn classes(&self) -> &[String] {
        match self {
            Self::Ours(model) => &model.manifest().classes,
            Self::Plain(plain) => &plain.description.classes,
        }
    }

    /// Probabilities of its classes, and what else a model of ours says.
    fn infer(&self, crop: &FaceCrop) -> Result<(Vec<f32>, Option<Inference>)> {
        match self {
            Self::Ours(model) => {
                let inference = model.infer(crop)?;
                Ok((inference.probabilities.clone(), Some(inference)))
            }
            Self::Plain(plain) => Ok((plain.probabilities(crop)?, None)),
        }
    }
}

impl Entry {
    /// Every measure of confidence against people and errors, `None` for a plain classifier.
    pub fn confidence(&self) -> Option<Table> {
        let probabilities: Rows = self
            .answers
            .iter()
            .map(|answer| answer.probabilities.iter().map(|&share| share.into()).collect())
            .collect();
        let labels: Vec<usize> = self.answers.iter().map(|answer| answer.label).collect();
        let crowd = self.crowd.as_ref();
        let judged = judge(&self.measures, &probabilities, &labels, crowd, RESAMPLES);
        (!judged.is_empty()).then(|| tables::confidence(&judged, &self.name, crowd))
    }

    /// The answers about faces of classes that it knows.
    pub fn known(&self) -> Vec<Answer> {
        self.answers.iter().filter(|answer| self.knows[answer.label]).cloned().collect()
    }
}
