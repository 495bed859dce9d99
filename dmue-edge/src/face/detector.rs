//! The face detector: BlazeFace for the back camera, embedded, run by tract.

use std::sync::Arc;

use tract_onnx::prelude::*;

use super::anchors::{self, ANCHOR_COUNT, NETWORK_SIDE, REGRESSORS};
use super::suppression::keep_most_confident;
use super::tiles::{Tile, tiles};
use super::{Face, FaceBox, Landmarks};
use crate::error::{Error, Result};
use crate::frame::FrameView;
use crate::parallel;
use crate::resample::{Region, resample};

/// Provenance, licence and measured recall: `models/README.md`.
static BLAZEFACE_BACK: &[u8] = include_bytes!("../../models/blazeface_back.onnx");

/// What counts as a face and how thoroughly to look.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DetectorOptions {
    /// Least detection score, 0..=1. The default is 0.6: on four photos of 62 faces the weakest face
    /// scores 0.68 and the strongest thing that is none below 0.5.
    pub minimum_score: f32,
    /// From this overlap on (intersection over union, above 0, up to 1) two boxes are one face.
    pub overlap: f32,
    /// Faces whose box is narrower than this many frame pixels are left out: too few pixels to
    /// tell an expression from.
    pub minimum_face: f32,
    /// At most this many faces a frame, the most confident ones.
    pub maximum_faces: usize,
    /// 1 looks at the frame as a whole and finds faces from about 1/12 of its longer side on; each
    /// further level looks at tiles of half the side and finds faces half as large. For a 4:3 frame
    /// the network then runs 1, 7 or 42 times. Tiles never have fewer than 256 pixels a side.
    pub levels: u32,
}

impl Default for DetectorOptions {
    fn default() -> Self {
        Self { minimum_score: 0.6, overlap: 0.3, minimum_face: 20.0, maximum_faces: 100, levels: 2 }
    }
}

/// An option of the detector is out of range.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("detector option {name} is {value}: it must be {allowed}")]
pub struct DetectorError {
    /// The field of [`DetectorOptions`].
    pub name: &'static str,
    /// The value given.
    pub value: String,
    /// What is allowed.
    pub allowed: &'static str,
}

/// Finds faces in frames. Immutable: share one between threads.
pub struct Detector {
    plan: Arc<TypedRunnableModel>,
    centres: Vec<[f32; 2]>,
    options: DetectorOptions,
}

impl Detector {
    /// Loads the embedded network and checks the options.
    ///
    /// # Errors
    /// [`Error::Detector`] names the option that is out of range.
    pub fn new(options: DetectorOptions) -> Result<Self> {
        options.check()?;
        let plan = onnx()
            .model_for_read(&mut &BLAZEFACE_BACK[..])
            .and_then(|model| model.into_optimized())
            .and_then(|model| model.into_runnable())
            .map_err(run_error)?;
        Ok(Self { plan, centres: anchors::centres(), options })
    }

    /// The faces of a frame, the most confident first, in frame pixels.
    ///
    /// # Errors
    /// [`Error::Run`] if tract fails.
    pub fn detect(&self, frame: &FrameView<'_>) -> Result<Vec<Face>> {
        self.detect_with(frame, 1)
    }

    /// [`Detector::detect`] over at most `threads` threads, one look at the frame each; the answer
    /// does not depend on how many.
    ///
    /// # Errors
    /// As [`Detector::detect`].
    pub fn detect_with(&self, frame: &FrameView<'_>, threads: usize) -> Result<Vec<Face>> {
        let tiles = tiles(frame.width(), frame.height(), self.options.levels);
        let looks = parallel::map(&tiles, threads, |tile| self.look_at(frame, tile));
        let candidates = looks.into_iter().collect::<Result<Vec<_>>>()?.concat();
        Ok(keep_most_confident(candidates, self.options.overlap, self.options.maximum_faces))
    }

    /// What faces are taken for and looked for.
    pub fn options(&self) -> &DetectorOptions {
        &self.options
    }

    /// The faces that a tile answers for.
    fn look_at(&self, frame: &FrameView<'_>, tile: &Tile) -> Result<Vec<Face>> {
        let mut faces = self.look(frame, tile.region)?;
        faces.retain(|face| {
            tile.answers_for(&face.bounding_box)
                && face.bounding_box.width >= self.options.minimum_face
        });
        Ok(faces)
    }

