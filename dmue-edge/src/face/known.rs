//! Faces that the caller's own detector found.

use super::align::{FaceCrop, FaceTemplate, align};
use super::{FaceBox, Landmarks};
use crate::frame::FrameView;
use crate::model::InputSpec;

/// Where a face is, as far as the caller knows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum KnownFace {
    /// Eyes, nose and mouth (the ears are not used): the face is turned upright and framed as the
    /// model's training faces are. The better choice.
    Landmarks(Landmarks),
    /// A box from the middle of the forehead to the chin, upright; the square around its centre with
    /// its longer side is what the network sees.
    Box(FaceBox),
}

/// A face that the caller described cannot be one.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("face {index} (counted from 0): {problem}")]
pub struct KnownFaceError {
    /// Which of the faces handed over.
    pub index: usize,
    /// What is wrong with it and what to do.
    pub problem: String,
}

impl KnownFace {
    /// # Errors
    /// [`KnownFaceError`] for a number that is not finite, a box without area or eyes in one place.
    pub(crate) fn check(&self, index: usize) -> Result<(), KnownFaceError> {
        match self.problem() {
            Some(problem) => Err(KnownFaceError { index, problem }),
            None => Ok(()),
        }
    }

    fn problem(&self) -> Option<String> {
        match self {
            Self::Box(FaceBox { x, y, width, height }) => {
                let finite = [x, y, width, height].iter().all(|value| value.is_finite());
                (!finite || *width <= 0.0 || *height <= 0.0).then(|| {
                    format!(
                        "a box at ({x}, {y}) of {width} x {height} pixels: give finite numbers \
                         and sides above 0"
                    )
                })
            }
            Self::Landmarks(Landmarks { right_eye, left_eye, nose, mouth, .. }) => {
                let points = [right_eye, left_eye, nose, mouth];
                let finite = points.iter().all(|[x, y]| x.is_finite() && y.is_finite());
                (!finite || right_eye == left_eye).then(|| {
                    format!(
                        "landmarks {points:?} (right eye, left eye, nose, mouth): give finite \
                         numbers and two different eyes"
                    )
                })
            }
        }
    }

    /// What the network sees of it.
    pub(crate) fn crop(&self, frame: &FrameView<'_>, input: &InputSpec) -> FaceCrop {
        let landmarks = match self {
            Self::Landmarks(landmarks) => *landmarks,
            Self::Box(face) => landmarks_in(face, &input.template),
        };
        align(frame, &landmarks, &input.template, input.size, input.colour)
    }
}

/// Where the template's points are when its unit square is laid over the box's square.
fn landmarks_in(face: &FaceBox, template: &FaceTemplate) -> Landmarks {
    let side = face.width.max(face.height);
    let left = face.x + (face.width - side) / 2.0;
    let top = face.y + (face.height - side) / 2.0;
    let place = |[x, y]: [f32; 2]| [left + x * side, top + y * side];
    Landmarks {
        right_eye: place(template.right_eye),
        left_eye: place(template.left_eye),
        nose: place(template.nose),
        mouth: place(template.mouth),
        right_ear: place([0.0, 0.5]),
        left_ear: place([1.0, 0.5]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::PixelFormat;
    use crate::model::Colour;
    use crate::model::fixture::manifest;

    #[test]
    fn a_box_shows_the_network_what_it_encloses() {
        let bytes: Vec<u8> = (0..60 * 60).map(|i| (i % 60 * 2 + i / 60) as u8).collect();
        let frame = FrameView::new(&bytes, 60, 60, 60, PixelFormat::Gray8).unwrap();
        let input = manifest(2, 24, Colour::Gray).input;
        let known = KnownFace::Box(FaceBox { x: 12.0, y: 8.0, width: 24.0, height: 20.0 });
        let crop = known.crop(&frame, &input);
        for (x, y) in [(0, 0), (23, 0), (5, 17), (23, 23)] {
            // The square is 24 high: two rows more above and below than the box.
            let (seen, stored) =
                (crop.pixels[y * 24 + x], frame.rgb(12 + x as u32, 6 + y as u32)[0]);
            assert!(seen.abs_diff(stored) <= 1, "at {x},{y}: {seen}, not {stored}");
        }
    }

    #[test]
    fn faces_that_cannot_be_are_named() {
        let face = FaceBox { x: 1.0, y: 2.0, width: 3.0, height: 4.0 };
        assert_eq!(KnownFace::Box(face).check(0), Ok(()));
        for bad in [
            FaceBox { x: f32::NAN, ..face },
            FaceBox { y: f32::INFINITY, ..face },
            FaceBox { width: 0.0, ..face },
            FaceBox { height: -1.0, ..face },
        ] {
            let error = KnownFace::Box(bad).check(7).unwrap_err();
            assert!(error.to_string().contains("face 7"), "{error}");
        }
        let landmarks = landmarks_in(&face, &FaceTemplate::FERPLUS);
        assert_eq!(KnownFace::Landmarks(landmarks).check(0), Ok(()));
        for bad in [
            Landmarks { left_eye: landmarks.right_eye, ..landmarks },
            Landmarks { mouth: [f32::NAN, 0.0], ..landmarks },
        ] {
            assert!(KnownFace::Landmarks(bad).check(0).is_err(), "{bad:?}");
        }
    }
}
