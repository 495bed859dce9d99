//! Resizing: area averages where a picture shrinks, linear interpolation where it grows.

use crate::frame::{FrameView, RowReader};
use crate::wide::widely;

/// A rectangle of whole pixels inside a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Region {
    pub x: u32,
    pub y: u32,
    pub width: u32,
    pub height: u32,
}

/// The region's pixels at another size, row by row: RGB in 0..=255, interleaved.
///
/// Each axis on its own shrinks by the exact average over the area that an output pixel covers or
/// grows by linear interpolation between pixel centres; at the same size the copy is exact.
pub(crate) fn resample(
    frame: &FrameView<'_>,
    region: Region,
    [width, height]: [u32; 2],
    mut take_row: impl FnMut(&[f32]),
) {
    let (rows, columns) = (Axis::new(region.height, height), Axis::new(region.width, width));
    let mut reader = RowReader::new(frame, region.x, region.width);
    // Four values are read and written at a time: the last pixel's and one more.
    let mut mixed = vec![0.0; region.width as usize * 3 + 1];
    let mut line = vec![0.0; width as usize * 3 + 1];
    for (first, weights) in rows.taps() {
        mixed.fill(0.0);
        for (y, weight) in (region.y + first..).zip(weights) {
            let bytes = reader.row(y);
            widely(|| add_scaled(&mut mixed, bytes, *weight));
        }
        widely(|| mix(&mixed, &columns, &mut line));
        take_row(&line[..width as usize * 3]);
    }
}

/// `sums += weight * bytes`
#[inline(always)]
fn add_scaled(sums: &mut [f32], bytes: &[u8], weight: f32) {
    for (sum, byte) in sums.iter_mut().zip(bytes) {
        *sum += weight * f32::from(*byte);
    }
}

/// The weighted sum of the source pixels of each pixel of a line.
#[inline(always)]
fn mix(sources: &[f32], columns: &Axis, line: &mut [f32]) {
    let mut start = 0;
    for (i, &(first, end)) in columns.pixels.iter().enumerate() {
        let weights = &columns.weights[start..end];
        let sources = &sources[first as usize * 3..][..weights.len() * 3 + 1];
        let mut sum = [0.0; 4];
        for (tap, weight) in weights.iter().enumerate() {
            let source = &sources[tap * 3..tap * 3 + 4];
            for (sum, value) in sum.iter_mut().zip(source) {
                *sum += weight * value;
            }
        }
        // The fourth is overwritten by the next pixel.
        line[i * 3..i * 3 + 4].copy_from_slice(&sum);
        start = end;
    }
}

/// For each output pixel the source pixels that make it.
struct Axis {
    /// The first one of each, and where its weights end.
    pixels: Vec<(u32, usize)>,
    /// Of all; those of a pixel add up to 1.
    weights: Vec<f32>,
}

impl Axis {
    /// `target` output pixels from `source` pixels (both at least 1).
    fn new(source: u32, target: u32) -> Self {
        let step = f64::from(source) / f64::from(target);
        let mut weights = Vec::with_capacity((target.max(source) * 2) as usize);
        let pixels = (0..target).map(|i| {
            let first = match step >= 1.0 {
                true => covered(i, step, source, &mut weights),
                false => between(i, step, source, &mut weights),
            };
            (first, weights.len())
        });
        let pixels = pixels.collect();
        Self { pixels, weights }
    }

    /// First source pixel and weights of each output pixel.
    fn taps(&self) -> impl Iterator<Item = (u32, &[f32])> {
        let mut start = 0;
        self.pixels.iter().map(move |&(first, end)| {
            let weights = &self.weights[start..end];
            start = end;
            (first, weights)
        })
    }
}

/// Output pixel `i` covers the source from `i * step` to `(i + 1) * step`; gives the first pixel of that.
fn covered(i: u32, step: f64, source: u32, weights: &mut Vec<f32>) -> u32 {
    let (low, high) = (f64::from(i) * step, f64::from(i + 1) * step);
    let first = (low as u32).min(source - 1);
    let last = (high.ceil() as u32).clamp(first + 1, source);
    let overlap = |j: u32| (high.min(f64::from(j + 1)) - low.max(f64::from(j))).max(0.0);
    let total: f64 = (first..last).map(overlap).sum();
    weights.extend((first..last).map(|j| (overlap(j) / total) as f32));
    first
}

/// Output pixel `i` has its centre at `(i + 1/2) * step - 1/2` between two source centres; gives the first.
fn between(i: u32, step: f64, source: u32, weights: &mut Vec<f32>) -> u32 {
    let centre = ((f64::from(i) + 0.5) * step - 0.5).clamp(0.0, f64::from(source - 1));
    let first = (centre as u32).min(source.saturating_sub(2));
    let fraction = (centre - f64::from(first)) as f32;
    match source {
        1 => weights.push(1.0),
        _ => weights.extend([1.0 - fraction, fraction]),
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::PixelFormat;
    use proptest::prelude::*;

    fn gray(bytes: &[u8], width: u32, target: (u32, u32)) -> Vec<f32> {
        let height = bytes.len() as u32 / width;
        let frame = FrameView::new(bytes, width, height, width as usize, PixelFormat::Gray8);
        let region = Region { x: 0, y: 0, width, height };
        let mut values = Vec::new();
        resample(&frame.unwrap(), region, target.into(), |row| {
            values.extend(row.chunks(3).map(|p| p[1]));
        });
        values
    }

    #[test]
    fn shrinking_averages_the_area_covered() {
        assert_eq!(gray(&[0, 10, 20, 30], 4, (2, 1)), [5.0, 25.0]);
        // Three pixels onto two: the middle one is shared by halves.
        let shared = gray(&[30, 60, 90], 3, (2, 1));
        assert!((shared[0] - 40.0).abs() < 1e-4 && (shared[1] - 80.0).abs() < 1e-4, "{shared:?}");
        assert_eq!(gray(&[1, 3, 5, 7], 2, (1, 1)), [4.0]);
    }

    #[test]
    fn growing_interpolates_between_centres() {
        assert_eq!(gray(&[0, 100], 2, (4, 1)), [0.0, 25.0, 75.0, 100.0]);
        assert_eq!(gray(&[9], 1, (3, 2)), [9.0; 6]);
    }

    #[test]
    fn a_region_is_cut_out() {
        let bytes: Vec<u8> = (0..12).collect();
        let frame = FrameView::new(&bytes, 4, 3, 4, PixelFormat::Gray8).unwrap();
        let mut cut: Vec<f32> = Vec::new();
        resample(&frame, Region { x: 1, y: 1, width: 2, height: 2 }, [2, 2], |row| {
            cut.extend(row.iter().step_by(3));
        });
        assert_eq!(cut, [5.0, 6.0, 9.0, 10.0]);
    }

    proptest! {
        #[test]
        fn taps_stay_inside_and_add_up_to_one(source in 1u32..300, target in 1u32..300) {
            let axis = Axis::new(source, target);
            prop_assert_eq!(axis.taps().count(), target as usize);
            for (first, weights) in axis.taps() {
                prop_assert!(first as usize + weights.len() <= source as usize);
                prop_assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-5);
                prop_assert!(weights.iter().all(|w| *w >= 0.0));
            }
        }

        #[test]
        fn the_same_size_is_an_exact_copy(bytes in prop::collection::vec(any::<u8>(), 1..60)) {
            let width = bytes.len() as u32;
            let copy = gray(&bytes, width, (width, 1));
            prop_assert!(copy.iter().zip(&bytes).all(|(c, b)| *c == f32::from(*b)));
        }
    }
}
