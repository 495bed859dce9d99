//! What becomes of answers and scores when faces get worse, when there is none, and on the whole way from a
//! camera's frame.

use std::path::{Path, PathBuf};

use dmue_edge::face::align::FaceCrop;
use dmue_edge::model::Model;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tch::{Device, Tensor};

use crate::data::corrupt::{Corruption, without_face};
use crate::data::dataset::{Dataset, Source, crops};
use crate::data::sample::Sample;
use crate::error::Result;
use crate::eval::{answers, crop_spec};
use crate::metrics::{Answer, accuracy};
use crate::report::canvas::Curve;
use crate::report::figures::{Content, Panel};
use crate::report::page::{Figure, Table};

pub mod backgrounds;
pub mod camera;

/// Severities of a curve, 0 to 1.
const STEPS: usize = 10;
/// Share of the faces as they are that get an answer, at the threshold that crops without a face are held to.
const ANSWERED: f64 = 0.9;

/// What to put under stress, on what.
#[derive(Clone, Debug)]
pub struct Options {
    /// The exported file.
    pub model: PathBuf,
    /// Labelled faces.
    pub data: PathBuf,
    /// Photos whose parts without a face stand for backgrounds; none leaves that and the camera out.
    pub photos: Vec<PathBuf>,
    /// Distinct faces of each measurement, the first of the data.
    pub faces: usize,
    /// Seeds all draws.
    pub seed: u64,
    /// Leave bad rows out.
    pub skip_bad: bool,
}

/// Tables and figures of a page.
#[derive(Debug)]
pub struct Stress {
    /// What was measured.
    pub tables: Vec<Table>,
    /// Curves over severity.
    pub figures: Vec<Figure>,
}

/// Runs everything.
///
/// # Errors
/// A model, data or photos that cannot be read.
pub fn stress(options: &Options) -> Result<Stress> {
    let model = Model::open(&options.model).map_err(dmue_edge::Error::from)?;
    let mut source = Source::open(&options.data, crop_spec(&model), options.skip_bad)?;
    source.drop_duplicates();
    source.samples.truncate(options.faces);
    let source = source.of_known(&model.manifest().classes)?;
    let data = Dataset::new(&source)?;
    let (images, _) = data.batch(&(0..data.len()).collect::<Vec<_>>(), Device::Cpu);
    let mut generator = ChaCha8Rng::seed_from_u64(options.seed);

    let faces = Faces { model: &model, source: &source, images };
    let clean = answers(&model, &source)?;
    let levels = Levels::measure(&faces, &clean, &mut generator)?;
    let made = faces.answers(&without_face(&faces.images, &mut generator))?;
    let made = made.iter().map(|answer| answer.score).collect();
    let mut missing = vec![(
        "made of faces: enlarged parts, tiles, clouds, shapes, upside down".to_owned(),
        made,
    )];
    let mut tables = vec![levels.table(clean.len())];
    if options.photos.is_empty() {
        tables.push(without(&missing, threshold(&clean)));
    } else {
        let scenes = backgrounds::Scenes::open(&options.photos)?;
        let crops = scenes.crops(clean.len(), crop_spec(&model), &mut generator)?;
        missing.push(("parts of the photos without a face".to_owned(), of_crops(&model, &crops)?));
        tables.push(without(&missing, threshold(&clean)));
        let model = &options.model;
        tables.push(camera::measure(model, &source, &clean, &scenes, &mut generator)?);
    }
    Ok(Stress { tables, figures: vec![levels.figure()] })
}

/// A model and what it is shown.
struct Faces<'a> {
    model: &'a Model,
    source: &'a Source,
    /// `[n,ch,S,S]` in 0..1
    images: Tensor,
}

impl Faces<'_> {
    /// What the model says of `images` `[n,ch,S,S]` in 0..1 in the faces' place.
    fn answers(&self, images: &Tensor) -> Result<Vec<Answer>> {
        let changed = self.source.samples.iter().zip(crops(images)?);
        let changed = changed.map(|(sample, crop)| Sample { crop, ..sample.clone() });
        let (classes, summary) = (self.source.classes.clone(), String::new());
        answers(self.model, &Source { classes, samples: changed.collect(), summary })
    }
}

fn of_crops(model: &Model, crops: &[FaceCrop]) -> Result<Vec<f32>> {
    crops.iter().map(|crop| Ok(model.infer(crop)?.score)).collect()
}

