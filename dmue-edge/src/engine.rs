//! From a frame to expressions: detector, alignment and model chained, nothing else.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use crate::error::{Error, Result};
use crate::face::align::{FaceCrop, align};
use crate::face::detector::{Detector, DetectorOptions};
use crate::face::follower::Follower;
use crate::face::{Face, KnownFace};
use crate::frame::FrameView;
use crate::kernels::Kernels;
use crate::log::{Log, LogLevel};
use crate::model::{Inference, Model};
use crate::parallel;
use crate::uncertainty::predicted_class;

/// The model that this crate carries: provenance and figures in `models/README.md`.
const DEFAULT_MODEL: Option<&[u8]> = Some(include_bytes!("../models/edge.dmue.onnx"));

/// More than any device has: a larger number is taken for a mistake.
const MOST_THREADS: usize = 1024;

/// Answers frames. Immutable: share one between threads.
///
/// ```
/// use dmue_edge::engine::Engine;
/// use dmue_edge::photo::Photo;
///
/// # fn main() -> dmue_edge::Result<()> {
/// # let portrait = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/images/astronaut.png");
/// # if Engine::default_model().is_none() || !std::path::Path::new(portrait).is_file() { return Ok(()); }
/// let engine = Engine::builder().build()?;
/// let photo = Photo::open(portrait)?;
/// let result = engine.predict(&photo.view()?)?;
/// assert_eq!(result.predictions.len(), 1);
/// println!("{} ({:.2})", result.predictions[0].label, result.predictions[0].score);
/// # Ok(())
/// # }
/// ```
pub struct Engine {
    detector: Detector,
    /// Only streams need it, so the first session loads it.
    follower: OnceLock<Arc<Follower>>,
    model: Model,
    kernels: Kernels,
    threads: usize,
    log: Log,
}

/// What [`Engine::builder`] gathers before anything is loaded.
#[derive(Clone, Debug)]
pub struct EngineBuilder {
    model: ModelSource,
    detector: DetectorOptions,
    kernels: Kernels,
    threads: usize,
    log: Log,
}

impl Default for EngineBuilder {
    fn default() -> Self {
        Self {
            model: ModelSource::default(),
            detector: DetectorOptions::default(),
            kernels: Kernels::default(),
            threads: 1,
            log: Log::default(),
        }
    }
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

    /// Lets a call use up to this many threads, 1 (the default) to 1024. They share the detector's
    /// looks at a frame and the faces of a frame, so a frame of one face and one look gains nothing.
    /// Answers do not depend on it.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Hands messages to `sink`, on the thread that called the engine; without it they are dropped.
    /// Each is one line without a line break.
    pub fn log(mut self, sink: impl Fn(LogLevel, &str) + Send + Sync + 'static) -> Self {
        self.log = Log::to(sink);
        self
    }

    /// Uses these options for the face detector, among them the smallest face and how many there may
    /// be in a frame.
    pub fn detector(mut self, options: DetectorOptions) -> Self {
        self.detector = options;
        self
    }

    /// Says who computes the networks: this crate's kernels (the default) or tract alone.
    pub fn kernels(mut self, kernels: Kernels) -> Self {
        self.kernels = kernels;
        self
    }

    /// Loads the model and the detector.
    ///
    /// # Errors
    /// [`Error::Model`] says what is wrong with the model file, [`Error::Detector`] and
    /// [`Error::Option`] which option is out of range, [`Error::NoDefaultModel`] that a model must
    /// be named.
    pub fn build(self) -> Result<Engine> {
        let Self { model, detector, kernels, threads, log } = self;
        if !(1..=MOST_THREADS).contains(&threads) {
            let (name, value, allowed) = ("threads", threads.to_string(), "1 to 1024");
            return Err(Error::Option { name, value, allowed });
        }
        let start = Instant::now();
        let (model, detector) = (model.load(kernels)?, Detector::with_kernels(detector, kernels)?);
        log.write(LogLevel::Info, || {
            let manifest = model.manifest();
            let (name, classes) = (&manifest.name, manifest.classes.len());
            let elapsed = start.elapsed().as_secs_f64() * 1e3;
            format!("model {name} of {classes} classes loaded in {elapsed:.0} ms")
        });
        Ok(Engine { detector, follower: OnceLock::new(), model, kernels, threads, log })
    }
}

impl ModelSource {
    fn load(self, kernels: Kernels) -> Result<Model> {
        Ok(match self {
            Self::Embedded => {
                Model::embedded(DEFAULT_MODEL.ok_or(Error::NoDefaultModel)?, kernels)?
            }
            Self::File(path) => Model::open_with(&path, kernels)?,
            Self::Bytes(bytes) => Model::from_bytes_with(&bytes, kernels)?,
        })
    }
}

/// What the engine says about one frame.
#[derive(Clone, Debug, PartialEq)]
pub struct FrameResult {
    /// One entry per face; empty if there is none. Faces that were detected come the most confidently
    /// detected first, faces that the caller gave in the caller's order.
    pub predictions: Vec<Prediction>,
    /// Where the time went.
    pub timings: Timings,
}

