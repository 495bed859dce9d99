//! How an output is cut into tiles that fit the registers.

use std::cmp::Reverse;
use std::ops::Range;

/// Tiles of `pixels` times `blocks` accumulators; what is left over at the ends is smaller.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tiling {
    pub pixels: usize,
    blocks: usize,
    all_blocks: usize,
}

impl Tiling {
    /// The cheapest cut for so many pixels and vectors of outputs into tiles no larger than one of `largest`.
    pub fn new(pixels: usize, blocks: usize, largest: &[(usize, usize)]) -> Self {
        let sizes = largest.iter().flat_map(|&(p, v)| {
            (1..=p.min(pixels)).flat_map(move |p| (1..=v.min(blocks)).map(move |v| (p, v)))
        });
        let cost = |&(p, v): &(usize, usize)| {
            let row = |v| pixels / p * cycles(p, v) + cycles(pixels % p, v);
            blocks / v * row(v) + row(blocks % v)
        };
        // Of equally cheap ones the largest: it hides latency best.
        let by_cost = |tile: &(usize, usize)| (cost(tile), Reverse(tile.0 * tile.1));
        let (pixels, chosen) = sizes.min_by_key(by_cost).unwrap_or((1, 1));
        Self { pixels, blocks: chosen, all_blocks: blocks }
    }

    /// Ranges of output vectors.
    pub fn groups(&self) -> impl Iterator<Item = Range<usize>> {
        let (step, end) = (self.blocks, self.all_blocks);
        (0..end).step_by(step).map(move |start| start..end.min(start + step))
    }
}

/// Half cycles of one step of a tile, on a core with two multipliers of four cycles' latency and two loads.
fn cycles(pixels: usize, blocks: usize) -> usize {
    match pixels * blocks {
        0 => 0,
        products => products.max(pixels + blocks).max(8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_fill_the_registers_and_leave_little_over() {
        let shape = |pixels, blocks| {
            let tiling = Tiling::new(pixels, blocks, &[(6, 2), (3, 3)]);
            (tiling.pixels, tiling.blocks)
        };
        assert_eq!(shape(128 * 128, 3), (3, 3), "no vector is left over");
        assert_eq!(shape(24 * 24, 4), (6, 2));
        assert_eq!(shape(9, 16), (5, 2), "five and four pixels");
        assert_eq!(shape(1, 1), (1, 1));
        let groups: Vec<_> = Tiling::new(4, 7, &[(6, 2)]).groups().collect();
        assert_eq!(groups.iter().map(Range::len).sum::<usize>(), 7);
    }
}
