//! Answers that do not flicker: probabilities smoothed over a face's track, weighted by the score,
//! and a label that holds until another one is clearly ahead.

use std::time::Duration;

use crate::abstain::Answer;
use crate::session::SessionError;
use crate::uncertainty::{ShapeError, predicted_class};

/// Weight of a frame whose score is 0, so that a track of such frames has a mean too.
const LEAST_WEIGHT: f64 = 1e-3;

/// How much the steadied label resists.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SteadyOptions {
    /// After this time a frame's weight has fallen to 1/e; 0 looks at the latest frame only.
    pub time_constant: Duration,
    /// The label changes when another class's smoothed probability is ahead by this, 0..=1.
    pub margin: f32,
    /// An answer becomes `Unsure` when the smoothed score is below the threshold by this, 0..=1, and
    /// an answer again when it is above by this, or half-way to 1 where that is less.
    pub score_margin: f32,
}

/// Chosen on made sequences of 400 FERPlus faces at 15 frames a second (jitter, noise, blur, exposure):
/// 14 times fewer changes of the label than frame by frame, 44 times fewer where a 10 % error rate is
/// tolerated, and 96 % of the changes from one clear expression to another within 300 ms (example
/// `steadiness` of dmue-train). Longer time constants leave fewer changes and follow too late.
impl Default for SteadyOptions {
    fn default() -> Self {
        Self { time_constant: Duration::from_millis(150), margin: 0.3, score_margin: 0.1 }
    }
}

impl SteadyOptions {
    /// Checks every option.
    ///
    /// # Errors
    /// [`SessionError::Option`] names the one that is out of range.
    pub fn check(&self) -> Result<(), SessionError> {
        for (name, value) in
            [("steady.margin", self.margin), ("steady.score_margin", self.score_margin)]
        {
            SessionError::unless((0.0..=1.0).contains(&value), name, value, "from 0 to 1")?;
        }
        Ok(())
    }
}

/// What the frames so far say together.
#[derive(Clone, Debug, PartialEq)]
pub struct Steadied {
    /// `[C]`, mean of the frames' probabilities weighted by score and recency; they add up to 1.
    pub probabilities: Vec<f32>,
    /// Mean of the frames' scores weighted by recency, 0..=1.
    pub score: f32,
    /// The label that holds, or `Unsure`.
    pub answer: Answer,
}

/// The state behind the steadied label of one face.
#[derive(Clone, Debug)]
pub struct Steadier {
    options: SteadyOptions,
    threshold: f64,
    /// `[C]`, decaying sum of score * probabilities, and of the scores.
    weighted: Vec<f64>,
    weight: f64,
    /// Decaying sum of scores, and of ones.
    scores: f64,
    frames: f64,
    label: Option<usize>,
    unsure: bool,
    last: Option<Duration>,
}

impl Steadier {
    /// Nothing seen yet, for C `classes`; answers need a smoothed score of about `threshold`, 0..=1.
    ///
    /// # Errors
    /// As [`SteadyOptions::check`].
    pub fn new(
        options: SteadyOptions,
        classes: usize,
        threshold: f64,
    ) -> Result<Self, SessionError> {
        options.check()?;
        Ok(Self {
            options,
            threshold,
            weighted: vec![0.0; classes],
            weight: 0.0,
            scores: 0.0,
            frames: 0.0,
            label: None,
            unsure: false,
            last: None,
        })
    }

    /// Takes a frame's `probabilities` `[C]` and `score`, 0..=1, seen at `time`.
    ///
    /// # Errors
    /// [`SessionError::Shape`] for another C, [`SessionError::NotFinite`], and
    /// [`SessionError::Timestamp`] for a `time` before the last one. The state is then as before.
    pub fn update(
        &mut self,
        probabilities: &[f32],
        score: f32,
        time: Duration,
    ) -> Result<Steadied, SessionError> {
        self.check(probabilities, score, time)?;
        let elapsed = self.last.map_or(Duration::ZERO, |last| time.saturating_sub(last));
        self.last = Some(time);
        self.accumulate(probabilities, f64::from(score), self.kept_after(elapsed));
        let smoothed: Vec<f32> =
            self.weighted.iter().map(|sum| (sum / self.weight) as f32).collect();
        let score = self.scores / self.frames;
        self.settle(&smoothed, score);
        let answer = match self.label {
            Some(label) if !self.unsure => Answer::Label(label),
            _ => Answer::Unsure,
        };
        Ok(Steadied { probabilities: smoothed, score: score as f32, answer })
    }