/// The expression of one face.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// Where the face is; none if the caller gave its place or a crop.
    pub face: Option<Face>,
    /// What the network saw.
    pub crop: FaceCrop,
    /// Name of the most probable class.
    pub label: String,
    /// Its position in the model's classes.
    pub class_index: usize,
    /// One per class, in the order of the model's classes: softmax of the logits divided by the
    /// manifest's temperature; they add up to 1.
    pub probabilities: Vec<f32>,
    /// One per class, before temperature and softmax.
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

    /// What faces are taken for and looked for.
    pub fn detector(&self) -> &Detector {
        &self.detector
    }

    /// One for all sessions of the engine.
    pub(crate) fn follower(&self) -> Result<Arc<Follower>> {
        if let Some(follower) = self.follower.get() {
            return Ok(follower.clone());
        }
        let loaded = Arc::new(Follower::new(self.kernels)?);
        Ok(self.follower.get_or_init(|| loaded).clone())
    }

    /// Finds every face of the frame and names its expression.
    ///
    /// # Errors
    /// [`Error::Run`] if a network fails to run.
    pub fn predict(&self, frame: &FrameView<'_>) -> Result<FrameResult> {
        let mut timings = Timings::default();
        let faces = self.detect(frame, &mut timings)?;
        let predictions = self.answer(frame, faces, &mut timings)?;
        Ok(FrameResult { predictions, timings })
    }

    /// Names the expression of `faces` that a detector of the caller's found in the frame; none is
    /// looked for. The answers come in the order of `faces`.
    ///
    /// # Errors
    /// [`Error::KnownFace`] for a place that no face can have, [`Error::Run`] as
    /// [`Engine::predict`].
    pub fn predict_faces(&self, frame: &FrameView<'_>, faces: &[KnownFace]) -> Result<FrameResult> {
        for (index, face) in faces.iter().enumerate() {
            face.check(index)?;
        }
        let mut timings = Timings::default();
        let input = &self.model.manifest().input;
        let crops = timed(&mut timings.align_ms, || {
            parallel::map(faces, self.threads, |face| face.crop(frame, input))
        });
        let predictions = self.classify(vec![None; faces.len()], crops, &mut timings)?;
        Ok(FrameResult { predictions, timings })
    }

    /// Names the expression of frames that already are one face each, framed as the model's training
    /// images are: the largest centred square of each is taken, and nothing is detected. The answers
    /// come in the order of `crops`.
    ///
    /// # Errors
    /// [`Error::Run`] as [`Engine::predict`].
    pub fn predict_crops(&self, crops: &[FrameView<'_>]) -> Result<FrameResult> {
        let mut timings = Timings::default();
        let input = &self.model.manifest().input;
        let resized = timed(&mut timings.align_ms, || {
            parallel::map(crops, self.threads, |crop| {
                FaceCrop::resized(crop, input.size, input.colour)
            })
        });
        let predictions = self.classify(vec![None; crops.len()], resized, &mut timings)?;
        Ok(FrameResult { predictions, timings })
    }

    /// [`Engine::predict_crops`] of one.
    ///
    /// # Errors
    /// As [`Engine::predict_crops`].
    pub fn predict_crop(&self, frame: &FrameView<'_>) -> Result<FrameResult> {
        self.predict_crops(std::slice::from_ref(frame))
    }

    /// Every face of the frame, the most confident first.
    pub(crate) fn detect(&self, frame: &FrameView<'_>, timings: &mut Timings) -> Result<Vec<Face>> {
        let find = || self.detector.detect_with(frame, self.threads);
        let faces = timed(&mut timings.detect_ms, find)?;
        self.log.write(LogLevel::Debug, || {
            format!("{} faces found in {:.1} ms", faces.len(), timings.detect_ms)
        });
        if faces.len() == self.detector.options().maximum_faces {
            self.log.write(LogLevel::Warning, || {
                format!(
                    "found the {} faces that maximum_faces allows: some may be left out",
                    faces.len()
                )
            });
        }
        Ok(faces)
    }

    /// Names the expressions of faces that were found in the frame, in their order.
    pub(crate) fn answer(
        &self,
        frame: &FrameView<'_>,
        faces: Vec<Face>,
        timings: &mut Timings,
    ) -> Result<Vec<Prediction>> {
        let input = &self.model.manifest().input;
        let crops = timed(&mut timings.align_ms, || {
            parallel::map(&faces, self.threads, |face| {
                align(frame, &face.landmarks, &input.template, input.size, input.colour)
            })
        });
        self.classify(faces.into_iter().map(Some).collect(), crops, timings)
    }

    /// Runs the network on each crop, one at a time: tract takes longer for a face of a batch (with
    /// the default model 2.5 ms alone, 3.2, 4.6 and 5.9 ms a face in batches of 2, 4 and 8, on a busy
    /// AVX2 core), and single faces can go to different threads.
    fn classify(
        &self,
        faces: Vec<Option<Face>>,
        crops: Vec<FaceCrop>,
        timings: &mut Timings,
    ) -> Result<Vec<Prediction>> {
        let inferences = timed(&mut timings.classify_ms, || {
            parallel::map(&crops, self.threads, |crop| self.model.infer(crop))
        });
        let faces = faces.into_iter().zip(crops).zip(inferences);
        faces.map(|((face, crop), inference)| Ok(self.prediction(face, crop, inference?))).collect()
    }

    fn prediction(&self, face: Option<Face>, crop: FaceCrop, inference: Inference) -> Prediction {
        let Inference { logits, probabilities, feature, score, alpha, .. } = inference;
        let class_index = predicted_class(&logits);
        let label = self.model.manifest().classes.get(class_index).cloned().unwrap_or_default();
        Prediction { face, crop, label, class_index, probabilities, logits, feature, score, alpha }
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

    #[test]
    fn no_threads_at_all_and_absurdly_many_are_refused() {
        for threads in [0, 1025, usize::MAX] {
            let built = Engine::builder().threads(threads).build();
            let Err(error) = built else { panic!("{threads} built") };
            assert!(matches!(&error, Error::Option { name: "threads", .. }), "{error}");
        }
    }
}
