//! Instance normalisation of an image's first channels; the others pass.

use super::epilogue::{Clip, Epilogue};
use super::image::{Image, LANES, Slice};
use super::instructions::InstructionSet;
use super::lanes::Lanes;
use super::region::Normalisation;

/// `clip((x - mean) * scale / sqrt(variance + epsilon) + shift)`, channel by channel over all pixels.
pub(super) struct InstanceNorm {
    normalisation: Normalisation,
    epilogue: Epilogue,
    input: Image,
    output: Image,
}

impl InstanceNorm {
    /// Images of one shape.
    pub fn new(input: Image, output: Image, normalisation: Normalisation, clip: Clip) -> Self {
        let shape = |image: &Image| [image.height, image.width, image.channels, image.pixel];
        assert_eq!(shape(&input), shape(&output));
        let lengths = [normalisation.scale.len(), normalisation.shift.len()];
        assert!(lengths[0] == lengths[1] && lengths[0] <= input.channels);
        let zeros = vec![0.0; output.channels];
        let epilogue = Epilogue::new(&zeros, (clip, None), &Slice::whole(output));
        Self { normalisation, epilogue, input, output }
    }

    /// Computes the whole image.
    pub fn run(&self, set: InstructionSet, input: &[f32], output: &mut [f32]) {
        assert_eq!([input.len(), output.len()], [self.input.len(), self.output.len()]);
        // SAFETY: the lengths are as asserted, `set` is what the processor has.
        unsafe { set.instance_norm(self, input.as_ptr(), output.as_mut_ptr()) };
    }

    /// Factors and shifts of the channels from the first of a vector on, of squares' means; 1 and 0 of those that
    /// pass.
    #[inline(always)]
    fn factors(&self, first: usize, variance: [f32; LANES]) -> ([f32; LANES], [f32; LANES]) {
        let Normalisation { scale, shift, epsilon } = &self.normalisation;
        let factor = |lane: usize| {
            let root = (variance[lane] + epsilon).sqrt();
            scale.get(first + lane).map_or(1.0, |scale| scale / root)
        };
        let shift = |lane: usize| shift.get(first + lane).copied().unwrap_or(0.0);
        (std::array::from_fn(factor), std::array::from_fn(shift))
    }
}

/// # Safety
/// As [`super::lanes`] says; the images have the lengths that their shapes tell.
#[inline(always)]
pub(super) unsafe fn sweep<L: Lanes>(norm: &InstanceNorm, input: *const f32, output: *mut f32) {
    let (from, to) = (norm.input.steps(), norm.output.steps());
    let Image { height, width, .. } = norm.input;
    for block in 0..norm.input.blocks() {
        let first = block * LANES;
        unsafe {
            let value = |y, x| L::load(input.add(from.at(y, x) + first));
            let mut mean = [0.0; LANES];
            let mut variance = [0.0; LANES];
            let normalised = norm.normalisation.scale.len().saturating_sub(first).min(LANES);
            if normalised > 0 {
                mean_of::<L>([height, width], value).store(mean.as_mut_ptr());
                mean[normalised..].fill(0.0);
                let mean = L::load(mean.as_ptr());
                let square = |y, x| {
                    let difference = value(y, x).sub(mean);
                    L::splat(0.0).add_product(difference, difference)
                };
                mean_of::<L>([height, width], square).store(variance.as_mut_ptr());
            }
            let (factors, shifts) = norm.factors(first, variance);
            let [mean, factors, shifts] = [mean, factors, shifts].map(|of| L::load(of.as_ptr()));
            for y in 0..height {
                for x in 0..width {
                    let whole = shifts.add_product(value(y, x).sub(mean), factors);
                    let limited: L = norm.epilogue.limit(first, whole);
                    limited.store(output.add(to.at(y, x) + first));
                }
            }
        }
    }
}

/// Row by row, so that sums of many stay exact.
#[inline(always)]
unsafe fn mean_of<L: Lanes>([height, width]: [usize; 2], value: impl Fn(usize, usize) -> L) -> L {
    unsafe {
        let mut sum = L::splat(0.0);
        for y in 0..height {
            let mut row = L::splat(0.0);
            for x in 0..width {
                row = row.add(value(y, x));
            }
            sum = sum.add(row);
        }
        L::splat(0.0).add_product(sum, L::splat(1.0 / (height * width) as f32))
    }
}
