//! What a model file says of its own certainty, from labelled faces that no part of it has learned from:
//! the temperature of its probabilities, the scale of its score, thresholds for abstention.

use dmue_edge::abstain::{self, Threshold};
use dmue_edge::model::Model;
use dmue_edge::model::file::ModelFile;
use serde::Serialize;

use crate::data::dataset::Source;
use crate::error::{Error, Result};
use crate::eval::{BINS, answers};
use crate::metrics::{Answer, ece, ece_by_chance, nll};

/// Error rates that a model file gets a threshold for, where the faces allow the promise.
pub const ERROR_RATES: [f64; 6] = [0.01, 0.02, 0.05, 0.1, 0.15, 0.2];

/// Temperatures that are tried.
const TEMPERATURES: [f64; 2] = [0.1, 10.];
/// Least factor on the score's logit: a score that tells nothing is flattened, not turned round.
const SMALLEST_SCALE: f64 = 0.05;
const NEWTON_STEPS: usize = 50;

/// What was fitted, and what it is worth on other faces.
#[derive(Clone, Debug, Serialize)]
pub struct Calibration {
    /// T of softmax(logits / T).
    pub temperature: f64,
    /// (a, b): the score is sigmoid(a z + b) where it was sigmoid(z).
    pub score: [f64; 2],
    /// For [`ERROR_RATES`].
    pub thresholds: Vec<Threshold>,
    /// On faces that were not fitted, before and after; none where there are no such faces.
    pub checked: Option<[Errors; 2]>,
}

/// How far stated and true shares of right answers lie apart.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Errors {
    /// Number of faces.
    pub faces: usize,
    /// Calibration error of the largest probability, 0..1, 15 bins.
    pub ece: f64,
    /// Calibration error of the score, 0..1, 15 bins.
    pub score_ece: f64,
    /// What the score's would be by chance if it were exactly right.
    pub ece_by_chance: f64,
    /// Mean negative log likelihood, natural logarithm.
    pub nll: f64,
}

/// Fits `file` on the distinct faces of `fitted` and measures it on those of `other`. Each threshold's
/// promise holds with `confidence`, above 0 and below 1, over the draw of faces.
///
/// # Errors
/// A class of the data that the model does not know; no face; a `confidence` out of range.
pub fn calibrate(
    file: &mut ModelFile,
    fitted: Source,
    other: Source,
    confidence: f64,
) -> Result<Calibration> {
    let model = Model::from_file(file.clone()).map_err(dmue_edge::Error::from)?;
    let [fitted, other] = [fitted, other].map(distinct);
    let before = answers(&model, &fitted)?;
    if before.is_empty() {
        return Err(Error::Config(format!(
            "no face to calibrate on is left of {}",
            fitted.summary
        )));
    }
    let (temperature, score) = (temperature(&before), score_map(&before));
    file.manifest.temperature = temperature as f32;
    file.manifest.abstention.clear();
    file.uncertainty = file.uncertainty.recalibrated(score[0] as f32, score[1] as f32);
    let proto = file.clone().into_proto().map_err(dmue_edge::Error::from)?;
    *file = ModelFile::check(proto).map_err(dmue_edge::Error::from)?;
    let calibrated = Model::from_file(file.clone()).map_err(dmue_edge::Error::from)?;
    let thresholds = thresholds_of(&answers(&calibrated, &fitted)?, confidence)?;
    file.manifest.abstention.clone_from(&thresholds);
    let checked = match other.samples.is_empty() {
        true => None,
        false => Some([errors(&model, &other)?, errors(&calibrated, &other)?]),
    };
    Ok(Calibration { temperature, score, thresholds, checked })
}

/// Runs the distinct faces of `source` through dmue-edge and calibrates its score for
/// [`ERROR_RATES`]; each promise holds with `confidence`, above 0 and below 1, over the draw of faces.
///
/// # Errors
/// A class of the data that the model does not know; a `confidence` out of range.
pub fn thresholds(model: &Model, source: Source, confidence: f64) -> Result<Vec<Threshold>> {
    thresholds_of(&answers(model, &distinct(source))?, confidence)
}

/// T with the least mean negative log likelihood of the labels under softmax(logits / T).
pub fn temperature(answers: &[Answer]) -> f64 {
    let loss = |log: f64| {
        let scale = (-log).exp();
        answers.iter().map(|answer| tempered_nll(answer, scale)).sum::<f64>()
    };
    minimum(TEMPERATURES.map(f64::ln), loss).exp()
}

/// (a, b) with the least cross entropy of "the label is right" under sigmoid(a z + b), where the score is
/// sigmoid(z): Platt, "Probabilistic outputs for support vector machines", 1999, with his targets, which keep
/// the fit finite for faces that are all right, or all wrong.
pub fn score_map(answers: &[Answer]) -> [f64; 2] {
    let right = answers.iter().filter(|answer| answer.right()).count() as f64;
    let wrong = answers.len() as f64 - right;
    let targets = [1. / (wrong + 2.), (right + 1.) / (right + 2.)];
    let points: Vec<(f64, f64)> = answers
        .iter()
        .map(|answer| (logit(answer.score), targets[usize::from(answer.right())]))
        .collect();
    let (mut scale, mut shift) = (1., 0.);
    for _ in 0..NEWTON_STEPS {
        let [da, db] = newton_step(&points, scale, shift);
        (scale, shift) = (scale - da, shift - db);
        if da.abs() + db.abs() < 1e-9 {
            break;
        }
    }
    if scale > SMALLEST_SCALE && shift.is_finite() {
        return [scale, shift];
    }
    [SMALLEST_SCALE, logit((right / answers.len() as f64) as f32)]
}

