//! Convolutions of bytes, as `dmue-train quantize` makes them (ONNX' QLinearConv), with the addition and the
//! rounding that may follow. An image of bytes has four channels in the place of a float.

use super::dense::{Run, Windows, runs};
use super::dots::{self, Dots};
use super::epilogue::{Clip, Residual};
use super::floats::Floats;
use super::image::{Image, LANES, Place, Steps};
use super::instructions::InstructionSet;
use super::lanes::Lanes;
use super::scale::Scale;
use super::tiling::Tiling;

/// The numbers of a convolution.
pub(super) struct Weights<'a> {
    /// `[outputs, inputs, height, width]`
    pub kernel: &'a [i8],
    /// `[outputs]`, in units of input scale times kernel scale.
    pub bias: &'a [i32],
    /// `[outputs]`: input scale times kernel scale by output scale.
    pub factors: &'a [f32],
    /// Height and width.
    pub size: [usize; 2],
    pub inputs: usize,
}

/// What becomes of a convolution's bytes.
#[derive(Clone, Copy)]
pub(super) struct After {
    /// Of those bytes.
    pub scale: Scale,
    /// Image and meaning of the bytes that are added.
    pub residual: Option<(Image, Scale)>,
    pub clip: Clip,
    pub made: Made,
}

/// What an output is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Made {
    /// The convolution's bytes as they are.
    Bytes,
    /// Bytes again, after what follows.
    Rounded(Scale),
    Floats,
}

/// A convolution of an image of bytes whose border and zero point are 0.
pub(super) struct Int8 {
    runs: Vec<Run>,
    /// For each group of output vectors, for each four bytes of a window, the group's weights.
    weights: Floats,
    /// Both filled up to whole vectors.
    bias: Vec<i32>,
    factors: Vec<f32>,
    after: After,
    depth: usize,
    tiling: Tiling,
    input: Image,
    windows: Steps,
    output: Image,
    set: dots::Set,
}

impl Int8 {
    /// Packs the weights; borders as for [`super::dense::Dense::new`].
    pub fn new(
        windows: Windows,
        weights: &Weights<'_>,
        after: After,
        output: Image,
        outputs: usize,
        set: InstructionSet,
    ) -> Self {
        let input = windows.input;
        let words: Vec<usize> = (0..input.channels).collect();
        let (runs, order) = runs(&input, &words, weights.size);
        let set = set.dots();
        let (tiles, blocks_each, lowered) = set.tiles();
        let pixels = output.height * output.width;
        let tiling = Tiling::new(pixels, outputs.div_ceil(LANES), tiles, blocks_each);
        let area = weights.size[0] * weights.size[1];
        let of_output = weights.inputs * area;
        let value = |output: usize, word: usize, place: usize, byte: usize| {
            let channel = word * 4 + byte;
            match output < outputs && channel < weights.inputs {
                true => weights.kernel[output * of_output + channel * area + place],
                false => 0,
            }
        };
        let mut packed = Vec::new();
        for group in tiling.groups() {
            let end = group.start + tiling.vectors(&group).1;
            for &at in &order {
                let (word, place) = (at / area, at % area);
                packed.extend((group.start * LANES..end * LANES).map(|output| {
                    let bytes =
                        [0, 1, 2, 3].map(|byte| value(output, word, place, byte).cast_unsigned());
                    f32::from_bits(u32::from_ne_bytes(bytes))
                }));
            }
        }
        let lower = |output: usize| {
            let kernel = &weights.kernel[output * of_output..][..of_output];
            let sum = kernel.iter().fold(0_i32, |sum, weight| sum.wrapping_add((*weight).into()));
            sum.wrapping_mul(lowered)
        };
        let filled = (outputs.div_ceil(LANES) + 2) * LANES;
        let mut bias: Vec<i32> =
            (0..outputs).map(|output| weights.bias[output].wrapping_add(lower(output))).collect();
        bias.resize(filled, 0);
        let mut factors = weights.factors.to_vec();
        factors.resize(filled, 0.0);
        let reach = runs.last().map_or(0, |run| run.offset + run.length);
        Self {
            depth: order.len(),
            weights: packed.as_slice().into(),
            windows: windows.steps(reach, &output),
            runs,
            bias,
            factors,
            after,
            tiling,
            input,
            output,
            set,
        }
    }

