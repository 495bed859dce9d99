//! From a frame to expressions: detector, alignment and model chained, nothing else.

use std::path::PathBuf;
use std::time::Instant;

use crate::error::{Error, Result};
use crate::face::Face;
use crate::face::align::{FaceCrop, align};
use crate::face::detector::{Detector, DetectorOptions};
use crate::frame::FrameView;
use crate::model::{Inference, Model};
use crate::uncertainty::predicted_class;

/// The model that this crate carries: provenance and figures in `models/README.md`.
const DEFAULT_MODEL: Option<&[u8]> = Some(include_bytes!("../models/edge.dmue.onnx"));

/// Answers frames. Immutable: share one between threads.
///
/// ```
/// use dmue_edge::engine::Engine;
/// use dmue_edge::photo::Photo;
///
/// # fn main() -> dmue_edge::Result<()> {
/// # if Engine::default_model().is_none() { return Ok(()); }
/// let engine = Engine::builder().build()?;
/// let photo = Photo::open(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/images/astronaut.png"))?;
/// let result = engine.predict(&photo.view()?)?;
/// assert_eq!(result.predictions.len(), 1);
/// println!("{} ({:.2})", result.predictions[0].label, result.predictions[0].score);
/// # Ok(())
/// # }
/// ```
pub struct Engine {
    detector: Detector,
    model: Model,
}

/// What [`Engine::builder`] gathers before anything is loaded.
#[derive(Clone, Debug, Default)]
pub struct EngineBuilder {
    model: ModelSource,
    detector: DetectorOptions,
}

#[derive(Clone, Debug, Default)]
enum ModelSource {
    #[default]
    Embedded,
    File(PathBuf),
    Bytes(Vec<u8>),
}

impl EngineBuilder {
    /// Uses a model file instead of the embedded model.
    pub fn model_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.model = ModelSource::File(path.into());
        self
    }

    /// Uses a model file's bytes instead of the embedded model.
    pub fn model_bytes(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.model = ModelSource::Bytes(bytes.into());
        self
    }

    /// Uses these options for the face detector.
    pub fn detector(mut self, options: DetectorOptions) -> Self {
        self.detector = options;
        self
    }

    /// Loads the model and the detector.
    ///
    /// # Errors
    /// [`Error::Model`] says what is wrong with the model file, [`Error::Detector`] which option is
    /// out of range, [`Error::NoDefaultModel`] that a model must be named.
    pub fn build(self) -> Result<Engine> {
        let model = match self.model {
            ModelSource::Embedded => {
                Model::from_bytes(DEFAULT_MODEL.ok_or(Error::NoDefaultModel)?)?
            }
            ModelSource::File(path) => Model::open(&path)?,
            ModelSource::Bytes(bytes) => Model::from_bytes(&bytes)?,
        };
        Ok(Engine { detector: Detector::new(self.detector)?, model })
    }
}

/// What the engine says about one frame.
#[derive(Clone, Debug, PartialEq)]
pub struct FrameResult {
    /// One entry per face, the most confidently detected first; empty if there is none.
    pub predictions: Vec<Prediction>,
    /// Where the time went.
    pub timings: Timings,
}

/// The expression of one face.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// Where the face is; none if the frame was a face crop already.
    pub face: Option<Face>,
    /// What the network saw.
    pub crop: FaceCrop,
    /// Name of the most probable class.
    pub label: String,
    /// Its position in the model's classes.
    pub class_index: usize,
    /// One per class, in the order of the model's classes; they add up to 1.
    pub probabilities: Vec<f32>,
    /// One per class, before softmax.
    pub logits: Vec<f32>,
    /// The target branch's feature vector.
    pub feature: Vec<f32>,
    /// Estimated probability that `label` is right, 0..=1 (method section 4b).
    pub score: f32,
    /// The paper's confidence of the label, 0..=1 (method section 4), for comparison.
    pub alpha: f32,
}

/// Milliseconds of wall time per stage, summed over the frame's faces.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Timings {
    /// Finding faces.
    pub detect_ms: f64,
    /// Cutting them out upright.
    pub align_ms: f64,
    /// Running the expression network.
    pub classify_ms: f64,
}

impl Engine {
    /// Gathers options; `Engine::builder().build()` takes the embedded model and default options.
    pub fn builder() -> EngineBuilder {
        EngineBuilder::default()
    }

    /// The embedded model file, if this build carries one.
    pub fn default_model() -> Option<&'static [u8]> {
        DEFAULT_MODEL
    }

    /// The model that answers.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Finds every face of the frame and names its expression.
    ///
    /// # Errors
    /// [`Error::Run`] if a network fails to run.
    pub fn predict(&self, frame: &FrameView<'_>) -> Result<FrameResult> {
        let mut timings = Timings::default();
        let faces = self.detect(frame, &mut timings)?;
        let mut predictions = Vec::with_capacity(faces.len());
        for face in faces {
            predictions.push(self.answer(frame, face, &mut timings)?);
        }
        Ok(FrameResult { predictions, timings })
    }

    /// Names the expression of a frame that already is one face, framed as the model's training
    /// images are; nothing is detected.
    ///
    /// # Errors
    /// As [`Engine::predict`].
    pub fn predict_crop(&self, frame: &FrameView<'_>) -> Result<FrameResult> {
        let mut timings = Timings::default();
        let input = &self.model.manifest().input;
        let crop =
            timed(&mut timings.align_ms, || FaceCrop::resized(frame, input.size, input.colour));
        let prediction = self.classify(None, crop, &mut timings)?;
        Ok(FrameResult { predictions: vec![prediction], timings })
    }

    /// Every face of the frame, the most confident first.
    pub(crate) fn detect(&self, frame: &FrameView<'_>, timings: &mut Timings) -> Result<Vec<Face>> {
        timed(&mut timings.detect_ms, || self.detector.detect(frame))
    }

    /// Names the expression of a face that was found in the frame.
    pub(crate) fn answer(
        &self,
        frame: &FrameView<'_>,
        face: Face,
        timings: &mut Timings,
    ) -> Result<Prediction> {
        let input = &self.model.manifest().input;
        let crop = timed(&mut timings.align_ms, || {
            align(frame, &face.landmarks, &input.template, input.size, input.colour)
        });
        self.classify(Some(face), crop, timings)
    }

    fn classify(
        &self,
        face: Option<Face>,
        crop: FaceCrop,
        timings: &mut Timings,
    ) -> Result<Prediction> {
        let inference = timed(&mut timings.classify_ms, || self.model.infer(&crop))?;
        let Inference { logits, probabilities, feature, score, alpha, .. } = inference;
        let class_index = predicted_class(&logits);
        let label = self.model.manifest().classes.get(class_index).cloned().unwrap_or_default();
        Ok(Prediction {
            face,
            crop,
            label,
            class_index,
            probabilities,
            logits,
            feature,
            score,
            alpha,
        })
    }
}

pub(crate) fn timed<T>(total_ms: &mut f64, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    *total_ms += start.elapsed().as_secs_f64() * 1e3;
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_can_be_shared_between_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<Engine>();
    }

    #[test]
    fn bad_options_and_bad_models_are_told_apart() {
        let bad_model = Engine::builder().model_bytes(*b"no model").build();
        assert!(matches!(bad_model, Err(Error::Model(_))));
        for path in ["/nowhere/to/be.found", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")] {
            let Err(error) = Engine::builder().model_file(path).build() else { panic!("{path}") };
            assert!(
                matches!(error, Error::Model(_)) && error.to_string().contains(path),
                "{error}"
            );
        }
    }
}
