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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::RngExt;

    use super::*;
    use crate::model::fixture::generator;

    /// Share of wrong answers among faces whose score reaches `threshold`, for scores uniform in
    /// 0..1 of which a share of `score^2` is right: the mean of 1 - s^2 over threshold..1.
    fn true_error(threshold: f64) -> f64 {
        let mean_square = (1.0 + threshold + threshold * threshold) / 3.0;
        1.0 - mean_square
    }

    fn draw(seed: u64, count: usize) -> (Vec<f32>, Vec<bool>) {
        let mut generator = generator(seed);
        let face = |_| {
            let score = generator.random_range(0.0..1.0_f32);
            (score, generator.random_range(0.0..1.0) < score * score)
        };
        (0..count).map(face).unzip()
    }

    #[test]
    fn the_bound_is_clopper_and_pearsons() {
        // No error among n: 1 - delta^(1/n).
        let bound = error_bound(0, 10, 0.05);
        assert!((bound - (1.0 - 0.05_f64.powf(0.1))).abs() < 1e-11, "{bound}");
        // From scipy 1.17: scipy.stats.beta.ppf(1 - delta, wrong + 1, answered - wrong)
        for (wrong, answered, delta, expected) in [
            (3, 50, 0.05, 0.147837176364),
            (37, 900, 0.0125, 0.058508015912),
            (300, 2363, 0.01, 0.143730239185),
            (99, 100, 0.1, 0.998946949690),
        ] {
            let bound = error_bound(wrong, answered, delta);
            assert!((bound - expected).abs() < 1e-9, "{wrong} of {answered}: {bound}");
        }
        assert_eq!(error_bound(0, 0, 0.05), 1.0);
        assert_eq!(error_bound(7, 7, 0.05), 1.0);
    }

    /// Calibrated again and again, tested on the truth: the promise may fail in a share of delta of
    /// the draws only.
    #[test]
    fn the_promised_rate_holds_in_nearly_all_draws() {
        let rates = [0.2, 0.3, 0.4];
        let (mut broken, mut draws) = ([0; 3], [0; 3]);
        for seed in 0..400 {
            let (scores, right) = draw(seed, 2000);
            for threshold in calibrate(&scores, &right, &rates, 0.05).unwrap() {
                let index = rates.iter().position(|rate| *rate == threshold.error_rate).unwrap();
                draws[index] += 1;
                broken[index] += usize::from(true_error(threshold.threshold) > rates[index]);
            }
        }
        assert!(draws.iter().all(|count| *count > 300), "promised in {draws:?} of 400 draws");
        assert!(broken.iter().all(|count| *count <= 20), "broken in {broken:?} of 400 draws");
    }

    #[test]
    fn more_faces_come_closer_to_the_rate() {
        let threshold = |count| {
            let (scores, right) = draw(7, count);
            calibrate(&scores, &right, &[0.2], 0.05).unwrap()[0]
        };
        let (few, many) = (threshold(2000), threshold(50_000));
        // 1 - (1 + t + t^2) / 3 = 0.2 at t = 0.785
        assert!(few.threshold > many.threshold && many.threshold - 0.785 < 0.02, "{many:?}");
        assert!((many.coverage - (1.0 - many.threshold)).abs() < 0.01, "{many:?}");
        assert_eq!((many.confidence, many.count), (0.95, 50_000));
    }

    #[test]
    fn what_cannot_be_promised_is_left_out() {
        let (scores, right) = draw(1, 1000);
        let promised = calibrate(&scores, &right, &[0.001, 0.3], 0.05).unwrap();
        assert_eq!(promised.len(), 1);
        assert_eq!(promised[0].error_rate, 0.3);
        assert!(calibrate(&[], &[], &[0.5], 0.05).unwrap().is_empty());
        let always_right = calibrate(&[0.5; 100], &[true; 100], &[0.05], 0.05).unwrap();
        assert_eq!(always_right[0].threshold, 0.0, "a low score is no reason where all is right");
    }

    #[test]
    fn a_caller_gets_the_next_lower_rate_or_an_error() {
        let (scores, right) = draw(1, 20_000);
        let promised = calibrate(&scores, &right, &[0.1, 0.2, 0.3], 0.05).unwrap();
        assert_eq!(threshold_for(&promised, 0.25).unwrap().error_rate, 0.2);
        assert_eq!(threshold_for(&promised, 0.3).unwrap().error_rate, 0.3);
        let error = threshold_for(&promised, 0.05).unwrap_err().to_string();
        assert!(error.contains("0.05") && error.contains("[0.1, 0.2, 0.3]"), "{error}");
        let error = threshold_for(&[], 0.05).unwrap_err().to_string();
        assert!(error.contains("no thresholds"), "{error}");
    }

    #[test]
    fn an_answer_needs_its_threshold() {
        assert_eq!(answer(3, 0.5, 0.5), Answer::Label(3));
        assert_eq!(answer(3, 0.499, 0.5), Answer::Unsure);
        assert_eq!(answer(3, f32::NAN, 0.0), Answer::Unsure);
    }

    #[test]
    fn bad_lists_and_rates_are_named() {
        let error = |scores: &[f32], rates: &[f64], delta| {
            calibrate(scores, &[true; 2], rates, delta).unwrap_err().to_string()
        };
        assert!(error(&[0.5], &[0.1], 0.05).contains("has 2 values where 1"));
        assert!(error(&[0.5, f32::NAN], &[0.1], 0.05).contains("NaN"));
        assert!(error(&[0.5; 2], &[0.1, 1.0], 0.05).contains("error rate is 1"));
        assert!(error(&[0.5; 2], &[0.1], 0.0).contains("delta is 0"));
    }

    proptest! {
        #[test]
        fn a_higher_rate_never_needs_a_higher_threshold(seed in any::<u64>(), count in 1usize..2000) {
            let (scores, right) = draw(seed, count);
            let promised = calibrate(&scores, &right, &[0.1, 0.2, 0.3, 0.5], 0.1).unwrap();
            prop_assert!(promised.windows(2).all(|w| w[0].threshold >= w[1].threshold));
            prop_assert!(promised.windows(2).all(|w| w[0].coverage <= w[1].coverage));
        }

        #[test]
        fn the_bound_is_where_the_tail_is_delta(
            wrong in 0usize..50,
            more in 1usize..2000,
            delta in 0.001f64..0.5,
        ) {
            let bound = error_bound(wrong, wrong + more, delta);
            prop_assert!((at_most(wrong, wrong + more, bound) - delta).abs() < 1e-6);
        }
    }
}
