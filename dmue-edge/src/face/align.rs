//! From landmarks to the crop that the expression network sees.

use std::array;

use serde::{Deserialize, Serialize};

use super::Landmarks;
use crate::frame::FrameView;
use crate::model::Colour;
use crate::resample::{Region, resample};

/// At most this many samples a side are averaged for one pixel of the crop. A face of 768 frame
/// pixels in a crop of 48 needs 16; past that the samples lie apart, far denser than visible.
const MAXIMUM_SAMPLES: f32 = 16.0;

/// Where the face's points belong in a crop: `[x, y]` in 0..1 of the crop's side, from its upper
/// left corner. Right and left are the person's own, as in [`Landmarks`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaceTemplate {
    /// Centre of the person's right eye.
    pub right_eye: [f32; 2],
    /// Centre of the person's left eye.
    pub left_eye: [f32; 2],
    /// Tip of the nose.
    pub nose: [f32; 2],
    /// Centre of the mouth.
    pub mouth: [f32; 2],
}

impl FaceTemplate {
    /// The framing of the 48x48 faces of FER2013 and FERPlus: from mid-forehead to chin.
    ///
    /// Measured with this crate's detector network on 3,000 training faces drawn at random, each
    /// enlarged to 96 and to 128 pixels on a 256-pixel canvas filled with its mean and with its
    /// border pixels. For 2,161 all four looks scored above 0.7 and agreed within 3 % of the side;
    /// 1,581 of these are frontal (roll under 15 degrees, nose within 20 % of the eyes' middle).
    /// Their medians are right eye (0.316, 0.399), left eye (0.680, 0.395), nose (0.502, 0.602),
    /// mouth (0.504, 0.783), standard deviations 0.04 to 0.06; here they are mirrored and averaged.
    /// `tests/golden/ferplus_template.py` repeats the measurement.
    pub const FERPLUS: Self = Self {
        right_eye: [0.3179, 0.3973],
        left_eye: [0.6821, 0.3973],
        nose: [0.5, 0.6015],
        mouth: [0.5, 0.7834],
    };

    fn points(&self) -> [[f32; 2]; 4] {
        [self.right_eye, self.left_eye, self.nose, self.mouth]
    }
}

/// A square picture of one face, ready for normalisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaceCrop {
    /// Side in pixels.
    pub size: u32,
    /// 1 (gray) or 3 (RGB, interleaved).
    pub channels: u32,
    /// `[size, size, channels]`, row major, 0..=255.
    pub pixels: Vec<u8>,
}

impl FaceCrop {
    /// The crop of a frame that already is one, such as a data set's face image.
    ///
    /// The largest centred square is taken; at the same size the copy is exact, a larger one is
    /// averaged, a smaller one interpolated.
    pub fn resized(frame: &FrameView<'_>, size: u32, colour: Colour) -> Self {
        let (width, height) = (frame.width(), frame.height());
        let side = width.min(height);
        let (x, y) = ((width - side) / 2, (height - side) / 2);
        let square = Region { x, y, width: side, height: side };
        let mut pixels = Vec::new();
        resample(frame, square, [size, size], |row| match colour {
            Colour::Rgb => pixels.extend(row.iter().map(|value| to_byte(*value))),
            Colour::Gray => {
                pixels.extend(row.as_chunks().0.iter().map(|rgb| to_byte(luma(*rgb))));
            }
        });
        Self { size, channels: colour.channels(), pixels }
    }
}