    /// Every candidate of one run of the network on a part of the frame.
    fn look(&self, frame: &FrameView<'_>, region: Region) -> Result<Vec<Face>> {
        let letterbox = Letterbox::new(region);
        let input = letterbox.tensor(frame).map_err(run_error)?;
        let outputs = self.plan.run(tvec!(input.into())).map_err(run_error)?;
        let regressors = values(&outputs, 0, ANCHOR_COUNT * REGRESSORS)?;
        let scores = values(&outputs, 1, ANCHOR_COUNT)?;
        let faces = anchors::decode(&self.centres, regressors, scores, self.options.minimum_score);
        Ok(faces.into_iter().map(|face| letterbox.to_frame(face)).collect())
    }
}

impl DetectorOptions {
    fn check(&self) -> Result<(), DetectorError> {
        let checks = [
            ("minimum_score", self.minimum_score, (0.0..=1.0), "from 0 to 1"),
            ("overlap", self.overlap, (f32::MIN_POSITIVE..=1.0), "above 0 and at most 1"),
            ("minimum_face", self.minimum_face, (0.0..=f32::MAX), "0 or more pixels"),
        ];
        for (name, value, range, allowed) in checks {
            if !range.contains(&value) {
                return Err(DetectorError { name, value: value.to_string(), allowed });
            }
        }
        let counts = [("maximum_faces", self.maximum_faces), ("levels", self.levels as usize)];
        match counts.into_iter().find(|(_, count)| *count == 0) {
            Some((name, _)) => {
                Err(DetectorError { name, value: "0".into(), allowed: "at least 1" })
            }
            None => Ok(()),
        }
    }
}

/// A region shrunk or enlarged into the middle of the network's square, black around it.
struct Letterbox {
    region: Region,
    /// Width and height of the region's picture in network pixels.
    size: [u32; 2],
    /// Left and upper black border in network pixels.
    offset: [u32; 2],
}

impl Letterbox {
    fn new(region: Region) -> Self {
        let longer = f64::from(region.width.max(region.height));
        let size = [region.width, region.height].map(|side| {
            let side = (f64::from(side) * f64::from(NETWORK_SIDE) / longer).round() as u32;
            side.clamp(1, NETWORK_SIDE)
        });
        Self { region, size, offset: size.map(|side| (NETWORK_SIDE - side) / 2) }
    }

    /// `[1, 256, 256, 3]` RGB in -1..=1.
    fn tensor(&self, frame: &FrameView<'_>) -> TractResult<Tensor> {
        let side = NETWORK_SIDE as usize;
        let mut input = vec![-1.0_f32; side * side * 3];
        let (width, left) = (self.size[0] as usize, self.offset[0] as usize);
        let picture = resample(frame, self.region, self.size[0], self.size[1]);
        let rows = input.chunks_exact_mut(side * 3).skip(self.offset[1] as usize);
        for (row, pixels) in rows.zip(picture.chunks_exact(width)) {
            for (value, sample) in row[left * 3..].iter_mut().zip(pixels.as_flattened()) {
                *value = sample / 127.5 - 1.0;
            }
        }
        Tensor::from_shape(&[1, side, side, 3], &input)
    }

    fn to_frame(&self, face: Face) -> Face {
        let scale_x = self.region.width as f32 / self.size[0] as f32;
        let scale_y = self.region.height as f32 / self.size[1] as f32;
        let point = |[x, y]: [f32; 2]| {
            [
                self.region.x as f32 + (x - self.offset[0] as f32) * scale_x,
                self.region.y as f32 + (y - self.offset[1] as f32) * scale_y,
            ]
        };
        let Face { bounding_box, landmarks, detection_score } = face;
        let [x, y] = point([bounding_box.x, bounding_box.y]);
        Face {
            bounding_box: FaceBox {
                x,
                y,
                width: bounding_box.width * scale_x,
                height: bounding_box.height * scale_y,
            },
            landmarks: Landmarks {
                right_eye: point(landmarks.right_eye),
                left_eye: point(landmarks.left_eye),
                nose: point(landmarks.nose),
                mouth: point(landmarks.mouth),
                right_ear: point(landmarks.right_ear),
                left_ear: point(landmarks.left_ear),
            },
            detection_score,
        }
    }
}

fn values(outputs: &[TValue], index: usize, count: usize) -> Result<&[f32]> {
    let output = outputs.get(index).ok_or_else(|| Error::Run("an output is missing".into()))?;
    let view = output.try_as_plain_ram().map_err(run_error)?;
    let values = view.as_slice::<f32>().map_err(run_error)?;
    match values.len() == count {
        true => Ok(values),
        false => {
            Err(Error::Run(format!("output {index} has {} values, not {count}", values.len())))
        }
    }
}

fn run_error(error: TractError) -> Error {
    Error::Run(format!("{error:#}"))
}
