//! What the stages of a training step take.

use std::time::Instant;

use tch::Device;

/// How many stages a step has.
pub const STAGES: usize = 6;

/// The stages of a step, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Drawing, copying and varying images.
    Load,
    /// Teachers' answers.
    Teach,
    /// All branches' outputs.
    Forward,
    /// The terms of the loss.
    Losses,
    /// Gradients.
    Backward,
    /// The optimiser's move.
    Update,
}

impl Stage {
    /// All of them, in order.
    pub const ALL: [Self; STAGES] =
        [Self::Load, Self::Teach, Self::Forward, Self::Losses, Self::Backward, Self::Update];

    /// For tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Teach => "teach",
            Self::Forward => "forward",
            Self::Losses => "losses",
            Self::Backward => "backward",
            Self::Update => "update",
        }
    }
}

/// Adds up the time of each stage. On a GPU, whose work goes on after a call returns, waiting for it
/// would slow training down; only [`Clock::exact`] does.
#[derive(Debug)]
pub struct Clock {
    last: Instant,
    seconds: [f64; STAGES],
    waits_for: Option<i64>,
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock {
    /// All stages at 0; on a GPU times are those of the calls, not of the work.
    pub fn new() -> Self {
        Self { last: Instant::now(), seconds: [0.; STAGES], waits_for: None }
    }

    /// All stages at 0; waits for a GPU at the end of each.
    pub fn exact(device: Device) -> Self {
        let waits_for = if let Device::Cuda(index) = device { Some(index as i64) } else { None };
        Self { waits_for, ..Self::new() }
    }

    /// A step begins.
    pub fn start(&mut self) {
        self.last = Instant::now();
    }

    /// `stage` has ended, the next one begins.
    pub fn lap(&mut self, stage: Stage) {
        if let Some(index) = self.waits_for {
            tch::Cuda::synchronize(index);
        }
        let now = Instant::now();
        self.seconds[stage as usize] += (now - self.last).as_secs_f64();
        self.last = now;
    }

    /// Seconds of each stage so far, in their order.
    pub fn seconds(&self) -> [f64; STAGES] {
        self.seconds
    }

    /// A stage's share of the time so far, 0..1.
    pub fn share(&self, stage: Stage) -> f64 {
        self.seconds[stage as usize] / self.seconds.iter().sum::<f64>().max(f64::MIN_POSITIVE)
    }
}