/// Cuts the face out upright: the four landmarks come as near to the template's points as turning,
/// scaling and shifting can bring them.
///
/// Frame pixels are interpolated linearly; where the face shrinks, each pixel of the crop averages
/// as many samples as it covers. Past the frame's border its last pixels go on.
pub fn align(
    frame: &FrameView<'_>,
    landmarks: &Landmarks,
    template: &FaceTemplate,
    size: u32,
    colour: Colour,
) -> FaceCrop {
    let crop_to_frame = Similarity::crop_to_frame(landmarks, template, size as f32);
    // A scale that exceeds a whole number by rounding alone asks for no further sample.
    let samples = (crop_to_frame.scale() - 1e-3).ceil().clamp(1.0, MAXIMUM_SAMPLES) as u32;
    let pixels = match colour {
        Colour::Rgb => cut::<3>(frame, &crop_to_frame, size, samples, |rgb| rgb),
        // The luma of a mean is the mean of lumas.
        Colour::Gray => cut::<1>(frame, &crop_to_frame, size, samples, |rgb| [luma(rgb)]),
    };
    FaceCrop { size, channels: colour.channels(), pixels }
}

/// The crop's bytes, of `C` channels that are made of each pixel's RGB.
fn cut<const C: usize>(
    frame: &FrameView<'_>,
    crop_to_frame: &Similarity,
    size: u32,
    samples: u32,
    channels: impl Fn([f32; 3]) -> [f32; C],
) -> Vec<u8> {
    let patch = Patch::under(frame, crop_to_frame, size, channels);
    let places = (0..size * size).map(|i| [i % size, i / size]);
    let pixels = places.map(|place| averaged(&patch, crop_to_frame, place, samples));
    pixels.flat_map(|pixel| pixel.map(to_byte)).collect()
}

/// The part of a frame that a crop is made of.
struct Patch<const C: usize> {
    /// Upper left pixel in the frame.
    corner: [u32; 2],
    size: [u32; 2],
    /// Sides of the frame.
    frame: [u32; 2],
    pixels: Vec<[f32; C]>,
}

impl<const C: usize> Patch<C> {
    /// Under a crop of this side; two pixels more on each side, as far as the frame goes.
    fn under(
        frame: &FrameView<'_>,
        crop_to_frame: &Similarity,
        size: u32,
        channels: impl Fn([f32; 3]) -> [f32; C],
    ) -> Self {
        let side = size as f32;
        let corners = [[0.0, 0.0], [side, 0.0], [0.0, side], [side, side]];
        let corners = corners.map(|corner| crop_to_frame.apply(corner));
        let range = |axis: usize, length: u32| {
            let values = corners.map(|corner| corner[axis]);
            let lowest = values.into_iter().fold(f32::INFINITY, f32::min) - 2.0;
            let highest = values.into_iter().fold(f32::NEG_INFINITY, f32::max) + 2.0;
            // What is not a number becomes 0.
            let first = (lowest.max(0.0) as u32).min(length - 1);
            (first, (highest.max(0.0) as u32).clamp(first, length - 1) + 1 - first)
        };
        let [(x, width), (y, height)] = [range(0, frame.width()), range(1, frame.height())];
        let mut pixels = Vec::with_capacity(width as usize * height as usize);
        let mut bytes = Vec::new();
        for y in y..y + height {
            let row = frame.read_row(x, width, y, &mut bytes).as_chunks().0;
            pixels.extend(row.iter().map(|rgb: &[u8; 3]| channels(rgb.map(f32::from))));
        }
        let frame = [frame.width(), frame.height()];
        Self { corner: [x, y], size: [width, height], frame, pixels }
    }

    /// The column (axis 0) or row of a place in the frame, or the nearest that there is.
    #[inline]
    fn nearest(&self, axis: usize, place: u32) -> usize {
        place.saturating_sub(self.corner[axis]).min(self.size[axis] - 1) as usize
    }
}

/// The mean of `samples` x `samples` points spread evenly over one pixel of the crop.
fn averaged<const C: usize>(
    patch: &Patch<C>,
    crop_to_frame: &Similarity,
    pixel: [u32; 2],
    samples: u32,
) -> [f32; C] {
    let mut sum = [0.0; C];
    let place = |pixel: u32, sample| pixel as f32 + (sample as f32 + 0.5) / samples as f32;
    for down in 0..samples {
        for across in 0..samples {
            let position = [place(pixel[0], across), place(pixel[1], down)];
            let sample = interpolated(patch, crop_to_frame.apply(position));
            sum = array::from_fn(|channel| sum[channel] + sample[channel]);
        }
    }
    sum.map(|value| value / (samples * samples) as f32)
}

