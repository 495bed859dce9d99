//! The face detector: BlazeFace for the back camera, embedded.

use super::Face;
use super::blazeface::Blazeface;
use super::suppression::keep_most_confident;
use super::tiles::{Tile, tiles};
use crate::error::Result;
use crate::frame::FrameView;
use crate::kernels::Kernels;
use crate::parallel;

/// Provenance, licence and measured recall: `models/README.md`.
static BLAZEFACE_BACK: &[u8] = include_bytes!("../../models/blazeface_back.onnx");

/// Side of its input in pixels.
pub(crate) const NETWORK_SIDE: u32 = 256;

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
    network: Blazeface,
    options: DetectorOptions,
}

impl Detector {
    /// Loads the embedded network and checks the options.
    ///
    /// # Errors
    /// [`crate::Error::Detector`] names the option that is out of range.
    pub fn new(options: DetectorOptions) -> Result<Self> {
        Self::with_kernels(options, Kernels::default())
    }

    /// [`Self::new`], with a say in who computes the network.
    ///
    /// # Errors
    /// As there.
    pub fn with_kernels(options: DetectorOptions, kernels: Kernels) -> Result<Self> {
        options.check()?;
        Ok(Self { network: Blazeface::load(BLAZEFACE_BACK, NETWORK_SIDE, kernels)?, options })
    }

    /// The faces of a frame, the most confident first, in frame pixels.
    ///
    /// # Errors
    /// [`crate::Error::Run`] if tract fails.
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
        let mut faces = self.network.look(frame, tile.region, self.options.minimum_score)?;
        faces.retain(|face| {
            tile.answers_for(&face.bounding_box)
                && face.bounding_box.width >= self.options.minimum_face
        });
        Ok(faces)
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
