//! Depthwise convolutions: each channel by itself, eight side by side.

use std::ops::Range;

use super::dense::{Weights, Windows};
use super::epilogue::{Clip, Epilogue};
use super::floats::Floats;
use super::image::{Image, LANES, Place, Slice, Steps};
use super::instructions::InstructionSet;
use super::lanes::Lanes;

/// Pixels of a tile of 3x3 windows.
const PIXELS: usize = 4;

/// `clip(bias + weights . window)` for each channel of each pixel.
pub(super) struct Depthwise {
    /// Behind the window's first float, for each of its pixels.
    offsets: Vec<usize>,
    /// For each eight channels, for each pixel of the window.
    weights: Floats,
    epilogue: Epilogue,
    /// Its windows are 3x3 and so far apart.
    three_by_three: Option<usize>,
    input: Image,
    windows: Steps,
    output: Slice,
}

impl Depthwise {
    /// Packs the weights; the border as for [`super::dense::Dense::new`].
    pub fn new(windows: Windows, weights: &Weights<'_>, clip: Clip, output: Slice) -> Self {
        let input = windows.input;
        assert_eq!((input.blocks(), input.channels), (output.blocks(), output.channels));
        let [height, width] = weights.size;
        let places = (0..height).flat_map(|y| (0..width).map(move |x| (y, x)));
        let offsets: Vec<usize> = places.map(|(y, x)| y * input.row() + x * input.pixel).collect();
        let size = offsets.len();
        let mut packed = Vec::with_capacity(size * input.pixel);
        for block in 0..output.blocks() {
            for place in 0..size {
                let channels = block * LANES..(block + 1) * LANES;
                packed.extend(channels.map(|channel| {
                    weights.kernel.get(channel * size + place).copied().unwrap_or(0.0)
                }));
            }
        }
        let reach = offsets.last().map_or(0, |offset| offset + input.pixel);
        Self {
            offsets,
            weights: packed.as_slice().into(),
            epilogue: Epilogue::new(weights.bias, (clip, None), &output),
            three_by_three: (weights.size == [3, 3]).then_some(windows.stride[1]),
            input,
            windows: windows.steps(reach, &output.image),
            output,
        }
    }

    pub fn input(&self) -> &Image {
        &self.input
    }

    pub fn output(&self) -> &Image {
        &self.output.image
    }

    /// Computes the whole image.
    pub fn run(&self, set: InstructionSet, input: &[f32], output: &mut [f32]) {
        let image = &self.output.image;
        assert_eq!(output.len(), image.len());
        let pixels = 0..image.height * image.width;
        self.run_into(set, input, pixels, output.as_mut_ptr(), &self.output.steps());
    }

    /// Computes some pixels in the order of rows, one behind the other.
    pub fn run_pixels(
        &self,
        set: InstructionSet,
        input: &[f32],
        pixels: Range<usize>,
        output: &mut [f32],
    ) {
        let Image { height, width, pixel, .. } = self.output.image;
        assert!(pixels.end <= height * width);
        assert!(pixels.len() * pixel <= output.len());
        let target = Steps::dense(width, pixel);
        let output = output.as_mut_ptr().wrapping_sub(pixels.start * pixel);
        self.run_into(set, input, pixels, output, &target);
    }

    fn run_into(
        &self,
        set: InstructionSet,
        input: &[f32],
        pixels: Range<usize>,
        output: *mut f32,
        target: &Steps,
    ) {
        assert_eq!(input.len(), self.input.len());
        // SAFETY: `new` and the callers hold every place to its slice, `InstructionSet` is what the processor has.
        unsafe { set.filter(self, input.as_ptr(), pixels, output, target) };
    }
}

/// # Safety
/// As [`super::lanes`] says; the pixels exist in input and output.
#[inline(always)]
pub(super) unsafe fn sweep<L: Lanes>(
    depthwise: &Depthwise,
    input: *const f32,
    pixels: Range<usize>,
    output: *mut f32,
    target: &Steps,
) {
    let mut place = Place::new(pixels.start, depthwise.output.image.width);
    let mut left = pixels.len();
    while left > 0 {
        let from = input.wrapping_add(depthwise.windows.at(place.y, place.x));
        let to = output.wrapping_add(target.at(place.y, place.x));
        let whole = left >= PIXELS && place.has_in_row(PIXELS);
        let done = unsafe {
            match depthwise.three_by_three {
                Some(1) if whole => three_by_three::<L, 1, 6>(depthwise, from, to, target.pixel),
                Some(2) if whole => three_by_three::<L, 2, 9>(depthwise, from, to, target.pixel),
                _ => one::<L>(depthwise, from, to),
            }
        };
        place.advance(done);
        left -= done;
    }
}

/// [`PIXELS`] neighbours in a row, whose 3x3 windows, `STRIDE` apart, share `COLUMNS` columns. Gives how many
/// pixels it did.
#[inline(always)]
unsafe fn three_by_three<L: Lanes, const STRIDE: usize, const COLUMNS: usize>(
    depthwise: &Depthwise,
    from: *const f32,
    to: *mut f32,
    to_pixel: usize,
) -> usize {
    unsafe {
        let (row, pixel) = (depthwise.input.row(), depthwise.input.pixel);
        let mut weights = depthwise.weights.as_ptr();
        for block in 0..depthwise.output.blocks() {
            let channel = block * LANES;
            let mut sums: [L; PIXELS] = [depthwise.epilogue.bias(channel); PIXELS];
            for y in 0..3 {
                let from = from.add(channel + y * row);
                let mut of_row = [L::splat(0.0); 3];
                for (x, weight) in of_row.iter_mut().enumerate() {
                    *weight = L::load(weights.add((y * 3 + x) * LANES));
                }
                for column in 0..COLUMNS {
                    let value = L::load(from.add(column * pixel));
                    for p in 0..PIXELS {
                        if column >= p * STRIDE && column < p * STRIDE + 3 {
                            sums[p] = sums[p].add_product(value, of_row[column - p * STRIDE]);
                        }
                    }
                }
            }
            weights = weights.add(9 * LANES);
            for p in 0..PIXELS {
                let limited: L = depthwise.epilogue.limit(channel, sums[p]);
                limited.store(to.add(p * to_pixel + channel));
            }
        }
    }
    PIXELS
}

/// One pixel, any window.
#[inline(always)]
unsafe fn one<L: Lanes>(depthwise: &Depthwise, from: *const f32, to: *mut f32) -> usize {
    unsafe {
        let mut weights = depthwise.weights.as_ptr();
        for block in 0..depthwise.output.blocks() {
            let channel = block * LANES;
            let mut sum: L = depthwise.epilogue.bias(channel);
            for &offset in &depthwise.offsets {
                sum = sum.add_product(L::load(from.add(channel + offset)), L::load(weights));
                weights = weights.add(LANES);
            }
            depthwise.epilogue.limit(channel, sum).store(to.add(channel));
        }
    }
    1
}
