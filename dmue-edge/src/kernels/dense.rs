//! Dense convolutions of any kernel size and stride, as matrix products over the image itself: nothing is
//! unrolled or copied, a window is read where it lies.

use std::ops::Range;

use super::depthwise::Depthwise;
use super::epilogue::{Clip, Epilogue, Residual};
use super::floats::Floats;
use super::image::{Image, LANES, Place, Slice, Steps};
use super::instructions::InstructionSet;
use super::lanes::Lanes;
use super::tiling::Tiling;

/// Pixels that a depthwise convolution makes at a time for the product behind it: they stay in the first cache.
const CHUNK: usize = 48;

/// Neighbouring floats of a window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    /// Behind the window's first float.
    pub offset: usize,
    pub length: usize,
}

/// The numbers of a convolution, as ONNX has them.
pub(super) struct Weights<'a> {
    /// `[outputs, inputs, height, width]`, or `[channels, 1, height, width]` of a depthwise one.
    pub kernel: &'a [f32],
    /// `[outputs]`
    pub bias: &'a [f32],
    /// Height and width.
    pub size: [usize; 2],
}

/// What a convolution reads.
#[derive(Clone, Copy)]
pub(super) struct Windows {
    pub input: Image,
    /// Rows, columns.
    pub stride: [usize; 2],
    /// Above, left.
    pub padding: [usize; 2],
}

impl Windows {
    /// The way from window to window, each `reach` floats long, one for each pixel of the output.
    pub fn steps(&self, reach: usize, output: &Image) -> Steps {
        let steps = self.input.window_steps(self.stride, self.padding);
        let last = steps.at(output.height - 1, output.width - 1);
        assert!(last + reach <= self.input.len(), "a window reaches out of its image");
        steps
    }
}

/// `clip(bias + weights . window + residual)` for each pixel.
pub(super) struct Dense {
    runs: Vec<Run>,
    /// For each group of output vectors, for each float of a window, the group's weights.
    weights: Floats,
    epilogue: Epilogue,
    depth: usize,
    tiling: Tiling,
    input: Image,
    windows: Steps,
    output: Slice,
    before: Option<Depthwise>,
}

impl Dense {
    /// Packs the weights; `channels` says where in a pixel each channel of the kernel is. The input's border must
    /// cover the padding, and what windows reach beyond the other edges.
    pub fn new(
        windows: Windows,
        channels: &[usize],
        weights: &Weights<'_>,
        after: (Clip, Option<Image>),
        output: Slice,
        set: InstructionSet,
    ) -> Self {
        let (runs, order) = runs(&windows.input, channels, weights.size);
        let depth = order.len();
        let (tiles, blocks_each) = set.tiles(output.blocks());
        let pixels = output.image.height * output.image.width;
        let tiling = Tiling::new(pixels, output.blocks(), tiles, blocks_each);
        let width = |group: &Range<usize>| tiling.vectors(group).1 * LANES;
        let mut packed = Floats::zeros(depth * tiling.groups().map(|g| width(&g)).sum::<usize>());
        let mut rest = &mut packed[..];
        for group in tiling.groups() {
            let (own, others) = rest.split_at_mut(depth * width(&group));
            rest = others;
            let first = group.start * LANES;
            let channels = first..output.channels.min(first + width(&group));
            for (row, &place) in own.chunks_exact_mut(width(&group)).zip(&order) {
                for (value, channel) in row.iter_mut().zip(channels.clone()) {
                    *value = weights.kernel[channel * depth + place];
                }
            }
        }
        let reach = runs.last().map_or(0, |run| run.offset + run.length);
        Self {
            runs,
            weights: packed,
            epilogue: Epilogue::new(weights.bias, after, &output),
            depth,
            tiling,
            input: windows.input,
            windows: windows.steps(reach, &output.image),
            output,
            before: None,
        }
    }

