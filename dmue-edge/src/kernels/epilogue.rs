//! What becomes of a sum of products before it is stored.

use super::image::Image;
use super::lanes::Lanes;

/// Output limits: a ReLU is 0 to infinity.
pub(super) type Clip = [f32; 2];

pub(super) const NO_CLIP: Clip = [f32::NEG_INFINITY, f32::INFINITY];

/// Bias and limits, channel by channel; what fills up the last vector comes out as zero, whatever the limits.
pub(super) struct Epilogue {
    bias: Vec<f32>,
    low: Vec<f32>,
    high: Vec<f32>,
}

impl Epilogue {
    pub fn new(bias: &[f32], [low, high]: Clip, output: &Image) -> Self {
        let filled = |mut values: Vec<f32>| {
            values.resize(output.pixel, 0.0);
            values
        };
        let all = |limit| vec![limit; output.channels];
        Self { bias: filled(bias.to_vec()), low: filled(all(low)), high: filled(all(high)) }
    }

    /// What the sums of eight channels begin with.
    ///
    /// # Safety
    /// As [`super::lanes`] says; the channels exist in the output.
    #[inline(always)]
    pub unsafe fn bias<L: Lanes>(&self, channel: usize) -> L {
        unsafe { L::load(self.bias.as_ptr().add(channel)) }
    }

    /// The sums of eight channels within their limits.
    ///
    /// # Safety
    /// As [`Self::bias`].
    #[inline(always)]
    pub unsafe fn limit<L: Lanes>(&self, channel: usize, sums: L) -> L {
        unsafe {
            let low = L::load(self.low.as_ptr().add(channel));
            let high = L::load(self.high.as_ptr().add(channel));
            sums.max(low).min(high)
        }
    }
}
