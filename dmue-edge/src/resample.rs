//! Resizing: area averages where a picture shrinks, linear interpolation where it grows.

use crate::frame::FrameView;

/// A rectangle of whole pixels inside a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Region {
    pub x: u32,
    pub y: u32,
    pub width: u32,
    pub height: u32,
}

/// The region's pixels at another size: RGB in 0..=255, interleaved, row major, `[height, width, 3]`.
///
/// Each axis on its own shrinks by the exact average over the area that an output pixel covers or
/// grows by linear interpolation between pixel centres; at the same size the copy is exact.
pub(crate) fn resample(
    frame: &FrameView<'_>,
    region: Region,
    width: u32,
    height: u32,
) -> Vec<[f32; 3]> {
    let columns = taps(region.width, width);
    if columns.is_empty() {
        return Vec::new();
    }
    let mut output = vec![[0.0; 3]; columns.len() * height as usize];
    let mut row = Vec::with_capacity(region.width as usize);
    for (line, rows) in output.chunks_exact_mut(columns.len()).zip(taps(region.height, height)) {
        for (y, row_weight) in (region.y + rows.first..).zip(&rows.weights) {
            row.clear();
            frame.read_row(region.x, region.width, y, &mut row);
            for (pixel, column) in line.iter_mut().zip(&columns) {
                accumulate(pixel, &row[column.first as usize..], &column.weights, *row_weight);
            }
        }
    }
    output
}

/// `pixel += row_weight * sum of weights[i] * sources[i]`
#[inline]
fn accumulate(pixel: &mut [f32; 3], sources: &[[u8; 3]], weights: &[f32], row_weight: f32) {
    for (source, weight) in sources.iter().zip(weights) {
        for (sum, value) in pixel.iter_mut().zip(source) {
            *sum += row_weight * weight * f32::from(*value);
        }
    }
}

/// The source pixels from `first` on that make one output pixel; the weights add up to 1.
struct Taps {
    first: u32,
    weights: Vec<f32>,
}

/// Taps of each of `target` output pixels along an axis of `source` pixels (both at least 1).
fn taps(source: u32, target: u32) -> Vec<Taps> {
    let step = f64::from(source) / f64::from(target);
    (0..target)
        .map(|i| if step >= 1.0 { covered(i, step, source) } else { between(i, step, source) })
        .collect()
}

/// Output pixel `i` covers the source from `i * step` to `(i + 1) * step`.
fn covered(i: u32, step: f64, source: u32) -> Taps {
    let (low, high) = (f64::from(i) * step, f64::from(i + 1) * step);
    let first = (low as u32).min(source - 1);
    let last = (high.ceil() as u32).clamp(first + 1, source);
    let overlap = |j: u32| (high.min(f64::from(j + 1)) - low.max(f64::from(j))).max(0.0);
    let total: f64 = (first..last).map(overlap).sum();
    Taps { first, weights: (first..last).map(|j| (overlap(j) / total) as f32).collect() }
}

/// Output pixel `i` has its centre at `(i + 1/2) * step - 1/2` between two source centres.
fn between(i: u32, step: f64, source: u32) -> Taps {
    let centre = ((f64::from(i) + 0.5) * step - 0.5).clamp(0.0, f64::from(source - 1));
    let first = (centre as u32).min(source.saturating_sub(2));
    let fraction = (centre - f64::from(first)) as f32;
    let weights = if source == 1 { vec![1.0] } else { vec![1.0 - fraction, fraction] };
    Taps { first, weights }
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
        resample(&frame.unwrap(), region, target.0, target.1).iter().map(|p| p[1]).collect()
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
        let cut = resample(&frame, Region { x: 1, y: 1, width: 2, height: 2 }, 2, 2);
        assert_eq!(cut.iter().map(|p| p[0]).collect::<Vec<_>>(), [5.0, 6.0, 9.0, 10.0]);
    }

    proptest! {
        #[test]
        fn taps_stay_inside_and_add_up_to_one(source in 1u32..300, target in 1u32..300) {
            for tap in taps(source, target) {
                prop_assert!(tap.first as usize + tap.weights.len() <= source as usize);
                prop_assert!((tap.weights.iter().sum::<f32>() - 1.0).abs() < 1e-5);
                prop_assert!(tap.weights.iter().all(|w| *w >= 0.0));
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