    /// Does a depthwise convolution first, whose output this one (of size 1, stride 1) reads.
    pub fn behind(mut self, depthwise: Depthwise) -> Self {
        let between = depthwise.output();
        let Image { height, width, .. } = self.output.image;
        assert_eq!([between.height, between.width], [height, width]);
        assert_eq!((self.depth, between.pixel), (between.channels, self.input.pixel));
        self.input = *depthwise.input();
        self.before = Some(depthwise);
        self
    }

    /// Floats that [`Self::run`] wants for itself.
    pub fn scratch(&self) -> usize {
        self.before.as_ref().map_or(0, |depthwise| self.chunk() * depthwise.output().pixel)
    }

    /// Computes the whole image.
    pub fn run(
        &self,
        set: InstructionSet,
        input: &[f32],
        residual: Residual<'_>,
        scratch: &mut [f32],
        output: &mut [f32],
    ) {
        let image = &self.output.image;
        assert_eq!([input.len(), output.len()], [self.input.len(), image.len()]);
        let places = self.epilogue.places(residual, output);
        assert!(scratch.len() >= self.scratch());
        let pixels = image.height * image.width;
        let Some(depthwise) = &self.before else {
            let source = Source { values: input.as_ptr(), steps: self.windows };
            return self.run_groups(set, &source, 0..pixels, places);
        };
        for start in (0..pixels).step_by(self.chunk()) {
            let chunk = start..pixels.min(start + self.chunk());
            depthwise.run_pixels(set, input, chunk.clone(), scratch);
            // As if all pixels were there, the chunk among them.
            let pixel = depthwise.output().pixel;
            let steps = Steps::dense(image.width, pixel);
            let source = Source { values: scratch.as_ptr().wrapping_sub(start * pixel), steps };
            self.run_groups(set, &source, chunk, places);
        }
    }

    fn chunk(&self) -> usize {
        CHUNK / self.tiling.pixels * self.tiling.pixels
    }

    fn run_groups(
        &self,
        set: InstructionSet,
        source: &Source,
        pixels: Range<usize>,
        (residual, output): (*const f32, *mut f32),
    ) {
        let mut weights = &self.weights[..];
        for group in self.tiling.groups() {
            let (vectors, blocks) = self.tiling.vectors(&group);
            let (of_group, others) = weights.split_at(self.depth * blocks * LANES);
            weights = others;
            let product = Product { dense: self, source, weights: of_group.as_ptr(), group };
            for (pixels, tile) in self.tiling.cuts(pixels.clone()) {
                let shape = (tile, vectors);
                // SAFETY: `new` and `run` hold every place to its slice, `InstructionSet` is what the processor has.
                unsafe {
                    set.multiply(&product, shape, pixels, residual, output);
                }
            }
        }
    }
}

/// Where a product reads its windows.
struct Source {
    values: *const f32,
    steps: Steps,
}

/// A group of output blocks of all windows.
pub(super) struct Product<'a> {
    dense: &'a Dense,
    source: &'a Source,
    weights: *const f32,
    group: Range<usize>,
}

impl Product<'_> {
    /// Of the vectors that it is taken of.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        expect(dead_code, reason = "vectors of one kind there")
    )]
    pub fn blocks_each(&self) -> usize {
        self.dense.tiling.blocks_each
    }
}

/// Tiles of `P` pixels and `V` vectors, as many as the group's blocks fill, over the pixels, whose number `P`
/// divides.
///
/// # Safety
/// As [`super::lanes`] says; the pixels exist in source, residual and output.
#[inline(always)]
pub(super) unsafe fn sweep<L: Lanes, const P: usize, const V: usize>(
    product: &Product<'_>,
    pixels: Range<usize>,
    residual: *const f32,
    output: *mut f32,
) {
    let dense = product.dense;
    let first = product.group.start * LANES;
    let first_of_residual = dense.output.first + product.group.start;
    let to = dense.output.steps();
    let with_residual = dense.epilogue.residual();
    let blocks = product.group.len();
    let mut place = Place::new(pixels.start, dense.output.image.width);
    for _ in 0..pixels.len() / P {
        let sums = unsafe { tile::<L, P, V>(product, place) };
        let outputs = to.of::<P>(place);
        unsafe {
            let sums = match &with_residual {
                Some((steps, of_residual)) => {
                    let added = of_residual.saturating_sub(first_of_residual).min(blocks);
                    let residual = residual.wrapping_add(first_of_residual * LANES);
                    add_all(sums, residual, steps.of::<P>(place), added)
                }
                None => sums,
            };
            store_all(sums, &dense.epilogue, (first, blocks), output, outputs);
        }
        place.advance(P);
    }
}