    /// Computes the whole image.
    pub fn run(&self, input: &[f32], residual: Residual<'_>, output: &mut [f32]) {
        assert_eq!([input.len(), output.len()], [self.input.len(), self.output.len()]);
        let to = output.as_mut_ptr();
        let (residual, found) = match residual {
            Residual::Of(values) => (values.as_ptr(), values.len()),
            Residual::InPlace => (to.cast_const(), output.len()),
        };
        assert_eq!(found, self.after.residual.map_or(0, |(image, _)| image.len()));
        let mut weights = &self.weights[..];
        for group in self.tiling.groups() {
            let (vectors, blocks) = self.tiling.vectors(&group);
            let (of_group, others) = weights.split_at(self.depth * blocks * LANES);
            weights = others;
            let part = Part {
                int8: self,
                input: input.as_ptr(),
                weights: of_group.as_ptr().cast(),
                first_block: group.start,
                blocks: group.len(),
                residual,
                output: to,
            };
            for (pixels, tile) in self.tiling.cuts(0..self.output.height * self.output.width) {
                // SAFETY: `new` and the lengths hold every place to its slice, the set is what the processor has.
                unsafe { self.set.multiply(&part, (tile, vectors), pixels) };
            }
        }
    }
}

/// A group of output blocks.
pub(super) struct Part<'a> {
    int8: &'a Int8,
    input: *const f32,
    weights: *const i32,
    first_block: usize,
    blocks: usize,
    residual: *const f32,
    output: *mut f32,
}

/// Tiles of `P` pixels and `V` vectors over pixels whose number `P` divides.
///
/// # Safety
/// As [`super::dots`] says; the pixels exist in input, residual and output.
#[inline(always)]
pub(super) unsafe fn sweep<D: Dots, const P: usize, const V: usize>(
    part: &Part<'_>,
    pixels: std::ops::Range<usize>,
) {
    let int8 = part.int8;
    let to = int8.output.steps();
    let mut place = Place::new(pixels.start, int8.output.width);
    for _ in 0..pixels.len() / P {
        unsafe {
            let sums = tile::<D, P, V>(part, place);
            let outputs = to.of::<P>(place);
            let residuals = match &int8.after.residual {
                Some((image, _)) => image.steps().of::<P>(place),
                None => [0; P],
            };
            for v in 0..V {
                let block = v * D::Floats::BLOCKS;
                let channel = (part.first_block + block) * LANES;
                let blocks = (part.blocks - block).min(D::Floats::BLOCKS);
                for p in 0..P {
                    finish(part, sums[p][v], channel, blocks, residuals[p], outputs[p]);
                }
            }
        }
        place.advance(P);
    }
}

/// The heart: four bytes of a window at a time times the group's weights for them.
#[inline(always)]
unsafe fn tile<D: Dots, const P: usize, const V: usize>(
    part: &Part<'_>,
    place: Place,
) -> [[D; V]; P] {
    unsafe {
        let int8 = part.int8;
        let inputs =
            int8.windows.of::<P>(place).map(|place| part.input.wrapping_add(place).cast::<i32>());
        let bias = int8.bias.as_ptr().add(part.first_block * LANES);
        let step = D::Floats::BLOCKS * LANES;
        let mut sums = [[D::load(bias); V]; P];
        for v in 1..V {
            let bias = D::load(bias.add(v * step));
            for sums in &mut sums {
                sums[v] = bias;
            }
        }
        let mut weights = part.weights;
        for run in &int8.runs {
            for k in run.offset..run.offset + run.length {
                let mut of_outputs = [D::load(weights); V];
                for (v, weight) in of_outputs.iter_mut().enumerate().skip(1) {
                    *weight = D::load(weights.add(v * step));
                }
                weights = weights.add(V * step);
                for p in 0..P {
                    let bytes = D::broadcast(inputs[p].add(k));
                    for v in 0..V {
                        sums[p][v] = sums[p][v].add_dot(bytes, of_outputs[v]);
                    }
                }
            }
        }
        sums
    }
}