    fn check(
        &self,
        probabilities: &[f32],
        score: f32,
        given: Duration,
    ) -> Result<(), SessionError> {
        let (part, expected) = ("a frame's probabilities", self.weighted.len());
        if probabilities.len() != expected {
            return Err(ShapeError { part, found: probabilities.len(), expected }.into());
        }
        for (part, values) in [(part, probabilities), ("a frame's score", &[score])] {
            if let Some(&value) = values.iter().find(|value| !value.is_finite()) {
                return Err(SessionError::NotFinite { part, value });
            }
        }
        match self.last {
            Some(last) if given < last => Err(SessionError::Timestamp { last, given }),
            _ => Ok(()),
        }
    }

    /// Share of the past that is kept after `elapsed`: `exp(-elapsed / time_constant)`.
    fn kept_after(&self, elapsed: Duration) -> f64 {
        let constant = self.options.time_constant.as_secs_f64();
        if constant > 0.0 { (-elapsed.as_secs_f64() / constant).exp() } else { 0.0 }
    }

    fn accumulate(&mut self, probabilities: &[f32], score: f64, kept: f64) {
        let weight = score.max(LEAST_WEIGHT);
        for (sum, probability) in self.weighted.iter_mut().zip(probabilities) {
            *sum = *sum * kept + weight * f64::from(*probability);
        }
        self.weight = self.weight * kept + weight;
        self.scores = self.scores * kept + score;
        self.frames = self.frames * kept + 1.0;
    }