/// The heart: every float of a window times the group's weights for it.
#[inline(always)]
unsafe fn tile<L: Lanes, const P: usize, const V: usize>(
    product: &Product<'_>,
    place: Place,
) -> [[L; V]; P] {
    unsafe {
        let source = product.source;
        let inputs = source.steps.of::<P>(place).map(|place| source.values.wrapping_add(place));
        let first = product.group.start * LANES;
        let mut sums = [[L::splat(0.0); V]; P];
        for v in 0..V {
            let bias = product.dense.epilogue.bias(first + v * L::BLOCKS * LANES);
            for sums in &mut sums {
                sums[v] = bias;
            }
        }
        let mut weights = product.weights;
        for run in &product.dense.runs {
            for k in run.offset..run.offset + run.length {
                let mut of_outputs = [L::splat(0.0); V];
                for (v, weight) in of_outputs.iter_mut().enumerate() {
                    *weight = L::load(weights.add(v * L::BLOCKS * LANES));
                }
                weights = weights.add(V * L::BLOCKS * LANES);
                for p in 0..P {
                    let value = L::splat(*inputs[p].add(k));
                    for v in 0..V {
                        sums[p][v] = sums[p][v].add_product(value, of_outputs[v]);
                    }
                }
            }
        }
        sums
    }
}

#[inline(always)]
unsafe fn add_all<L: Lanes, const P: usize, const V: usize>(
    mut sums: [[L; V]; P],
    from: *const f32,
    places: [usize; P],
    blocks: usize,
) -> [[L; V]; P] {
    for p in 0..P {
        for v in 0..V {
            let block = v * L::BLOCKS;
            if block < blocks {
                let from = from.wrapping_add(places[p] + block * LANES);
                let blocks = (blocks - block).min(L::BLOCKS);
                unsafe { sums[p][v] = sums[p][v].add(L::load_blocks(from, blocks)) };
            }
        }
    }
    sums
}

#[inline(always)]
unsafe fn store_all<L: Lanes, const P: usize, const V: usize>(
    sums: [[L; V]; P],
    epilogue: &Epilogue,
    (first, blocks): (usize, usize),
    to: *mut f32,
    places: [usize; P],
) {
    unsafe {
        for v in 0..V {
            let block = v * L::BLOCKS;
            let channel = first + block * LANES;
            let blocks = (blocks - block).min(L::BLOCKS);
            for p in 0..P {
                let limited: L = epilogue.limit(channel, sums[p][v]);
                limited.store_blocks(to.add(places[p] + channel), blocks);
            }
        }
    }
}

/// The floats of a window in the order of memory, and for each its place in `[inputs, height, width]`; `channels`
/// as for [`Dense::new`].
pub(super) fn runs(
    input: &Image,
    channels: &[usize],
    [height, width]: [usize; 2],
) -> (Vec<Run>, Vec<usize>) {
    let mut sorted: Vec<(usize, usize)> = channels.iter().copied().zip(0..).collect();
    sorted.sort_unstable();
    let mut runs: Vec<Run> = Vec::new();
    let mut order = Vec::with_capacity(height * width * channels.len());
    for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
        for &(place, channel) in &sorted {
            let offset = y * input.row() + x * input.pixel + place;
            match runs.last_mut() {
                Some(Run { offset: first, length }) if *first + *length == offset => *length += 1,
                _ => runs.push(Run { offset, length: 1 }),
            }
            order.push((channel * height + y) * width + x);
        }
    }
    (runs, order)
}