/// The patch at a position in frame pixels, where pixel (0, 0) covers 0..1 on both axes.
#[inline]
fn interpolated<const C: usize>(patch: &Patch<C>, position: [f32; 2]) -> [f32; C] {
    let [x, y] =
        [0, 1].map(|axis| (position[axis] - 0.5).clamp(0.0, (patch.frame[axis] - 1) as f32));
    // A position that is not a number becomes pixel 0 here.
    let (left, top) = (x as u32, y as u32);
    let (right_share, lower_share) = (x - left as f32, y - top as f32);
    let columns = [left, left + 1].map(|x| patch.nearest(0, x));
    let row = |y| {
        let pixels = &patch.pixels[patch.nearest(1, y) * patch.size[0] as usize..];
        mix(pixels[columns[0]], pixels[columns[1]], right_share)
    };
    mix(row(top), row(top + 1), lower_share)
}

#[inline]
fn mix<const C: usize>(a: [f32; C], b: [f32; C], share: f32) -> [f32; C] {
    array::from_fn(|channel| a[channel] + (b[channel] - a[channel]) * share)
}

/// The weights of ITU-R Rec. 601.
///
/// The gray images of FER2013, and with them FERPlus, are luma of this kind, so a model trained on
/// them sees the same grays on a device.
fn luma([r, g, b]: [f32; 3]) -> f32 {
    0.299 * r + 0.587 * g + 0.114 * b
}

fn to_byte(value: f32) -> u8 {
    value.round() as u8
}

/// Turning, scaling and shifting without reflection: `(x, y) -> (a x - b y + tx, b x + a y + ty)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Similarity {
    /// Scale times the cosine of the angle.
    pub a: f32,
    /// Scale times the sine of the angle.
    pub b: f32,
    /// (tx, ty)
    pub shift: [f32; 2],
}

impl Similarity {
    /// From positions in the crop that [`align`] cuts, 0..=`side`, to frame pixels.
    pub fn crop_to_frame(landmarks: &Landmarks, template: &FaceTemplate, side: f32) -> Self {
        let Landmarks { right_eye, left_eye, nose, mouth, .. } = *landmarks;
        let from = template.points().map(|point| point.map(|value| value * side));
        Self::fit(&from, &[right_eye, left_eye, nose, mouth])
    }

    /// The least-squares fit that brings `from` onto `to`.
    ///
    /// # Formula
    /// With points as complex numbers z, w and their means z', w' taken off:
    /// `a + ib = sum(conj(z - z') (w - w')) / sum(|z - z'|^2)`, `shift = w' - (a + ib) z'`.
    /// Points `from` that are all the same give scale 0.
    fn fit<const N: usize>(from: &[[f32; 2]; N], to: &[[f32; 2]; N]) -> Self {
        let (from_mean, to_mean) = (mean(from), mean(to));
        let (mut real, mut imaginary, mut square) = (0.0, 0.0, 0.0);
        for (z, w) in from.iter().zip(to) {
            let z = [z[0] - from_mean[0], z[1] - from_mean[1]];
            let w = [w[0] - to_mean[0], w[1] - to_mean[1]];
            real += z[0] * w[0] + z[1] * w[1];
            imaginary += z[0] * w[1] - z[1] * w[0];
            square += z[0] * z[0] + z[1] * z[1];
        }
        let (a, b) = if square > 0.0 { (real / square, imaginary / square) } else { (0.0, 0.0) };
        let unshifted = Self { a, b, shift: [0.0; 2] };
        let [x, y] = unshifted.apply(from_mean);
        Self { a, b, shift: [to_mean[0] - x, to_mean[1] - y] }
    }

