//! 3x3 convolutions of stride 1 by Winograd's minimal filtering (Lavin and Gray, "Fast Algorithms for
//! Convolutional Neural Networks", 2016): an output tile of M x M costs (M + 2)^2 products a channel pair
//! instead of 9 M^2.

use super::dense::{Dense, Weights, Windows};
use super::epilogue::{Clip, Epilogue, NO_CLIP, Residual};
use super::image::{Image, LANES, Slice};
use super::instructions::InstructionSet;
use super::lanes::Lanes;

/// Floats of a cache line.
const LINE: usize = 16;

/// Side of an output tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Two,
    Four,
}

impl Side {
    pub fn outputs(self) -> usize {
        match self {
            Self::Two => 2,
            Self::Four => 4,
        }
    }

    /// `G`: the filter's three taps as `inputs` values, for one axis.
    fn filter(self) -> &'static [[f64; 3]] {
        match self {
            Self::Two => &[[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]],
            Self::Four => &[
                [1.0 / 4.0, 0.0, 0.0],
                [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
                [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
                [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
                [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
                [0.0, 0.0, 1.0],
            ],
        }
    }
}

/// `clip(bias + weights . window + residual)` for each pixel, padding 1.
pub(super) struct Winograd {
    side: Side,
    /// Down, across.
    tiles: [usize; 2],
    /// For each place of a tile in the transformed domain: outputs from inputs, over all tiles.
    products: Vec<Dense>,
    epilogue: Epilogue,
    input: Image,
    output: Image,
}

/// Pixels beyond the input, right and below, that tiles of this side read.
pub(super) fn reach(height: usize, width: usize, side: Side) -> usize {
    let over = |length: usize| length.next_multiple_of(side.outputs()) - length;
    1 + over(height).max(over(width))
}

impl Winograd {
    /// Transforms and packs the weights. The input's border is at least [`reach`].
    pub fn new(
        input: Image,
        weights: &Weights<'_>,
        output: Image,
        after: (Clip, Option<Image>),
        side: Side,
        set: InstructionSet,
    ) -> Self {
        assert!(input.border >= reach(input.height, input.width, side) && weights.size == [3, 3]);
        let tiles = [output.height, output.width].map(|length| length.div_ceil(side.outputs()));
        let count = tiles[0] * tiles[1];
        let from = Image { pixel: input.pixel, ..Image::in_lanes(1, count, input.channels) };
        let to = Image::in_lanes(1, count, output.channels);
        let zeros = vec![0.0; output.channels];
        let windows = Windows { input: from, stride: [1, 1], padding: [0, 0] };
        let channels: Vec<usize> = (0..input.channels).collect();
        let product = |kernel: Vec<f32>| {
            let weights = Weights { kernel: &kernel, bias: &zeros, size: [1, 1] };
            Dense::new(windows, &channels, &weights, (NO_CLIP, None), Slice::whole(to), set)
        };
        let products = transform_weights(weights.kernel, side).into_iter().map(product).collect();
        let epilogue = Epilogue::new(weights.bias, after, &Slice::whole(output));
        Self { side, tiles, products, epilogue, input, output }
    }

    /// Floats from one place of a tile to the next, over all tiles: an odd number of cache lines, because a power of
    /// two of them would send all places of a tile to the same part of the cache.
    fn place(&self, image: &Image) -> usize {
        let [down, across] = self.tiles;
        ((down * across * image.pixel).div_ceil(LINE) | 1) * LINE
    }

    /// Floats that [`Self::run`] wants for itself.
    pub fn scratch(&self) -> usize {
        self.products.len() * (self.place(&self.input) + self.place(&self.output))
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
        assert_eq!([input.len(), output.len()], [self.input.len(), self.output.len()]);
        let (residual, output) = self.epilogue.places(residual, output);
        let (from, to) = (self.place(&self.input), self.place(&self.output));
        let [of_inputs, of_outputs] =
            [&self.input, &self.output].map(|image| self.tiles[0] * self.tiles[1] * image.pixel);
        let (inputs, outputs) = scratch[..self.scratch()].split_at_mut(self.products.len() * from);
        // SAFETY: the border covers what tiles read (`new`), the lengths are as asserted, `set` is what the
        // processor has.
        unsafe { set.transform_inputs(self, input, inputs) };
        let pairs = inputs.chunks_exact(from).zip(outputs.chunks_exact_mut(to));
        for (product, (inputs, outputs)) in self.products.iter().zip(pairs) {
            let outputs = &mut outputs[..of_outputs];
            product.run(set, &inputs[..of_inputs], Residual::Of(&[]), &mut [], outputs);
        }
        // SAFETY: as above.
        unsafe { set.transform_outputs(self, outputs, residual, output) };
    }
}

/// For each place in a transformed tile the kernel `[outputs, inputs]`: `G g G^T` of each filter `g`.
fn transform_weights(kernel: &[f32], side: Side) -> Vec<Vec<f32>> {
    let filter = side.filter();
    let (filters, length) = (kernel.as_chunks::<9>().0, filter.len());
    let mut places = vec![vec![0.0; filters.len()]; length * length];
    for (i, taps) in filters.iter().enumerate() {
        for (y, of_rows) in filter.iter().enumerate() {
            let row: [f64; 3] = std::array::from_fn(|x| {
                (0..3).map(|y| of_rows[y] * f64::from(taps[y * 3 + x])).sum()
            });
            for (x, of_columns) in filter.iter().enumerate() {
                let sum: f64 = (0..3).map(|x| of_columns[x] * row[x]).sum();
                places[y * length + x][i] = sum as f32;
            }
        }
    }
    places
}

/// All tiles of the image into `[place][tile][channel]`.
///
/// # Safety
/// As [`super::lanes`] says.
#[inline(always)]
pub(super) unsafe fn transform_inputs<L: Lanes>(
    winograd: &Winograd,
    input: &[f32],
    to: &mut [f32],
) {
    unsafe {
        match winograd.side {
            Side::Two => inputs_of::<L, 4>(winograd, input, to, two_inputs),
            Side::Four => inputs_of::<L, 6>(winograd, input, to, four_inputs),
        }
    }
}

#[inline(always)]
unsafe fn inputs_of<L: Lanes, const N: usize>(
    winograd: &Winograd,
    input: &[f32],
    to: &mut [f32],
    line: unsafe fn([L; N]) -> [L; N],
) {
    let image = winograd.input;
    let [down, across] = winograd.tiles;
    let place = winograd.place(&image);
    let stride = winograd.side.outputs();
    let steps = image.window_steps([stride; 2], [1, 1]);
    for tile in 0..down * across {
        let first = steps.at(tile / across, tile % across);
        for block in 0..image.blocks() {
            unsafe {
                let from = input.as_ptr().add(first + block * LANES);
                let mut rows = [[L::splat(0.0); N]; N];
                for (y, row) in rows.iter_mut().enumerate() {
                    let mut values = *row;
                    for (x, value) in values.iter_mut().enumerate() {
                        *value = L::load(from.add(y * image.row() + x * image.pixel));
                    }
                    *row = line(values);
                }
                let to = to.as_mut_ptr().add(tile * image.pixel + block * LANES);
                for x in 0..N {
                    let mut column = [L::splat(0.0); N];
                    for y in 0..N {
                        column[y] = rows[y][x];
                    }
                    let column = line(column);
                    for y in 0..N {
                        column[y].store(to.add((y * N + x) * place));
                    }
                }
            }
        }
    }
}

/// `[place][tile][channel]` into all tiles of the image, with bias, residual and limits.
///
/// # Safety
/// As [`super::lanes`] says.
#[inline(always)]
pub(super) unsafe fn transform_outputs<L: Lanes>(
    winograd: &Winograd,
    from: &[f32],
    residual: *const f32,
    output: *mut f32,
) {
    unsafe {
        match winograd.side {
            Side::Two => outputs_of::<L, 4, 2>(winograd, from, residual, output, two_outputs),
            Side::Four => outputs_of::<L, 6, 4>(winograd, from, residual, output, four_outputs),
        }
    }
}

#[inline(always)]
unsafe fn outputs_of<L: Lanes, const N: usize, const M: usize>(
    winograd: &Winograd,
    from: &[f32],
    residual: *const f32,
    output: *mut f32,
    line: unsafe fn([L; N]) -> [L; M],
) {
    let image = winograd.output;
    let [down, across] = winograd.tiles;
    let place = winograd.place(&image);
    let steps = image.steps();
    let added = winograd.epilogue.residual();
    for tile in 0..down * across {
        let [top, left] = [tile / across * M, tile % across * M];
        for block in 0..image.blocks() {
            let channel = block * LANES;
            unsafe {
                let bias = winograd.epilogue.bias(channel);
                let from = from.as_ptr().add(tile * image.pixel + channel);
                let mut columns = [[L::splat(0.0); M]; N];
                for (x, column) in columns.iter_mut().enumerate() {
                    let mut values = [L::splat(0.0); N];
                    for (y, value) in values.iter_mut().enumerate() {
                        *value = L::load(from.add((y * N + x) * place));
                    }
                    *column = line(values);
                }
                for y in 0..M.min(image.height - top) {
                    let mut row = [L::splat(0.0); N];
                    for x in 0..N {
                        row[x] = columns[x][y];
                    }
                    let row = line(row);
                    for x in 0..M.min(image.width - left) {
                        let mut value = row[x].add(bias);
                        if let Some((of_residual, blocks)) = &added
                            && block < *blocks
                        {
                            let at = of_residual.at(top + y, left + x) + channel;
                            value = value.add(L::load(residual.add(at)));
                        }
                        let at = steps.at(top + y, left + x) + channel;
                        let limited: L = winograd.epilogue.limit(channel, value);
                        limited.store(output.add(at));
                    }
                }
            }
        }
    }
}

/// `B^T d` for tiles of two.
#[inline(always)]
unsafe fn two_inputs<L: Lanes>([a, b, c, d]: [L; 4]) -> [L; 4] {
    unsafe { [a.sub(c), b.add(c), c.sub(b), b.sub(d)] }
}

/// `A^T m` for tiles of two.
#[inline(always)]
unsafe fn two_outputs<L: Lanes>([a, b, c, d]: [L; 4]) -> [L; 2] {
    unsafe { [a.add(b).add(c), b.sub(c).sub(d)] }
}

/// `B^T d` for tiles of four.
#[inline(always)]
unsafe fn four_inputs<L: Lanes>([a, b, c, d, e, f]: [L; 6]) -> [L; 6] {
    unsafe {
        let (two, four) = (L::splat(2.0), L::splat(4.0));
        let (minus_four, minus_five) = (L::splat(-4.0), L::splat(-5.0));
        let (d_b4, e_c4) = (d.add_product(minus_four, b), e.add_product(minus_four, c));
        let (d_b, e_c) = (d.sub(b), e.sub(c));
        [
            e.add_product(four, a).add_product(minus_five, c),
            e_c4.add(d_b4),
            e_c4.sub(d_b4),
            e_c.add_product(two, d_b),
            e_c.add_product(L::splat(-2.0), d_b),
            f.add_product(four, b).add_product(minus_five, d),
        ]
    }
}

/// `A^T m` for tiles of four.
#[inline(always)]
unsafe fn four_outputs<L: Lanes>([a, b, c, d, e, f]: [L; 6]) -> [L; 4] {
    unsafe {
        let (sum, difference) = (b.add(c), b.sub(c));
        let (sum2, difference2) = (d.add(e), d.sub(e));
        [
            a.add(sum).add(sum2),
            difference.add_product(L::splat(2.0), difference2),
            sum.add_product(L::splat(4.0), sum2),
            f.add(difference).add_product(L::splat(8.0), difference2),
        ]
    }
}
