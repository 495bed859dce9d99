//! What becomes of a sum of products before it is stored.

use super::image::{Image, LANES, Slice, Steps};
use super::lanes::Lanes;

/// Output limits: a ReLU is 0 to infinity.
pub(super) type Clip = [f32; 2];

/// What is added to an output.
#[derive(Clone, Copy)]
pub(super) enum Residual<'a> {
    /// Nothing where it is empty.
    Of(&'a [f32]),
    /// What is there, pixel by pixel and channel by channel.
    InPlace,
}

pub(super) const NO_CLIP: Clip = [f32::NEG_INFINITY, f32::INFINITY];

/// Bias and limits, channel by channel, and what is added between them; what fills up the last vector comes out
/// as zero, whatever the limits.
pub(super) struct Epilogue {
    bias: Vec<f32>,
    low: Vec<f32>,
    high: Vec<f32>,
    residual: Option<Image>,
}

impl Epilogue {
    /// The residual has the output's height and width; channels that it lacks are zeros.
    pub fn new(
        bias: &[f32],
        ([low, high], residual): (Clip, Option<Image>),
        output: &Slice,
    ) -> Self {
        let size = |image: &Image| [image.height, image.width];
        assert!(residual.is_none_or(|residual| size(&residual) == size(&output.image)));
        // Sixteen at a time may be read from the last eight on.
        let filled = |mut values: Vec<f32>| {
            values.resize((output.blocks() + 1) * LANES, 0.0);
            values
        };
        let all = |limit| vec![limit; output.channels];
        Self {
            bias: filled(bias.to_vec()),
            low: filled(all(low)),
            high: filled(all(high)),
            residual,
        }
    }

    /// The way through the residual, and its vectors a pixel.
    pub fn residual(&self) -> Option<(Steps, usize)> {
        self.residual.map(|image| (image.steps(), image.blocks()))
    }

    /// Where a residual's values are, held to what [`Self::residual`] says, and where the output's.
    pub fn places(&self, residual: Residual<'_>, output: &mut [f32]) -> (*const f32, *mut f32) {
        let (length, output_length) = (self.residual.map_or(0, |image| image.len()), output.len());
        let output = output.as_mut_ptr();
        let (values, found) = match residual {
            Residual::Of(values) => (values.as_ptr(), values.len()),
            Residual::InPlace => (output.cast_const(), output_length),
        };
        assert_eq!(found, length);
        (values, output)
    }

    /// What the sums of a vector of channels begin with.
    ///
    /// # Safety
    /// As [`super::lanes`] says; the first eight channels exist in the output.
    #[inline(always)]
    pub unsafe fn bias<L: Lanes>(&self, channel: usize) -> L {
        unsafe { L::load(self.bias.as_ptr().add(channel)) }
    }

    /// The sums of a vector of channels within their limits.
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
