//! What the last seconds were like: uncertainty per face, pictures per second.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use dmue_edge::SessionResult;

/// How far the strip looks back.
pub const SPAN: Duration = Duration::from_secs(20);

/// The rate is that of the last so many pictures.
const RATE_OVER: usize = 20;

/// One face in one picture. Uncertainty is 1 - score, 0..=1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// In the time of the pictures.
    pub time: Duration,
    pub track_id: u64,
    /// Of this picture alone.
    pub raw: f32,
    /// Smoothed over the track.
    pub steadied: f32,
}

/// Grows by one picture at a time and forgets what is older than [`SPAN`].
#[derive(Default)]
pub struct History {
    samples: VecDeque<Sample>,
    arrivals: VecDeque<Instant>,
}

impl History {
    /// Takes what was said about the picture of `time`.
    pub fn push(&mut self, result: &SessionResult, time: Duration) {
        for face in &result.faces {
            let (raw, steadied) = (1.0 - face.prediction.score, 1.0 - face.steadied_score);
            self.samples.push_back(Sample { time, track_id: face.track_id, raw, steadied });
        }
        while self.samples.front().is_some_and(|sample| sample.time + SPAN < time) {
            self.samples.pop_front();
        }
        self.arrivals.push_back(Instant::now());
        if self.arrivals.len() > RATE_OVER + 1 {
            self.arrivals.pop_front();
        }
    }

    /// By time.
    pub fn samples(&self) -> impl DoubleEndedIterator<Item = &Sample> {
        self.samples.iter()
    }

    /// Pictures per second of wall time, lately; 0 before the second.
    pub fn rate(&self) -> f64 {
        let (Some(first), Some(last)) = (self.arrivals.front(), self.arrivals.back()) else {
            return 0.0;
        };
        let seconds = last.duration_since(*first).as_secs_f64();
        if seconds > 0.0 { (self.arrivals.len() - 1) as f64 / seconds } else { 0.0 }
    }
}
