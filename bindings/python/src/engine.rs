//! The engine: a model and a face detector, loaded once and shared between threads.

use std::path::PathBuf;
use std::sync::Arc;

use dmue_edge::abstain::threshold_for;
use dmue_edge::face::detector::DetectorOptions;
use dmue_edge::{FrameView, KnownFace, LogLevel};
use pyo3::types::{PyAnyMethods, PyBytes, PyDict, PyDictMethods, PyTuple};
use pyo3::{Bound, FromPyObject, Py, PyAny, PyResult, Python, pyclass, pymethods};

use crate::error::{to_python, unlocked};
use crate::frame::{Frame, frames_of_arguments};
use crate::results::{self, GivenFace, Object};

/// Answers frames. It never changes: any number of threads may call it at the same time. A pickled one
/// is opened again from its model file, or from the model's bytes.
#[pyclass(frozen, module = "dmue_edge")]
pub struct Engine {
    /// What answers.
    pub(crate) engine: Arc<dmue_edge::Engine>,
    model: Option<ModelSource>,
    options: Options,
}

#[derive(FromPyObject)]
enum ModelSource {
    Bytes(Py<PyBytes>),
    File(PathBuf),
}

/// What was given; the runtime has the defaults.
struct Options {
    threads: Option<usize>,
    minimum_detection_score: Option<f32>,
    minimum_face: Option<f32>,
    maximum_faces: Option<usize>,
    detector_levels: Option<u32>,
    log: Option<Py<PyAny>>,
}

#[pymethods]
impl Engine {
    /// Loads a model, by default the one in the package, and the detector.
    #[new]
    #[pyo3(signature = (
        model=None, *, threads=None, minimum_detection_score=None, minimum_face=None,
        maximum_faces=None, detector_levels=None, log=None
    ))]
    #[expect(clippy::too_many_arguments, reason = "keywords in Python")]
    fn new(
        py: Python<'_>,
        model: Option<ModelSource>,
        threads: Option<usize>,
        minimum_detection_score: Option<f32>,
        minimum_face: Option<f32>,
        maximum_faces: Option<usize>,
        detector_levels: Option<u32>,
        log: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let model = model.map(ModelSource::absolute).transpose()?;
        let options = Options {
            threads,
            minimum_detection_score,
            minimum_face,
            maximum_faces,
            detector_levels,
            log,
        };
        let mut builder = options.builder(py);
        match &model {
            Some(ModelSource::Bytes(bytes)) => builder = builder.model_bytes(bytes.as_bytes(py)),
            Some(ModelSource::File(path)) => builder = builder.model_file(path),
            None => {}
        }
        let engine = Arc::new(unlocked(py, || builder.build().map_err(to_python))?);
        Ok(Self { engine, model, options })
    }

    /// Finds every face of a picture and names its expression.
    #[pyo3(signature = (frame, format=None))]
    fn predict<'py>(
        &self,
        py: Python<'py>,
        frame: &Bound<'py, PyAny>,
        format: Option<&str>,
    ) -> Object<'py> {
        let frame = Frame::of_argument(frame, format)?;
        let view = frame.get().view()?;
        let result = unlocked(py, || self.engine.predict(&view).map_err(to_python))?;
        results::frame_result(py, result)
    }

    /// `predict` of an image file (PNG, JPEG, BMP or WebP).
    fn predict_file<'py>(&self, py: Python<'py>, path: PathBuf) -> Object<'py> {
        let frame = Frame::open(py, path)?;
        let view = frame.view()?;
        let result = unlocked(py, || self.engine.predict(&view).map_err(to_python))?;
        results::frame_result(py, result)
    }

    /// Names the expression of faces that your own detector found; none is looked for.
    #[pyo3(signature = (frame, faces, format=None))]
    fn predict_faces<'py>(
        &self,
        py: Python<'py>,
        frame: &Bound<'py, PyAny>,
        faces: Vec<GivenFace>,
        format: Option<&str>,
    ) -> Object<'py> {
        let frame = Frame::of_argument(frame, format)?;
        let view = frame.get().view()?;
        let faces: Vec<_> = faces.into_iter().map(KnownFace::from).collect();
        let ask = || self.engine.predict_faces(&view, &faces).map_err(to_python);
        results::frame_result(py, unlocked(py, ask)?)
    }

    /// Names the expression of pictures that already are one face each, framed as the model's training
    /// images are.
    #[pyo3(signature = (frames, format=None))]
    fn predict_crops<'py>(
        &self,
        py: Python<'py>,
        frames: Vec<Bound<'py, PyAny>>,
        format: Option<&str>,
    ) -> Object<'py> {
        let frames = frames_of_arguments(frames, format)?;
        let views = frames.iter().map(|frame| frame.get().view());
        let views = views.collect::<PyResult<Vec<FrameView<'_>>>>()?;
        let result = unlocked(py, || self.engine.predict_crops(&views).map_err(to_python))?;
        results::frame_result(py, result)
    }

    /// `predict_crops` of one.
    #[pyo3(signature = (frame, format=None))]
    fn predict_crop<'py>(
        &self,
        py: Python<'py>,
        frame: Bound<'py, PyAny>,
        format: Option<&str>,
    ) -> Object<'py> {
        self.predict_crops(py, vec![frame], format)
    }

    /// The calibrated threshold behind "unsure" for a tolerated share of wrong answers.
    fn threshold<'py>(&self, py: Python<'py>, tolerated_error: f64) -> Object<'py> {
        let promised = &self.engine.model().manifest().abstention;
        let threshold = threshold_for(promised, tolerated_error).map_err(to_python)?;
        results::threshold(py, threshold)
    }

    /// Names of the model's classes.
    #[getter]
    fn classes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, &self.engine.model().manifest().classes)
    }

    /// Everything that the model file says about itself.
    #[getter]
    fn manifest<'py>(&self, py: Python<'py>) -> Object<'py> {
        let json = self.engine.model().manifest().to_json();
        let json = json.map_err(|error| to_python(dmue_edge::Error::from(error)))?;
        py.import("json")?.getattr("loads")?.call1((json,))
    }

    fn __getnewargs_ex__<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyTuple>, Bound<'py, PyDict>)> {
        let options = self.options.given(py)?;
        match &self.model {
            Some(ModelSource::Bytes(bytes)) => options.set_item("model", bytes)?,
            Some(ModelSource::File(path)) => options.set_item("model", path)?,
            None => {}
        }
        Ok((PyTuple::empty(py), options))
    }

    fn __repr__(&self) -> String {
        let manifest = self.engine.model().manifest();
        format!("Engine(model {}, {} classes)", manifest.name, manifest.classes.len())
    }
}

