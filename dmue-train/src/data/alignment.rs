//! Faces as the device would cut them: where its detector and aligner see a face within a data set's crop.

use dmue_edge::face::align::{FaceCrop, FaceTemplate, Similarity};
use dmue_edge::face::detector::{Detector, DetectorOptions};
use dmue_edge::frame::{FrameView, PixelFormat};
use dmue_edge::model::Colour;
use dmue_edge::parallel;
use tch::Tensor;

use crate::error::Result;

/// Side of the detector's input in pixels.
const CANVAS: usize = 256;
/// Side to which a crop is enlarged in the middle of it, a size at which the detector is surest.
const FACE: usize = 128;

/// From positions in the crop that the device would cut to positions in the data set's own, both -1..1: two rows
/// of three.
pub type Map = [f32; 6];

/// The map of each of the crops `images` `[n,ch,S,S]`, bytes; `None` where no face is found.
///
/// # Errors
/// A detector that does not load or run.
pub fn maps(images: &Tensor, threads: usize) -> Result<Vec<Option<Map>>> {
    let detector = Detector::new(DetectorOptions::default())?;
    let (channels, side) = (images.size()[1] as usize, images.size()[2] as usize);
    let bytes = Vec::<u8>::try_from(images.permute([0, 2, 3, 1]).contiguous().view([-1]))?;
    let faces: Vec<&[u8]> = bytes.chunks_exact(side * side * channels).collect();
    let maps = parallel::map(&faces, threads, |face| map(&detector, &canvas(face, side)?));
    maps.into_iter().collect()
}

fn map(detector: &Detector, canvas: &[u8]) -> Result<Option<Map>> {
    let faces = detector.detect(&view(canvas, CANVAS)?)?;
    Ok(faces.first().map(|face| {
        normalised(Similarity::crop_to_frame(&face.landmarks, &FaceTemplate::FERPLUS, 2.))
    }))
}

/// The crop `[side, side, channels]` in gray, enlarged, on a gray of its mean.
fn canvas(face: &[u8], side: usize) -> Result<Vec<u8>> {
    let sum: usize = face.iter().map(|&value| usize::from(value)).sum();
    let mean = (sum / face.len()) as u8;
    let face = FaceCrop::resized(&view(face, side)?, FACE as u32, Colour::Gray);
    let (mut canvas, free) = (vec![mean; CANVAS * CANVAS], (CANVAS - FACE) / 2);
    for (row, pixels) in face.pixels.chunks_exact(FACE).enumerate() {
        let start = (row + free) * CANVAS + free;
        canvas[start..start + FACE].copy_from_slice(pixels);
    }
    Ok(canvas)
}

/// A frame over the pixels of a square, gray or RGB.
fn view(pixels: &[u8], side: usize) -> Result<FrameView<'_>> {
    let stride = pixels.len() / side;
    let format = if stride == side { PixelFormat::Gray8 } else { PixelFormat::Rgb24 };
    FrameView::new(pixels, side as u32, side as u32, stride, format)
        .map_err(|error| dmue_edge::Error::from(error).into())
}

/// A map from 0..2 to the canvas as one from -1..1 to -1..1 of the face on it.
fn normalised(crop_to_canvas: Similarity) -> Map {
    let half = FACE as f32 / 2.;
    let Similarity { a, b, .. } = crop_to_canvas;
    let [x, y] = crop_to_canvas.apply([1., 1.]).map(|centre| (centre - CANVAS as f32 / 2.) / half);
    [a / half, -b / half, x, b / half, a / half, y]
}

/// `second` after `first`.
pub fn composed(second: &Map, first: &Map) -> Map {
    let row = |row: usize, column: usize| {
        let [a, b, shift] = [0, 1, 2].map(|place| second[3 * row + place]);
        a * first[column] + b * first[3 + column] + if column == 2 { shift } else { 0. }
    };
    [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)].map(|(r, c)| row(r, c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_canvas_s_middle_is_the_crop_itself() {
        let offset = (CANVAS - FACE) as f32 / 2.;
        let whole = Similarity { a: FACE as f32 / 2., b: 0., shift: [offset; 2] };
        assert_eq!(normalised(whole), [1., 0., 0., 0., 1., 0.]);
        let right =
            Similarity { a: 0., b: FACE as f32 / 2., shift: [offset + FACE as f32, offset] };
        assert_eq!(normalised(right), [0., -1., 0., 1., 0., 0.]);
    }

    #[test]
    fn composing_is_applying_one_after_the_other() {
        let apply =
            |m: &Map, [x, y]: [f32; 2]| [m[0] * x + m[1] * y + m[2], m[3] * x + m[4] * y + m[5]];
        let (first, second) = ([1., 2., 3., 4., 5., 6.], [0.5, -1., 2., 3., 0., -1.]);
        for point in [[0., 0.], [1., 0.], [0.25, -2.]] {
            assert_eq!(
                apply(&composed(&second, &first), point),
                apply(&second, apply(&first, point))
            );
        }
    }
}