/// The score that [`ANSWERED`] of the faces as they are reach.
fn threshold(clean: &[Answer]) -> f32 {
    let mut sorted: Vec<f32> = clean.iter().map(|answer| answer.score).collect();
    sorted.sort_by(f32::total_cmp);
    sorted[((1. - ANSWERED) * sorted.len() as f64) as usize]
}

/// Mean score and accuracy of each corruption at each severity.
struct Levels {
    /// `[corruption][step]` (mean score, accuracy)
    means: Vec<Vec<(f64, f64)>>,
}

impl Levels {
    /// `clean` are the answers at severity 0.
    fn measure(faces: &Faces<'_>, clean: &[Answer], generator: &mut ChaCha8Rng) -> Result<Self> {
        let mean = |answers: &[Answer]| {
            let scores = answers.iter().map(|answer| f64::from(answer.score));
            (scores.sum::<f64>() / answers.len() as f64, accuracy(answers))
        };
        let mut means = vec![];
        for corruption in Corruption::ALL {
            let mut of_steps = vec![mean(clean)];
            for step in 1..=STEPS {
                let severities = vec![step as f64 / STEPS as f64; clean.len()];
                let corrupted = corruption.apply(&faces.images, &severities, generator);
                of_steps.push(mean(&faces.answers(&corrupted)?));
            }
            means.push(of_steps);
        }
        Ok(Self { means })
    }

    fn table(&self, faces: usize) -> Table {
        let shown = [0, 2, 4, 6, 8, 10];
        let rows = Corruption::ALL.iter().zip(&self.means).map(|(corruption, means)| {
            let cell = |&step: &usize| {
                let (score, accuracy) = means[step];
                format!("{:.0} / {:.0}", 100. * accuracy, 100. * score)
            };
            let falls = means.windows(2).all(|pair| pair[1].0 <= pair[0].0);
            let falls = if falls { "yes" } else { "no" }.to_owned();
            let name = corruption.name().to_owned();
            std::iter::once(name).chain(shown.iter().map(cell)).chain([falls]).collect()
        });
        let severities = shown.map(|step| format!("{step}/{STEPS}"));
        let header = ["accuracy / mean score %".to_owned()].into_iter().chain(severities);
        Table {
            title: "Faces in bad conditions".into(),
            note: format!(
                "{faces} faces, by severity. The last column says whether the mean score never rises over all {} \
                 severities.",
                STEPS + 1
            ),
            header: header.chain(["the score falls".to_owned()]).collect(),
            rows: rows.collect(),
        }
    }

    fn figure(&self) -> Figure {
        let curves = |value: fn(&(f64, f64)) -> f64| -> Vec<Curve> {
            let curve = |(corruption, means): (&Corruption, &Vec<(f64, f64)>)| Curve {
                name: corruption.name().into(),
                points: means
                    .iter()
                    .enumerate()
                    .map(|(step, mean)| (100. * step as f64 / STEPS as f64, 100. * value(mean)))
                    .collect(),
            };
            Corruption::ALL.iter().zip(&self.means).map(curve).collect()
        };
        let panel = |title: &str, curves| Panel {
            title: title.into(),
            x: "severity, per cent",
            y: "per cent",
            curves,
        };
        Figure {
            name: "corruption",
            title: "Score and accuracy as faces get worse".into(),
            caption: "Left: mean score. Right: share of right answers. A score that is worth having falls as the \
                      answers do."
                .into(),
            content: Content::Curves(vec![
                panel("Mean score", curves(|mean| mean.0)),
                panel("Accuracy", curves(|mean| mean.1)),
            ]),
        }
    }
}

fn without(kinds: &[(String, Vec<f32>)], threshold: f32) -> Table {
    let row = |(name, scores): &(String, Vec<f32>)| {
        let unsure = scores.iter().filter(|score| **score < threshold).count();
        let mean = scores.iter().map(|score| f64::from(*score)).sum::<f64>() / scores.len() as f64;
        let count = scores.len();
        let share = 100. * unsure as f64 / count as f64;
        vec![name.clone(), count.to_string(), format!("{mean:.2}"), format!("{share:.1}")]
    };
    Table {
        title: "Crops without a face".into(),
        note: format!(
            "\"Unsure\" is a score below {threshold:.3}, which {:.0} % of the faces as they are reach.",
            100. * ANSWERED
        ),
        header: ["crops", "count", "mean score", "unsure %"].map(String::from).to_vec(),
        rows: kinds.iter().map(row).collect(),
    }
}

/// Names a path in errors.
fn in_photo(path: &Path, reason: impl std::fmt::Display) -> crate::Error {
    crate::Error::Data { file: path.into(), reason: reason.to_string() }
}
