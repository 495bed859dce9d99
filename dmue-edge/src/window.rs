//! The sliding window: pairwise similarities over the frames of one face (method section 7).
//!
//! Per class i it keeps `s_i`, the sum of unit features, and `n_i`, the count, of the frames in the
//! window; [`crate::uncertainty::similarity`] joins them with the prior of the training faces:
//! `SV[i] = (n0 <f, mu_i> + <f, s_i>) / (n0 + n_i)`. A frame costs O(C*D) whatever the window holds.
//!
//! Consecutive frames are near-duplicates, and a steady wrong label would confirm itself. So a frame
//! enters only as news, with its probabilities as weights in place of its label, and counts only when
//! the next news has come: the frames in between resemble it and must not be judged by it.

use std::collections::VecDeque;
use std::time::Duration;

use crate::session::SessionError;
use crate::uncertainty::{ClassSums, ShapeError, unit};

/// The largest window, in frames: more is taken for a mistake.
pub const MOST_FRAMES: usize = 100_000;

/// What stays in a window, and what enters it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct WindowOptions {
    /// W, the largest number of frames that count, 0 to [`MOST_FRAMES`]. 0 keeps none: the score is
    /// then that of the frame alone, for which calibrated thresholds hold. It is the default: on made
    /// sequences of FERPlus faces windows of 10, 50 and 200 frames moved the AUROC of finding errors
    /// by less than 0.001 (example `window` of dmue-train). No person is seen twice there, so what a
    /// window gains by getting used to a person is not known.
    pub frames: usize,
    /// A frame leaves when it is older than this; above 0.
    pub age: Duration,
    /// A frame is news when the cosine of its feature to that of the last frame that entered is
    /// below this, -1..=1. With the default model frames of one still face seldom go below 0.92,
    /// while half of all pairs of different faces are below 0.81.
    pub news_cosine: f32,
    /// A frame is news, however similar, when the last one entered this long ago; 0 lets all in.
    pub news_interval: Duration,
}

impl Default for WindowOptions {
    fn default() -> Self {
        Self {
            frames: 0,
            age: Duration::from_secs(60),
            news_cosine: 0.8,
            news_interval: Duration::from_secs(30),
        }
    }
}

impl WindowOptions {
    /// Checks every option.
    ///
    /// # Errors
    /// [`SessionError::Option`] names the one that is out of range.
    pub fn check(&self) -> Result<(), SessionError> {
        let Self { frames, age, news_cosine, .. } = self;
        SessionError::unless(*frames <= MOST_FRAMES, "window.frames", frames, "0 to 100000")?;
        SessionError::unless(!age.is_zero(), "window.age", format!("{age:?}"), "above 0")?;
        let known = (-1.0..=1.0).contains(news_cosine);
        SessionError::unless(known, "window.news_cosine", news_cosine, "from -1 to 1")
    }
}

/// The last frames of one face that were news.
#[derive(Clone, Debug)]
pub struct Window {
    options: WindowOptions,
    /// The last frame that entered; it does not count yet.
    newest: Option<Entry>,
    /// The frames that count, the oldest first.
    entries: VecDeque<Entry>,
    /// `s_i` `[C, D]` and `n_i` `[C]` in f64: adding and subtracting a million unit features leaves an
    /// error below 1e-9, so nothing has to be added up again.
    sums: Vec<f64>,
    counts: Vec<f64>,
    rounded: ClassSums,
}

#[derive(Clone, Debug)]
struct Entry {
    /// `f` `[D]`
    unit_feature: Vec<f32>,
    /// `[C]`
    probabilities: Vec<f32>,
    time: Duration,
}

impl Window {
    /// An empty window for C `classes` and features of D = `feature_size` values.
    ///
    /// # Errors
    /// As [`WindowOptions::check`].
    pub fn new(
        options: WindowOptions,
        classes: usize,
        feature_size: usize,
    ) -> Result<Self, SessionError> {
        options.check()?;
        let values = classes.saturating_mul(feature_size);
        Ok(Self {
            options,
            newest: None,
            entries: VecDeque::new(),
            sums: vec![0.0; values],
            counts: vec![0.0; classes],
            rounded: ClassSums { sums: vec![0.0; values], counts: vec![0.0; classes] },
        })
    }

