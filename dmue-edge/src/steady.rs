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
    /// An answer becomes `Unsure` when the smoothed score is below the threshold by this, and an
    /// answer again when it is above by this, 0..=1.
    pub score_margin: f32,
}

impl Default for SteadyOptions {
    fn default() -> Self {
        Self { time_constant: Duration::from_millis(250), margin: 0.15, score_margin: 0.05 }
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
        let best = predicted_class(smoothed);
        let at = |class: usize| smoothed.get(class).copied().unwrap_or(0.0);
        match self.label {
            Some(label) if at(best) - at(label) <= self.options.margin => {}
            _ => self.label = Some(best),
        }
        let margin = f64::from(self.options.score_margin);
        let side = if self.frames <= 1.0 {
            0.0
        } else if self.unsure {
            margin
        } else {
            -margin
        };
        self.unsure = score < self.threshold + side;
    }
}