impl ModelSource {
    /// A pickled engine may be opened in another folder.
    fn absolute(self) -> PyResult<Self> {
        Ok(match self {
            Self::File(path) => Self::File(std::path::absolute(path)?),
            bytes @ Self::Bytes(_) => bytes,
        })
    }
}

impl Options {
    fn builder(&self, py: Python<'_>) -> dmue_edge::engine::EngineBuilder {
        let mut detector = DetectorOptions::default();
        detector.minimum_score = self.minimum_detection_score.unwrap_or(detector.minimum_score);
        detector.minimum_face = self.minimum_face.unwrap_or(detector.minimum_face);
        detector.maximum_faces = self.maximum_faces.unwrap_or(detector.maximum_faces);
        detector.levels = self.detector_levels.unwrap_or(detector.levels);
        let mut builder = dmue_edge::Engine::builder().detector(detector);
        if let Some(threads) = self.threads {
            builder = builder.threads(threads);
        }
        match &self.log {
            Some(log) => builder.log(to_callable(log.clone_ref(py))),
            None => builder,
        }
    }

    /// As keywords.
    fn given<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let given = PyDict::new(py);
        let Self { threads, minimum_detection_score, minimum_face, maximum_faces, .. } = self;
        given.set_item("threads", threads)?;
        given.set_item("minimum_detection_score", minimum_detection_score)?;
        given.set_item("minimum_face", minimum_face)?;
        given.set_item("maximum_faces", maximum_faces)?;
        given.set_item("detector_levels", self.detector_levels)?;
        given.set_item("log", &self.log)?;
        Ok(given)
    }
}

/// What it raises goes to `sys.unraisablehook`: a message must not fail the call that it is about.
fn to_callable(log: Py<PyAny>) -> impl Fn(LogLevel, &str) + Send + Sync + 'static {
    move |level, message| {
        let level = match level {
            LogLevel::Warning => "warning",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
        };
        Python::attach(|py| {
            if let Err(error) = log.call1(py, (level, message)) {
                error.write_unraisable(py, None);
            }
        });
    }
}