    /// Where a position lands.
    pub fn apply(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        [self.a * x - self.b * y + self.shift[0], self.b * x + self.a * y + self.shift[1]]
    }

    /// Length of a unit vector after the transform.
    fn scale(&self) -> f32 {
        self.a.hypot(self.b)
    }
}

fn mean<const N: usize>(points: &[[f32; 2]; N]) -> [f32; 2] {
    [0, 1].map(|axis| points.iter().map(|point| point[axis]).sum::<f32>() / N as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::PixelFormat;
    use proptest::prelude::*;

    const TEMPLATE: FaceTemplate = FaceTemplate::FERPLUS;

    /// Landmarks where the template's points fall when its unit square is placed in a frame.
    fn placed(place: impl Fn([f32; 2]) -> [f32; 2]) -> Landmarks {
        let [right_eye, left_eye, nose, mouth] = TEMPLATE.points().map(place);
        Landmarks { right_eye, left_eye, nose, mouth, right_ear: [0.0; 2], left_ear: [0.0; 2] }
    }

    /// A smooth picture whose value is linear in x and y, so that interpolation is exact.
    fn ramp(width: u32, height: u32) -> Vec<u8> {
        (0..width * height).map(|i| (i % width + 2 * (i / width)) as u8).collect()
    }

    fn gray_view(bytes: &[u8], width: u32) -> FrameView<'_> {
        let height = bytes.len() as u32 / width;
        FrameView::new(bytes, width, height, width as usize, PixelFormat::Gray8).unwrap()
    }

    #[test]
    fn a_face_that_already_lies_right_is_copied_exactly() {
        let bytes = ramp(48, 48);
        let landmarks = placed(|p| p.map(|v| v * 48.0));
        let crop = align(&gray_view(&bytes, 48), &landmarks, &TEMPLATE, 48, Colour::Gray);
        assert_eq!((crop.size, crop.channels), (48, 1));
        assert_eq!(crop.pixels, bytes);
        assert_eq!(FaceCrop::resized(&gray_view(&bytes, 48), 48, Colour::Gray).pixels, bytes);
    }

    #[test]
    fn a_face_on_its_side_comes_out_upright() {
        // Turned a quarter clockwise: the face's upper left is the frame's upper right.
        let bytes = ramp(40, 40);
        let frame = gray_view(&bytes, 40);
        let landmarks = placed(|[x, y]| [40.0 - 40.0 * y, 40.0 * x]);
        let crop = align(&frame, &landmarks, &TEMPLATE, 40, Colour::Gray);
        for (x, y) in [(0, 0), (39, 0), (0, 39), (17, 30)] {
            let (seen, stored) = (crop.pixels[y * 40 + x], frame.rgb(39 - y as u32, x as u32)[0]);
            assert!(seen.abs_diff(stored) <= 1, "at {x},{y}: {seen}, not {stored}");
        }
    }

    #[test]
    fn a_shrunk_face_is_averaged_not_sampled() {
        // Columns alternate between black and white: sampling would give stripes.
        let bytes: Vec<u8> = (0..96 * 96).map(|i| if i % 2 == 0 { 0 } else { 255 }).collect();
        let landmarks = placed(|p| p.map(|v| v * 96.0));
        let crop = align(&gray_view(&bytes, 96), &landmarks, &TEMPLATE, 24, Colour::Gray);
        let inner = crop.pixels.chunks(24).flat_map(|row| &row[1..23]);
        assert!(inner.clone().all(|v| (120..=136).contains(v)), "{:?}", inner.max());
    }

    #[test]
    fn borders_go_on_and_bad_landmarks_do_not_panic() {
        let bytes = [50, 60, 70, 80];
        let frame = gray_view(&bytes, 2);
        let far = placed(|p| p.map(|v| v * 10.0 - 500.0));
        assert_eq!(align(&frame, &far, &TEMPLATE, 8, Colour::Gray).pixels, [50; 64]);
        for bad in [f32::NAN, f32::INFINITY, f32::MAX, 0.0] {
            let crop = align(&frame, &placed(|_| [bad; 2]), &TEMPLATE, 8, Colour::Rgb);
            assert_eq!(crop.pixels.len(), 8 * 8 * 3);
        }
    }

    #[test]
    fn resizing_takes_the_centred_square_and_keeps_colours() {
        let bytes = [[9, 9, 9], [10, 20, 30], [9, 9, 9]].concat();
        let frame = FrameView::new(&bytes, 3, 1, 9, PixelFormat::Rgb24).unwrap();
        let crop = FaceCrop::resized(&frame, 2, Colour::Rgb);
        assert_eq!(crop.pixels, [10, 20, 30].repeat(4));
        let gray = FaceCrop::resized(&frame, 1, Colour::Gray);
        assert_eq!(gray.pixels, [18]); // 0.299 * 10 + 0.587 * 20 + 0.114 * 30 = 18.15
    }

    #[test]
    fn luma_follows_rec_601_and_leaves_grays_alone() {
        let gray = |rgb: [f32; 3]| to_byte(luma(rgb));
        assert_eq!(gray([255.0, 0.0, 0.0]), 76);
        assert_eq!(gray([0.0, 255.0, 0.0]), 150);
        assert_eq!(gray([0.0, 0.0, 255.0]), 29);
        assert!((0..=255).all(|v: u8| gray([f32::from(v); 3]) == v));
    }

    #[test]
    fn known_transforms_are_found() {
        let square = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]];
        let identity = Similarity::fit(&square, &square);
        assert_eq!(identity, Similarity { a: 1.0, b: 0.0, shift: [0.0, 0.0] });
        let turned = square.map(|[x, y]| [3.0 - 2.0 * y, 5.0 + 2.0 * x]);
        assert_eq!(
            Similarity::fit(&square, &turned),
            Similarity { a: 0.0, b: 2.0, shift: [3.0, 5.0] }
        );
        let mirrored = square.map(|[x, y]| [-x, y]);
        assert!(Similarity::fit(&square, &mirrored).scale() < 1e-6, "no reflection: no scale left");
    }

    proptest! {
        #[test]
        fn any_similarity_is_recovered(
            (angle, scale) in (-3.1f32..3.1, 0.1f32..20.0),
            (x, y) in (-500f32..500.0, -500f32..500.0),
        ) {
            let truth = Similarity { a: scale * angle.cos(), b: scale * angle.sin(), shift: [x, y] };
            let from = TEMPLATE.points();
            let found = Similarity::fit(&from, &from.map(|p| truth.apply(p)));
            // 1e-3: single precision at coordinates of several hundred.
            for point in [[0.0, 0.0], [1.0, 0.0], [0.5, 1.0]] {
                let (a, b) = (found.apply(point), truth.apply(point));
                prop_assert!((a[0] - b[0]).abs() < 1e-3 && (a[1] - b[1]).abs() < 1e-3);
            }
        }

        #[test]
        fn no_other_similarity_fits_better(
            to in prop::array::uniform4(prop::array::uniform2(-10f32..10.0)),
            nudge in prop::array::uniform4(-0.1f32..0.1),
        ) {
            let from = TEMPLATE.points();
            let error = |t: &Similarity| -> f32 {
                let off = |(z, w): (&[f32; 2], &[f32; 2])| {
                    let [x, y] = t.apply(*z);
                    (x - w[0]).powi(2) + (y - w[1]).powi(2)
                };
                from.iter().zip(&to).map(off).sum()
            };
            let best = Similarity::fit(&from, &to);
            let other = Similarity {
                a: best.a + nudge[0],
                b: best.b + nudge[1],
                shift: [best.shift[0] + nudge[2], best.shift[1] + nudge[3]],
            };
            prop_assert!(error(&best) <= error(&other) + 1e-3);
        }
    }
}