    /// Hysteresis: label and `unsure` change only where the other side is ahead by a margin.
    fn settle(&mut self, smoothed: &[f32], score: f64) {
        // Nothing of the past is left, or there was none.
        let fresh = self.frames <= 1.0;
        let best = predicted_class(smoothed);
        let at = |class: usize| smoothed.get(class).copied().unwrap_or(0.0);
        match self.label {
            Some(label) if !fresh && at(best) - at(label) <= self.options.margin => {}
            _ => self.label = Some(best),
        }
        let margin = f64::from(self.options.score_margin);
        let side = match self.unsure {
            _ if fresh => 0.0,
            true => margin.min((1.0 - self.threshold) / 2.0),
            false => -margin,
        };
        self.unsure = score < self.threshold + side;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::RngExt;

    use super::*;
    use crate::model::fixture::generator;

    const FRAME: Duration = Duration::from_nanos(1_000_000_000 / 15);

    fn steadier(threshold: f64) -> Steadier {
        Steadier::new(SteadyOptions::default(), 3, threshold).unwrap()
    }

    /// (changes of the frames' own answers, of the steadied ones)
    fn changes(frames: &[(Vec<f32>, f32)], threshold: f64) -> (usize, usize) {
        let mut steadier = steadier(threshold);
        let raw = frames
            .iter()
            .map(|(p, score)| crate::abstain::answer(predicted_class(p), *score, threshold));
        let steadied = frames.iter().enumerate().map(|(number, (p, score))| {
            steadier.update(p, *score, FRAME * number as u32).unwrap().answer
        });
        let count = |answers: Vec<Answer>| answers.windows(2).filter(|w| w[0] != w[1]).count();
        (count(raw.collect()), count(steadied.collect()))
    }

    /// A minute in which two classes are as likely and the score straddles the threshold.
    #[test]
    fn noise_around_the_border_flickers_a_tenth_as_often() {
        let mut generator = generator(3);
        let mut noise = move |middle: f32, spread: f32| {
            middle + (0..4).map(|_| generator.random_range(-spread..spread)).sum::<f32>() / 2.0
        };
        let frame = |share: f32, score: f32| (vec![share, 0.9 - share, 0.1], score);
        let labels: Vec<_> = (0..900).map(|_| frame(noise(0.45, 0.2), 0.9)).collect();
        let (raw, steadied) = changes(&labels, 0.5);
        assert!(raw > 300 && steadied * 10 <= raw, "label: {raw} raw, {steadied} steadied");
        let scores: Vec<_> = (0..900).map(|_| frame(0.8, noise(0.5, 0.08))).collect();
        let (raw, steadied) = changes(&scores, 0.5);
        assert!(raw > 300 && steadied * 10 <= raw, "unsure: {raw} raw, {steadied} steadied");
    }

    #[test]
    fn a_clear_change_is_followed_within_300_ms() {
        let mut steadier = steadier(0.5);
        for number in 0..100 {
            steadier.update(&[0.8, 0.15, 0.05], 0.9, FRAME * number).unwrap();
        }
        let at = |number: u32| FRAME * (100 + number);
        let followed = (0..30).find(|number| {
            let steadied = steadier.update(&[0.1, 0.7, 0.2], 0.8, at(*number)).unwrap();
            steadied.answer == Answer::Label(1)
        });
        // The change happened at some time after frame 99.
        let delay = at(followed.unwrap()) - FRAME * 99;
        assert!(delay <= Duration::from_millis(300), "{delay:?}");
    }

    #[test]
    fn a_low_score_weighs_little_and_the_answer_turns_unsure_and_back() {
        let mut steadier = steadier(0.6);
        let mut answers = Vec::new();
        for number in 0..60 {
            let (share, score) = if (20..40).contains(&number) { (0.3, 0.2) } else { (0.9, 0.9) };
            let frame = [share, 1.0 - share, 0.0];
            answers.push(steadier.update(&frame, score, FRAME * number).unwrap().answer);
        }
        assert_eq!(answers[19], Answer::Label(0));
        assert_eq!(answers[39], Answer::Unsure);
        assert_eq!(answers[59], Answer::Label(0));
        let kept = |score| {
            let mut steadier = self::steadier(0.0);
            steadier.update(&[1.0, 0.0, 0.0], 0.9, Duration::ZERO).unwrap();
            steadier.update(&[0.0, 1.0, 0.0], score, FRAME).unwrap().probabilities[0]
        };
        assert!(kept(0.1) > kept(0.9));
    }

    #[test]
    fn a_threshold_near_1_can_be_reached_again() {
        let mut steadier = steadier(0.95);
        let scores = [[0.5; 20], [0.99; 20]].concat();
        let answers = (0..).zip(scores).map(|(number, score)| {
            steadier.update(&[1.0, 0.0, 0.0], score, FRAME * number).unwrap().answer
        });
        let answers: Vec<_> = answers.collect();
        assert_eq!((answers[19], answers[39]), (Answer::Unsure, Answer::Label(0)));
    }

    #[test]
    fn time_that_stands_still_lets_nothing_fade() {
        let mut steadier = steadier(0.0);
        let frames = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
        let last = frames.map(|frame| steadier.update(&frame, 0.5, FRAME).unwrap());
        assert_eq!(last[3].probabilities, [0.25, 0.5, 0.25]);
    }

    #[test]
    fn without_a_time_constant_the_latest_frame_decides() {
        let options = SteadyOptions { time_constant: Duration::ZERO, ..Default::default() };
        let mut steadier = Steadier::new(options, 3, 0.0).unwrap();
        steadier.update(&[1.0, 0.0, 0.0], 0.9, Duration::ZERO).unwrap();
        let steadied = steadier.update(&[0.0, 1.0, 0.0], 0.1, Duration::ZERO).unwrap();
        assert_eq!(steadied.answer, Answer::Label(1));
        assert_eq!(steadied.probabilities, [0.0, 1.0, 0.0]);
    }

    #[test]
    fn bad_frames_and_options_are_refused() {
        let mut steadier = steadier(0.5);
        steadier.update(&[1.0, 0.0, 0.0], 0.9, FRAME).unwrap();
        let before = steadier.clone();
        let bad: [(&[f32], f32, Duration, &str); 4] = [
            (&[1.0], 0.9, FRAME, "has 1 values where 3"),
            (&[f32::NAN, 0.0, 0.0], 0.9, FRAME, "probabilities holds NaN"),
            (&[1.0, 0.0, 0.0], f32::INFINITY, FRAME, "score holds inf"),
            (&[1.0, 0.0, 0.0], 0.9, Duration::ZERO, "0ns is earlier than"),
        ];
        for (probabilities, score, time, words) in bad {
            let error = steadier.update(probabilities, score, time).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        assert_eq!(format!("{before:?}"), format!("{steadier:?}"));
        for margin in [-0.1, 1.1, f32::NAN] {
            let options = SteadyOptions { margin, ..Default::default() };
            let error = Steadier::new(options, 3, 0.5).unwrap_err().to_string();
            assert!(error.contains("steady.margin"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn smoothed_probabilities_stay_probabilities(
            frames in prop::collection::vec((0f32..=1.0, 0f32..=1.0, 0u64..100_000), 1..50),
        ) {
            let mut steadier = steadier(0.5);
            let mut time = Duration::ZERO;
            for (share, score, step) in frames {
                time += Duration::from_millis(step);
                let steadied = steadier.update(&[share, 1.0 - share, 0.0], score, time).unwrap();
                let total: f32 = steadied.probabilities.iter().sum();
                prop_assert!((total - 1.0).abs() < 1e-5, "{:?}", steadied);
                prop_assert!((0.0..=1.0).contains(&steadied.score));
            }
        }
    }
}