/// From a vector of sums to what is stored.
#[inline(always)]
unsafe fn finish<D: Dots>(
    part: &Part<'_>,
    sums: D,
    channel: usize,
    blocks: usize,
    residual: usize,
    output: usize,
) {
    unsafe {
        let int8 = part.int8;
        let After { scale, residual: added, clip, made } = int8.after;
        let zero = D::Floats::splat(0.0);
        let factors = D::Floats::load(int8.factors.as_ptr().add(channel));
        let bytes = D::rounded(zero.add_product(sums.to_floats(), factors), scale.zero_point);
        let to = part.output.add(output);
        if made == Made::Bytes {
            return bytes.store_bytes(to.cast::<u8>().add(channel));
        }
        let value = |bytes: D, scale: Scale| {
            let above = bytes.to_floats().sub(D::Floats::splat(scale.zero_point as f32));
            zero.add_product(above, D::Floats::splat(scale.scale))
        };
        let mut values = value(bytes, scale);
        if let Some((_, scale)) = added {
            let from = part.residual.add(residual).cast::<u8>().add(channel);
            values = values.add(value(D::load_bytes(from), scale));
        }
        let values = values.max(D::Floats::splat(clip[0])).min(D::Floats::splat(clip[1]));
        match made {
            Made::Rounded(scale) => {
                let steps = zero.add_product(values, D::Floats::splat(1.0 / scale.scale));
                D::rounded(steps, scale.zero_point).store_bytes(to.cast::<u8>().add(channel));
            }
            _ => values.store_blocks(to.add(channel), blocks),
        }
    }
}

/// Floats to bytes.
pub(super) fn quantise(
    from: (&Image, &[f32]),
    to: (&Image, &mut [f32]),
    channels: usize,
    scale: Scale,
) {
    let ((image, values), (of_bytes, words)) = (from, to);
    assert_eq!([values.len(), words.len()], [image.len(), of_bytes.len()]);
    let (from, to) = (image.steps(), of_bytes.steps());
    for (y, x) in (0..image.height).flat_map(|y| (0..image.width).map(move |x| (y, x))) {
        let pixel = &values[from.at(y, x)..][..channels];
        let words = &mut words[to.at(y, x)..][..channels.div_ceil(4)];
        for (word, values) in words.iter_mut().zip(pixel.chunks(4)) {
            let mut bytes = [0; 4];
            bytes.iter_mut().zip(values).for_each(|(byte, value)| *byte = scale.byte(*value));
            *word = f32::from_bits(u32::from_ne_bytes(bytes));
        }
    }
}

/// Bytes to floats.
pub(super) fn dequantise(
    from: (&Image, &[f32]),
    to: (&Image, &mut [f32]),
    channels: usize,
    scale: Scale,
) {
    let ((of_bytes, words), (image, values)) = (from, to);
    assert_eq!([words.len(), values.len()], [of_bytes.len(), image.len()]);
    let (from, to) = (of_bytes.steps(), image.steps());
    for (y, x) in (0..image.height).flat_map(|y| (0..image.width).map(move |x| (y, x))) {
        let words = &words[from.at(y, x)..][..channels.div_ceil(4)];
        let pixel = &mut values[to.at(y, x)..][..channels];
        for (values, word) in pixel.chunks_mut(4).zip(words) {
            let bytes = word.to_bits().to_ne_bytes();
            values.iter_mut().zip(bytes).for_each(|(value, byte)| *value = scale.value(byte));
        }
    }
}
