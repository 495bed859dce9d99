//! Sessions: one video stream each, its faces followed and their labels steadied.

use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::time::Duration;

use dmue_edge::SessionOptions;
use pyo3::{Bound, PyAny, PyResult, Python, pyclass, pymethods};

use crate::engine::Engine;
use crate::error::{BusyError, OptionError, TimestampError, panicked, to_python, unlocked};
use crate::frame::Frame;
use crate::results::{self, Object};

/// Answers the frames of one stream. One thread at a time: another one gets `BusyError`.
#[pyclass(frozen, module = "dmue_edge")]
pub struct Session {
    engine: Arc<dmue_edge::Engine>,
    state: Mutex<dmue_edge::Session>,
}

#[pymethods]
impl Session {
    /// Starts a stream on an engine; times are in seconds.
    #[new]
    #[pyo3(signature = (
        engine, *, window_frames=None, window_age=None, keyframe_interval=None, search_interval=None,
        lost_after=None, minimum_face=None, maximum_faces=None, smoothing=None, label_margin=None,
        tolerated_error=None
    ))]
    #[expect(clippy::too_many_arguments, reason = "keywords in Python")]
    fn new(
        py: Python<'_>,
        engine: &Bound<'_, Engine>,
        window_frames: Option<usize>,
        window_age: Option<f64>,
        keyframe_interval: Option<f64>,
        search_interval: Option<f64>,
        lost_after: Option<f64>,
        minimum_face: Option<f32>,
        maximum_faces: Option<usize>,
        smoothing: Option<f64>,
        label_margin: Option<f32>,
        tolerated_error: Option<f64>,
    ) -> PyResult<Self> {
        let mut options = SessionOptions::default();
        options.tolerated_error = tolerated_error;
        let SessionOptions { window, tracking, steady, .. } = &mut options;
        for (name, given, option) in [
            ("window_age", window_age, &mut window.age),
            ("keyframe_interval", keyframe_interval, &mut tracking.keyframe_interval),
            ("search_interval", search_interval, &mut tracking.search_interval),
            ("lost_after", lost_after, &mut tracking.lost_after),
            ("smoothing", smoothing, &mut steady.time_constant),
        ] {
            if let Some(seconds) = given {
                *option = time(seconds).ok_or_else(|| {
                    OptionError::new_err(format!("session option {name} is {seconds}: {SECONDS}"))
                })?;
            }
        }
        window.frames = window_frames.unwrap_or(window.frames);
        tracking.minimum_face = minimum_face.unwrap_or(tracking.minimum_face);
        tracking.maximum_faces = maximum_faces.unwrap_or(tracking.maximum_faces);
        steady.margin = label_margin.unwrap_or(steady.margin);
        let engine = Arc::clone(&engine.get().engine);
        let start = || dmue_edge::Session::new(Arc::clone(&engine), options).map_err(to_python);
        let state = Mutex::new(unlocked(py, start)?);
        Ok(Self { engine, state })
    }

    /// Answers the next frame, captured at `seconds` on any clock that does not go back.
    #[pyo3(signature = (frame, seconds, format=None))]
    fn process<'py>(
        &self,
        py: Python<'py>,
        frame: &Bound<'py, PyAny>,
        seconds: f64,
        format: Option<&str>,
    ) -> Object<'py> {
        let frame = Frame::of_argument(frame, format)?;
        let view = frame.get().view()?;
        let captured = time(seconds).ok_or_else(|| {
            TimestampError::new_err(format!("the frame's time is {seconds}: {SECONDS}"))
        })?;
        let result = unlocked(py, || self.enter()?.process(&view, captured).map_err(to_python))?;
        results::session_result(py, result, &self.engine.model().manifest().classes)
    }

    /// Forgets every face and the time, for another stream. Track ids go on: none is used twice.
    fn reset(&self) -> PyResult<()> {
        self.enter()?.reset();
        Ok(())
    }

    /// The calibrated threshold behind "unsure"; None if no error rate was asked for.
    #[getter]
    fn threshold<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let threshold = self.enter()?.threshold().copied();
        threshold.map(|threshold| results::threshold(py, threshold)).transpose()
    }
}

impl Session {
    fn enter(&self) -> PyResult<MutexGuard<'_, dmue_edge::Session>> {
        self.state.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => BusyError::new_err(
                "another thread is inside a call with this session: give each stream a session of \
                 its own, or call one after the other",
            ),
            TryLockError::Poisoned(_) => panicked(),
        })
    }
}

const SECONDS: &str = "seconds must be a number from 0 on";

fn time(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok()
}