fn newton_step(points: &[(f64, f64)], scale: f64, shift: f64) -> [f64; 2] {
    let (mut gradient, mut hessian) = ([0.; 2], [1e-9, 0., 1e-9]);
    for &(z, target) in points {
        let share = 1. / (1. + (-(scale * z + shift)).exp());
        let (error, weight) = (share - target, share * (1. - share));
        gradient = [gradient[0] + error * z, gradient[1] + error];
        hessian = [hessian[0] + weight * z * z, hessian[1] + weight * z, hessian[2] + weight];
    }
    let [aa, ab, bb] = hessian;
    let determinant = aa * bb - ab * ab;
    [
        (bb * gradient[0] - ab * gradient[1]) / determinant,
        (aa * gradient[1] - ab * gradient[0]) / determinant,
    ]
}

fn distinct(mut source: Source) -> Source {
    source.drop_duplicates();
    source
}

fn thresholds_of(answers: &[Answer], confidence: f64) -> Result<Vec<Threshold>> {
    let scores: Vec<f32> = answers.iter().map(|answer| answer.score).collect();
    let right: Vec<bool> = answers.iter().map(Answer::right).collect();
    let calibrated = abstain::calibrate(&scores, &right, &ERROR_RATES, 1.0 - confidence);
    calibrated.map_err(dmue_edge::Error::from).map_err(Error::from)
}

fn errors(model: &Model, source: &Source) -> Result<Errors> {
    let answers = answers(model, source)?;
    Ok(Errors {
        faces: answers.len(),
        ece: ece(&answers, Answer::max_softmax, BINS),
        score_ece: ece(&answers, |answer| answer.score, BINS),
        ece_by_chance: ece_by_chance(&answers, |answer| answer.score, BINS),
        nll: nll(&answers),
    })
}

/// Of one label under softmax(`scale` logits).
fn tempered_nll(answer: &Answer, scale: f64) -> f64 {
    let logits = answer.logits.iter().map(|&logit| scale * f64::from(logit));
    let largest = logits.clone().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.map(|logit| (logit - largest).exp()).sum();
    sum.ln() + largest - scale * f64::from(answer.logits[answer.label])
}

/// The inverse of the sigmoid, for scores short of 0 and 1.
fn logit(score: f32) -> f64 {
    let score = f64::from(score).clamp(1e-6, 1. - 1e-6);
    (score / (1. - score)).ln()
}

/// Where `f`, falling and then rising within `low..high`, is least: golden-section search.
fn minimum([mut low, mut high]: [f64; 2], f: impl Fn(f64) -> f64) -> f64 {
    let golden = (5f64.sqrt() - 1.) / 2.;
    let place = |low: f64, high: f64| [high - golden * (high - low), low + golden * (high - low)];
    let mut inner = place(low, high);
    let mut values = inner.map(&f);
    while high - low > 1e-6 {
        if values[0] < values[1] {
            high = inner[1];
            inner = place(low, high);
            values = [f(inner[0]), values[0]];
        } else {
            low = inner[0];
            inner = place(low, high);
            values = [values[1], f(inner[1])];
        }
    }
    (low + high) / 2.
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Answers whose labels are drawn from softmax(logits / T) and whose rightness from sigmoid(a z + b).
    fn drawn(temperature: f64, [a, b]: [f64; 2]) -> Vec<Answer> {
        let mut generator = ChaCha8Rng::seed_from_u64(5);
        let mut draw = |_| {
            let logits: Vec<f32> = (0..3).map(|_| generator.random_range(-4.0..4.0)).collect();
            let mut left = generator.random::<f64>();
            let shares = logits.iter().map(|&logit| (f64::from(logit) / temperature).exp());
            left *= shares.clone().sum::<f64>();
            let label = shares.take_while(|share| {
                left -= share;
                left > 0.
            });
            let label = label.count().min(2);
            let mut answer =
                Answer { label, probabilities: logits.clone(), logits, score: 0.5, alpha: 0.5 };
            // A score that says what it is for the rightness that was drawn.
            let z = generator.random_range(-3.0..3.0);
            answer.score = (1. / (1. + f64::exp(-z))) as f32;
            if a > 0. {
                let right = generator.random::<f64>() < 1. / (1. + (-(a * z + b)).exp());
                answer.label = (answer.predicted() + usize::from(!right)) % 3;
            }
            answer
        };
        (0..20_000).map(&mut draw).collect()
    }

    #[test]
    fn the_temperature_that_labels_were_drawn_at_is_found() {
        for expected in [0.5, 1., 2.5] {
            let found = temperature(&drawn(expected, [0., 0.]));
            assert!((found / expected - 1.).abs() < 0.05, "{found} for {expected}");
        }
    }

    #[test]
    fn the_map_that_rightness_was_drawn_from_is_found() {
        for expected in [[1., 0.], [0.4, 1.], [2., -0.5]] {
            let found = score_map(&drawn(1., expected));
            for (found, expected) in found.into_iter().zip(expected) {
                assert!((found - expected).abs() < 0.1, "{found} for {expected}");
            }
        }
    }

    #[test]
    fn scores_that_tell_nothing_or_the_opposite_keep_their_order() {
        let turned = drawn(1., [1., 0.]).into_iter().map(|answer| {
            let score = 1. - answer.score;
            Answer { score, ..answer }
        });
        let turned: Vec<Answer> = turned.collect();
        assert_eq!(score_map(&turned)[0], SMALLEST_SCALE);
        let all_right: Vec<Answer> = turned.into_iter().filter(Answer::right).collect();
        let [scale, shift] = score_map(&all_right);
        assert!(scale > 0. && shift.is_finite(), "{scale} {shift}");
    }
}
