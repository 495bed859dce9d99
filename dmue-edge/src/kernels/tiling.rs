//! How an output is cut into tiles that fit the registers.

use std::cmp::Reverse;
use std::ops::Range;

/// Tiles of `pixels` times a few accumulators; what is left over at the ends is smaller.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tiling {
    pub pixels: usize,
    /// Of a tile.
    blocks: usize,
    all_blocks: usize,
    /// Of an accumulator.
    pub blocks_each: usize,
}

impl Tiling {
    /// The cheapest cut for so many pixels and blocks of outputs into tiles no larger than one of `largest`, pixels
    /// by vectors, a vector having `blocks_each`.
    pub fn new(
        pixels: usize,
        all_blocks: usize,
        largest: &[(usize, usize)],
        blocks_each: usize,
    ) -> Self {
        let vectors = all_blocks.div_ceil(blocks_each);
        let sizes = largest.iter().flat_map(|&(p, v)| {
            (1..=p.min(pixels)).flat_map(move |p| (1..=v.min(vectors)).map(move |v| (p, v)))
        });
        let cost = |&(p, v): &(usize, usize)| {
            let row = |v| pixels / p * cycles(p, v) + cycles(pixels % p, v);
            vectors / v * row(v) + row(vectors % v)
        };
        // Of equally cheap ones the largest: it hides latency best.
        let by_cost = |tile: &(usize, usize)| (cost(tile), Reverse(tile.0 * tile.1));
        let (pixels, chosen) = sizes.min_by_key(by_cost).unwrap_or((1, 1));
        Self { pixels, blocks: chosen * blocks_each, all_blocks, blocks_each }
    }

    /// Vectors that hold the blocks of a group, and the blocks that these have room for.
    pub fn vectors(&self, group: &Range<usize>) -> (usize, usize) {
        let vectors = group.len().div_ceil(self.blocks_each);
        (vectors, vectors * self.blocks_each)
    }

    /// Pixels in whole tiles, then what is left over, each with the pixels of its tiles; neither is empty.
    pub fn cuts(&self, pixels: Range<usize>) -> impl Iterator<Item = (Range<usize>, usize)> {
        let rest = pixels.len() % self.pixels;
        let middle = pixels.end - rest;
        let cuts = [(pixels.start..middle, self.pixels), (middle..pixels.end, rest)];
        cuts.into_iter().filter(|(pixels, _)| !pixels.is_empty())
    }

    /// Ranges of output blocks.
    pub fn groups(&self) -> impl Iterator<Item = Range<usize>> {
        let (step, end) = (self.blocks, self.all_blocks);
        (0..end).step_by(step).map(move |start| start..end.min(start + step))
    }
}

/// Half cycles of one step of a tile, on a core with two multipliers of four cycles' latency and two loads.
fn cycles(pixels: usize, vectors: usize) -> usize {
    match pixels * vectors {
        0 => 0,
        products => products.max(pixels + vectors).max(8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_fill_the_registers_and_leave_little_over() {
        let shape = |pixels, blocks| {
            let tiling = Tiling::new(pixels, blocks, &[(6, 2), (3, 3)], 1);
            (tiling.pixels, tiling.blocks)
        };
        assert_eq!(shape(128 * 128, 3), (3, 3), "no vector is left over");
        assert_eq!(shape(24 * 24, 4), (6, 2));
        assert_eq!(shape(9, 16), (5, 2), "five and four pixels");
        assert_eq!(shape(1, 1), (1, 1));
        for blocks_each in [1, 2] {
            let tiling = Tiling::new(4, 7, &[(6, 2)], blocks_each);
            let groups: Vec<_> = tiling.groups().map(|group| group.len()).collect();
            assert_eq!(groups.iter().sum::<usize>(), 7);
            assert!(groups.iter().all(|&blocks| blocks <= 2 * blocks_each), "{groups:?}");
        }
    }
}
