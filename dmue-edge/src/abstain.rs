//! Answers that may be `Unsure`: thresholds on the score that keep a promised error rate.
//!
//! A threshold is chosen on calibration faces so that, with a stated confidence over the draw of
//! those faces, at most the promised share of the answers *given* are wrong. The bound is exact for
//! every number of faces: Clopper and Pearson, "The use of confidence or fiducial limits illustrated
//! in the case of the binomial", Biometrika 1934. Many thresholds are tried, so they are tested in an
//! order that is fixed before a face is seen: fixed-sequence testing from several starts, Angelopoulos,
//! Bates, Candès, Jordan and Lei, "Learn then Test: Calibrating Predictive Algorithms to Achieve Risk
//! Control", 2021.
//!
//! The promise holds for faces drawn like the calibration faces, one by one, and for the score of a
//! single image (W = 0). Frames of a video are no independent draws, and a window or smoothing changes
//! the score: there the thresholds are a guide without a guarantee.

use serde::{Deserialize, Serialize};

use crate::session::SessionError;
use crate::uncertainty::ShapeError;

/// What is said about a face.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// Index of a class in the order of the model's classes.
    Label(usize),
    /// The score does not allow an answer at the tolerated error rate.
    Unsure,
}

/// A promise about scores: of the faces whose score reaches `threshold` at most the share
/// `error_rate` is labelled wrong.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// Promised share of wrong answers among the answers given, above 0 and below 1.
    pub error_rate: f64,
    /// Least score of an answer, 0..=1.
    pub threshold: f64,
    /// Share of the calibration faces that reach it, 0..=1.
    pub coverage: f64,
    /// Probability, over draws of calibration faces, that the promise holds: 1 - delta.
    pub confidence: f64,
    /// Number of calibration faces.
    pub count: usize,
}

/// Thresholds that are tried: 0, 0.005, ..., 1, fixed before any face is seen.
const STEPS: usize = 200;

/// Where the sequences of tests start, in [`STEPS`]; each runs towards lower thresholds until it
/// fails. Too high a start has too few faces to pass, too low a one fails at once: hence several, which
/// share delta between them.
const STARTS: [usize; 4] = [190, 170, 140, 100];

/// `Unsure` for a score below `threshold`, else the label.
pub fn answer(label: usize, score: f32, threshold: f64) -> Answer {
    if f64::from(score) >= threshold { Answer::Label(label) } else { Answer::Unsure }
}

/// Of the `promised` thresholds that of the highest error rate up to `tolerated`.
///
/// # Errors
/// [`SessionError::ErrorRate`] if all promise less than what is asked for, or there are none.
pub fn threshold_for(promised: &[Threshold], tolerated: f64) -> Result<Threshold, SessionError> {
    let low_enough = promised.iter().filter(|threshold| threshold.error_rate <= tolerated);
    let highest = low_enough.max_by(|a, b| a.error_rate.total_cmp(&b.error_rate));
    highest.copied().ok_or_else(|| {
        let rates: Vec<_> = promised.iter().map(|threshold| threshold.error_rate).collect();
        let offered =
            if rates.is_empty() { "has no thresholds".into() } else { format!("{rates:?}") };
        SessionError::ErrorRate { tolerated, offered }
    })
}

/// For each of `rates` the least threshold that keeps it, from calibration faces: `scores[i]` is the
/// score of face i, `right[i]` whether its label is right. All rates hold with probability 1 - `delta`
/// each (not all at once). Rates that no threshold can promise with so many faces are left out.
///
/// With k wrong among the n faces that reach a threshold, it passes where the upper bound
/// [`error_bound`]`(k, n, delta / starts)` is at most the rate.
///
/// # Errors
/// [`SessionError::Shape`] for lists of different lengths, [`SessionError::NotFinite`] for a score, and
/// [`SessionError::Option`] for a rate or `delta` that is not above 0 and below 1.
pub fn calibrate(
    scores: &[f32],
    right: &[bool],
    rates: &[f64],
    delta: f64,
) -> Result<Vec<Threshold>, SessionError> {
    check(scores, right, rates, delta)?;
    let counts = Counts::new(scores, right);
    let passed = rates.iter().filter_map(|&error_rate| {
        let step = counts.least_passing(error_rate, delta / STARTS.len() as f64)?;
        Some(Threshold {
            error_rate,
            threshold: step as f64 / STEPS as f64,
            coverage: counts.answered[step] as f64 / scores.len() as f64,
            confidence: 1.0 - delta,
            count: scores.len(),
        })
    });
    Ok(passed.collect())
}

/// The one-sided upper bound of Clopper and Pearson: the error rate r for which `wrong` or fewer of
/// `answered` has probability `delta`; 1 without an answer. Good to 1e-12.
pub fn error_bound(wrong: usize, answered: usize, delta: f64) -> f64 {
    if wrong >= answered {
        return 1.0;
    }
    let (mut low, mut high) = (wrong as f64 / answered as f64, 1.0);
    while high - low > 1e-12 {
        let middle = (low + high) / 2.0;
        if at_most(wrong, answered, middle) > delta { low = middle } else { high = middle }
    }
    high
}

/// Probability of at most `wrong` errors in `answered` answers of error rate `rate`, 0..1: the
/// binomial terms added up, each from the one before. A statistics crate would be one more
/// dependency on a device for these lines.
fn at_most(wrong: usize, answered: usize, rate: f64) -> f64 {
    let (n, odds) = (answered as f64, (rate / (1.0 - rate)).ln());
    let mut log_term = n * (-rate).ln_1p();
    let mut sum = log_term.exp();
    for k in 1..=wrong.min(answered) {
        log_term += ((n - k as f64 + 1.0) / k as f64).ln() + odds;
        sum += log_term.exp();
    }
    sum.min(1.0)
}

/// Per step of the threshold: faces that reach it, and how many of those are labelled wrong.
struct Counts {
    answered: [usize; STEPS + 1],
    wrong: [usize; STEPS + 1],
}

impl Counts {
    fn new(scores: &[f32], right: &[bool]) -> Self {
        let mut counts = Self { answered: [0; STEPS + 1], wrong: [0; STEPS + 1] };
        for (&score, &right) in scores.iter().zip(right) {
            let reached =
                (0..=STEPS).take_while(|&step| f64::from(score) >= step as f64 / STEPS as f64);
            for step in reached {
                counts.answered[step] += 1;
                counts.wrong[step] += usize::from(!right);
            }
        }
        counts
    }

    /// The lowest step that some sequence of tests reaches; `delta` is what one sequence may spend.
    fn least_passing(&self, rate: f64, delta: f64) -> Option<usize> {
        let passes = |step: &usize| at_most(self.wrong[*step], self.answered[*step], rate) <= delta;
        let lowest = |start: usize| (0..=start).rev().take_while(passes).last();
        STARTS.into_iter().filter_map(lowest).min()
    }
}

fn check(scores: &[f32], right: &[bool], rates: &[f64], delta: f64) -> Result<(), SessionError> {
    if right.len() != scores.len() {
        let (part, found, expected) = ("the list of right answers", right.len(), scores.len());
        return Err(ShapeError { part, found, expected }.into());
    }
    if let Some(&value) = scores.iter().find(|score| !score.is_finite()) {
        return Err(SessionError::NotFinite { part: "the list of scores", value });
    }
    for (name, value) in rates.iter().map(|rate| ("error rate", *rate)).chain([("delta", delta)]) {
        SessionError::unless(value > 0.0 && value < 1.0, name, value, "above 0 and below 1")?;
    }
    Ok(())
}
