//! The exported file on labelled faces, through dmue-edge: what ships is what is measured.

use std::fmt::{self, Display, Formatter};

use dmue_edge::model::Model;
use serde::Serialize;

use crate::data::dataset::{Source, places};
use crate::data::sample::CropSpec;
use crate::error::Result;
use crate::metrics::{
    Answer, accuracy, aurc, auroc, confusion, ece, ece_by_chance, mean_recall, nll, recalls,
};

/// Bins of the calibration error.
pub const BINS: usize = 15;

/// Everything that `eval` reports; areas, errors and shares in per cent.
#[derive(Debug, Serialize)]
pub struct Evaluation {
    /// Class names in the model's order.
    pub classes: Vec<String>,
    /// Faces that were classified.
    pub faces: usize,
    /// Repeated images that were left out.
    pub duplicates: usize,
    /// Right answers.
    pub accuracy: f64,
    /// Mean over the classes of the share that is found.
    pub mean_recall: f64,
    /// Share of each class that is found; null without an image of it.
    pub recall: Vec<Option<f64>>,
    /// Counts, row label, column answer.
    pub confusion: Vec<Vec<usize>>,
    /// Mean negative log likelihood, natural logarithm.
    pub nll: f64,
    /// Calibration error of the largest probability, 15 bins.
    pub ece: f64,
    /// Calibration error of the score, 15 bins.
    pub score_ece: f64,
    /// What the score's would be by chance if it were exactly right.
    pub ece_by_chance: f64,
    /// Area under the risk-coverage curve, lower is better.
    pub aurc: Confidences,
    /// How well wrong answers are told from right ones (50 is chance).
    pub auroc: Confidences,
}

/// One figure for each measure of confidence.
#[derive(Debug, Serialize)]
pub struct Confidences {
    /// The shipped score (method.md 4b).
    pub score: f64,
    /// The largest probability.
    pub max_softmax: f64,
    /// The paper's alpha on the predicted class.
    pub alpha: f64,
}

/// The faces of `source` in the order of the model's classes.
///
/// # Errors
/// As [`places`].
pub fn answers(model: &Model, source: &Source) -> Result<Vec<Answer>> {
    let labels = places(&source.classes, &model.manifest().classes)?;
    let answer = |sample: &crate::data::sample::Sample| {
        let inference = model.infer(&sample.crop)?;
        Ok(Answer {
            label: labels[sample.label],
            logits: inference.logits,
            probabilities: inference.probabilities,
            score: inference.score,
            alpha: inference.alpha,
        })
    };
    source.samples.iter().map(answer).collect()
}

/// What the model takes.
pub fn crop_spec(model: &Model) -> CropSpec {
    CropSpec::of_input(&model.manifest().input)
}

/// Classifies every distinct face of `source`.
///
/// # Errors
/// As [`answers`].
pub fn evaluate(model: &Model, mut source: Source) -> Result<Evaluation> {
    let duplicates = source.drop_duplicates();
    let answers = answers(model, &source)?;
    let classes = model.manifest().classes.clone();
    let confusion = confusion(&answers, classes.len());
    let recall = recalls(&confusion);
    Ok(Evaluation {
        faces: answers.len(),
        duplicates,
        accuracy: 100. * accuracy(&answers),
        mean_recall: 100. * mean_recall(&recall),
        recall: recall.iter().map(|recall| recall.map(|share| 100. * share)).collect(),
        confusion,
        nll: nll(&answers),
        ece: 100. * ece(&answers, Answer::max_softmax, BINS),
        score_ece: 100. * ece(&answers, |answer| answer.score, BINS),
        ece_by_chance: 100. * ece_by_chance(&answers, |answer| answer.score, BINS),
        aurc: Confidences::of(|confidence| 100. * aurc(&answers, confidence)),
        auroc: Confidences::of(|confidence| 100. * auroc(&answers, confidence)),
        classes,
    })
}

impl Confidences {
    fn of(figure: impl Fn(fn(&Answer) -> f32) -> f64) -> Self {
        Self {
            score: figure(|answer| answer.score),
            max_softmax: figure(Answer::max_softmax),
            alpha: figure(|answer| answer.alpha),
        }
    }
}

impl Display for Evaluation {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        writeln!(out, "faces {} ({} duplicates left out)", self.faces, self.duplicates)?;
        writeln!(out, "accuracy {:.2}", self.accuracy)?;
        writeln!(out, "mean recall {:.2}", self.mean_recall)?;
        self.table(out)?;
        writeln!(out, "NLL {:.4}", self.nll)?;
        writeln!(
            out,
            "ECE {:.2} of the probabilities, {:.2} of the score, {:.2} by chance were it exactly right",
            self.ece, self.score_ece, self.ece_by_chance
        )?;
        writeln!(out, "{:12} {:>7} {:>12} {:>7}", "", "score", "max softmax", "alpha")?;
        for (name, figures) in [("AURC (low)", &self.aurc), ("AUROC (high)", &self.auroc)] {
            let Confidences { score, max_softmax, alpha } = figures;
            writeln!(out, "{name:12} {score:7.2} {max_softmax:12.2} {alpha:7.2}")?;
        }
        Ok(())
    }
}

impl Evaluation {
    /// Recall and confusion, a line per class.
    fn table(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let width = self.classes.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        write!(out, "{:width$}  recall  predicted as:", "")?;
        for name in &self.classes {
            write!(out, " {:>5}", name.chars().take(5).collect::<String>())?;
        }
        writeln!(out)?;
        for ((name, recall), row) in self.classes.iter().zip(&self.recall).zip(&self.confusion) {
            let recall = recall.map_or("-".into(), |recall| format!("{recall:.1}"));
            write!(out, "{name:width$}  {recall:>6}               ")?;
            for count in row {
                write!(out, " {count:>5}")?;
            }
            writeln!(out)?;
        }
        Ok(())
    }
}
