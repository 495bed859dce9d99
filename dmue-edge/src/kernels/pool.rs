//! The largest value of each window, channel by channel.

use std::ops::Range;

use super::image::{Image, LANES};
use super::instructions::InstructionSet;
use super::lanes::Lanes;

pub(super) struct MaxPool {
    pub input: Image,
    pub output: Image,
    /// Rows, columns; the padding is what lies above and left of the image.
    pub size: [usize; 2],
    pub stride: [usize; 2],
    pub padding: [usize; 2],
}

impl MaxPool {
    /// Computes the whole image. What pads a window never wins.
    pub fn run(&self, set: InstructionSet, input: &[f32], output: &mut [f32]) {
        assert_eq!([input.len(), output.len()], [self.input.len(), self.output.len()]);
        // SAFETY: windows are cut to the image, the lengths are as asserted, `set` is what the processor has.
        unsafe { set.pool(self, input.as_ptr(), output.as_mut_ptr()) };
    }

    #[inline(always)]
    fn window(&self, axis: usize, at: usize, end: usize) -> Range<usize> {
        let first = at * self.stride[axis];
        let padding = self.padding[axis];
        first.saturating_sub(padding)..(first + self.size[axis] - padding).min(end)
    }
}

/// # Safety
/// As [`super::lanes`] says; the images have the lengths that their shapes tell.
#[inline(always)]
pub(super) unsafe fn sweep<L: Lanes>(pool: &MaxPool, input: *const f32, output: *mut f32) {
    let (from, to) = (pool.input.steps(), pool.output.steps());
    for y in 0..pool.output.height {
        let rows = pool.window(0, y, pool.input.height);
        for x in 0..pool.output.width {
            let columns = pool.window(1, x, pool.input.width);
            for block in 0..pool.output.blocks() {
                let channel = block * LANES;
                unsafe {
                    let mut largest = L::splat(f32::NEG_INFINITY);
                    for row in rows.clone() {
                        for column in columns.clone() {
                            let value = L::load(input.add(from.at(row, column) + channel));
                            largest = largest.max(value);
                        }
                    }
                    largest.store(output.add(to.at(y, x) + channel));
                }
            }
        }
    }
}
