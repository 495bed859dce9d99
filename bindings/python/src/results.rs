//! Answers as the dataclasses of `python/dmue_edge/results.py`, whose fields come in the order of
//! dmue-edge's.

use dmue_edge::abstain::Threshold;
use dmue_edge::engine::Timings;
use dmue_edge::face::align::FaceCrop;
use dmue_edge::face::{Face, FaceBox, Landmarks};
use dmue_edge::{Answer, FrameResult, KnownFace, Prediction, SessionResult, TrackedFace};
use pyo3::call::PyCallArgs;
use pyo3::types::{PyAnyMethods, PyBytes, PyTuple};
use pyo3::{Bound, FromPyObject, PyAny, PyResult, Python};

/// One object of a result class, or a tuple of them.
pub type Object<'py> = PyResult<Bound<'py, PyAny>>;

/// `FrameResult`.
pub fn frame_result(py: Python<'_>, result: FrameResult) -> Object<'_> {
    let FrameResult { predictions, timings } = result;
    let predictions = tuple(py, predictions, prediction)?;
    make(py, "FrameResult", (predictions, self::timings(py, timings)?))
}

/// `SessionResult`; `classes` names the answers.
pub fn session_result<'py>(
    py: Python<'py>,
    result: SessionResult,
    classes: &[String],
) -> Object<'py> {
    let SessionResult { faces, searched, timings } = result;
    let faces = tuple(py, faces, |py, face| tracked_face(py, face, classes))?;
    make(py, "SessionResult", (faces, searched, self::timings(py, timings)?))
}

/// `Threshold`.
pub fn threshold(py: Python<'_>, threshold: Threshold) -> Object<'_> {
    let Threshold { error_rate, threshold, coverage, confidence, count } = threshold;
    make(py, "Threshold", (error_rate, threshold, coverage, confidence, count))
}

/// A `FaceBox` or `Landmarks` of the caller's.
#[derive(FromPyObject)]
pub enum GivenFace {
    /// Read from attributes, like the other.
    Landmarks {
        /// Centre of the person's right eye.
        right_eye: [f32; 2],
        /// Centre of the person's left eye.
        left_eye: [f32; 2],
        /// Tip of the nose.
        nose: [f32; 2],
        /// Centre of the mouth.
        mouth: [f32; 2],
    },
    /// From the middle of the forehead to the chin.
    Box {
        /// Left edge.
        x: f32,
        /// Top edge.
        y: f32,
        /// Pixels.
        width: f32,
        /// Pixels.
        height: f32,
    },
}

impl From<GivenFace> for KnownFace {
    fn from(given: GivenFace) -> Self {
        let unused = [0.0; 2];
        match given {
            GivenFace::Landmarks { right_eye, left_eye, nose, mouth } => {
                let (right_ear, left_ear) = (unused, unused);
                Self::Landmarks(Landmarks { right_eye, left_eye, nose, mouth, right_ear, left_ear })
            }
            GivenFace::Box { x, y, width, height } => Self::Box(FaceBox { x, y, width, height }),
        }
    }
}

fn prediction(py: Python<'_>, prediction: Prediction) -> Object<'_> {
    let Prediction { label, class_index, score, alpha, .. } = prediction;
    let face = prediction.face.map(|found| face(py, found)).transpose()?;
    let crop = crop(py, &prediction.crop)?;
    let [probabilities, logits, feature] =
        [prediction.probabilities, prediction.logits, prediction.feature];
    let (probabilities, logits) = (numbers(py, probabilities)?, numbers(py, logits)?);
    let fields = (
        face,
        crop,
        label,
        class_index,
        probabilities,
        logits,
        numbers(py, feature)?,
        score,
        alpha,
    );
    make(py, "Prediction", fields)
}

fn tracked_face<'py>(py: Python<'py>, tracked: TrackedFace, classes: &[String]) -> Object<'py> {
    let name = |answer| match answer {
        Answer::Label(index) => classes.get(index).map(String::as_str),
        Answer::Unsure => None,
    };
    let fields = (
        tracked.track_id,
        face(py, tracked.face)?,
        prediction(py, tracked.prediction)?,
        name(tracked.answer),
        tracked.window_score,
        numbers(py, tracked.steadied_probabilities)?,
        tracked.steadied_score,
        name(tracked.steadied),
        tracked.age.as_secs_f64(),
        tracked.news,
    );
    make(py, "TrackedFace", fields)
}

fn face(py: Python<'_>, face: Face) -> Object<'_> {
    let FaceBox { x, y, width, height } = face.bounding_box;
    let bounding_box = make(py, "FaceBox", (x, y, width, height))?;
    let Landmarks { right_eye, left_eye, nose, mouth, right_ear, left_ear } = face.landmarks;
    let points = [right_eye, left_eye, nose, mouth, right_ear, left_ear].map(|[x, y]| (x, y));
    let landmarks = make(py, "Landmarks", PyTuple::new(py, points)?)?;
    make(py, "Face", (bounding_box, landmarks, face.detection_score))
}

fn crop<'py>(py: Python<'py>, crop: &FaceCrop) -> Object<'py> {
    make(py, "FaceCrop", (crop.size, crop.channels, PyBytes::new(py, &crop.pixels)))
}

fn timings(py: Python<'_>, timings: Timings) -> Object<'_> {
    let Timings { detect_ms, align_ms, classify_ms } = timings;
    make(py, "Timings", (detect_ms, align_ms, classify_ms))
}

fn make<'py>(py: Python<'py>, class: &str, fields: impl PyCallArgs<'py>) -> Object<'py> {
    py.import("dmue_edge.results")?.getattr(class)?.call1(fields)
}

fn numbers(py: Python<'_>, numbers: Vec<f32>) -> PyResult<Bound<'_, PyTuple>> {
    PyTuple::new(py, numbers)
}

fn tuple<'py, T>(
    py: Python<'py>,
    items: Vec<T>,
    convert: impl Fn(Python<'py>, T) -> Object<'py>,
) -> PyResult<Bound<'py, PyTuple>> {
    let items = items.into_iter().map(|item| convert(py, item));
    PyTuple::new(py, items.collect::<PyResult<Vec<_>>>()?)
}