    /// Lets go of frames that are too old at `time`.
    pub fn expire(&mut self, time: Duration) {
        let oldest = time.saturating_sub(self.options.age);
        self.newest = self.newest.take().filter(|entry| entry.time >= oldest);
        let before = self.entries.len();
        while self.entries.front().is_some_and(|entry| entry.time < oldest) {
            self.evict();
        }
        if self.entries.len() < before {
            self.round();
        }
    }

    /// What [`crate::uncertainty::PairwiseUncertainty::confidence`] takes; ask before the frame in
    /// question is pushed.
    pub fn sums(&self) -> &ClassSums {
        &self.rounded
    }

    /// Offers a frame seen at `time`, by its `feature` `[D]` (any length) and `probabilities` `[C]`;
    /// says whether it was news and entered. Then the news before it counts, and the oldest leaves if
    /// more than W count.
    ///
    /// # Errors
    /// [`SessionError::Shape`] for another C or D, [`SessionError::NotFinite`], and
    /// [`SessionError::Timestamp`] for a `time` before the last frame that entered. The window is
    /// then as before.
    pub fn push(
        &mut self,
        feature: &[f32],
        probabilities: &[f32],
        time: Duration,
    ) -> Result<bool, SessionError> {
        self.check(feature, probabilities, time)?;
        self.expire(time);
        let unit_feature = unit(feature);
        if self.options.frames == 0 || !self.is_news(&unit_feature, time) {
            return Ok(false);
        }
        let entry = Entry { unit_feature, probabilities: probabilities.to_vec(), time };
        if let Some(news) = self.newest.replace(entry) {
            self.count_in(news);
        }
        Ok(true)
    }

    /// Frames that count, 0..=W.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no frame counts.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Forgets every frame.
    pub fn clear(&mut self) {
        self.newest = None;
        self.entries.clear();
        self.zero();
        self.round();
    }

    fn check(
        &self,
        feature: &[f32],
        probabilities: &[f32],
        time: Duration,
    ) -> Result<(), SessionError> {
        let classes = self.counts.len();
        let feature_size = self.sums.len().checked_div(classes).unwrap_or(0);
        for (part, values, expected) in [
            ("a frame's feature", feature, feature_size),
            ("a frame's probabilities", probabilities, classes),
        ] {
            if values.len() != expected {
                return Err(ShapeError { part, found: values.len(), expected }.into());
            }
            if let Some(&value) = values.iter().find(|value| !value.is_finite()) {
                return Err(SessionError::NotFinite { part, value });
            }
        }
        match &self.newest {
            Some(last) if time < last.time => {
                Err(SessionError::Timestamp { last: last.time, given: time })
            }
            _ => Ok(()),
        }
    }

    fn is_news(&self, unit_feature: &[f32], time: Duration) -> bool {
        let Some(last) = &self.newest else { return true };
        let cosine: f32 = last.unit_feature.iter().zip(unit_feature).map(|(a, b)| a * b).sum();
        cosine < self.options.news_cosine
            || time.saturating_sub(last.time) >= self.options.news_interval
    }

    fn count_in(&mut self, entry: Entry) {
        if self.entries.len() >= self.options.frames {
            self.evict();
        }
        self.accumulate(&entry, 1.0);
        self.entries.push_back(entry);
        self.round();
    }

    fn evict(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.accumulate(&entry, -1.0);
        }
        if self.entries.is_empty() {
            self.zero();
        }
    }

    /// `s_i += sign * p_i f` and `n_i += sign * p_i`
    fn accumulate(&mut self, entry: &Entry, sign: f64) {
        let rows = self.sums.chunks_exact_mut(entry.unit_feature.len().max(1));
        for ((row, count), &probability) in rows.zip(&mut self.counts).zip(&entry.probabilities) {
            let weight = sign * f64::from(probability);
            *count += weight;
            for (sum, &value) in row.iter_mut().zip(&entry.unit_feature) {
                *sum += weight * f64::from(value);
            }
        }
    }

    fn zero(&mut self) {
        self.sums.fill(0.0);
        self.counts.fill(0.0);
    }

    fn round(&mut self) {
        for (rounded, exact) in
            [(&mut self.rounded.sums, &self.sums), (&mut self.rounded.counts, &self.counts)]
        {
            rounded.iter_mut().zip(exact).for_each(|(rounded, exact)| *rounded = *exact as f32);
        }
    }
}

#[cfg(test)]
mod tests;
