//! Failures as the exceptions of `python/dmue_edge/errors.py`.

use std::panic::{AssertUnwindSafe, catch_unwind};

use dmue_edge::Error;
use dmue_edge::session::SessionError;
use pyo3::{PyErr, PyResult, Python, import_exception};

import_exception!(dmue_edge.errors, DmueError);
import_exception!(dmue_edge.errors, FrameError);
import_exception!(dmue_edge.errors, PhotoError);
import_exception!(dmue_edge.errors, OptionError);
import_exception!(dmue_edge.errors, NoModelError);
import_exception!(dmue_edge.errors, ModelError);
import_exception!(dmue_edge.errors, FaceError);
import_exception!(dmue_edge.errors, RunError);
import_exception!(dmue_edge.errors, BusyError);
import_exception!(dmue_edge.errors, TimestampError);
import_exception!(dmue_edge.errors, PanicError);

/// Runs `work` while other Python threads may run.
///
/// # Errors
/// What `work` says, and `PanicError` in place of a panic.
pub fn unlocked<T: Send>(py: Python<'_>, work: impl FnOnce() -> PyResult<T> + Send) -> PyResult<T> {
    // What a panic leaves half done is behind a lock that it poisons, or dropped.
    py.detach(|| catch_unwind(AssertUnwindSafe(work))).unwrap_or_else(|_| Err(panicked()))
}

/// What is said about a panic and about objects that one left half changed.
pub fn panicked() -> PyErr {
    PanicError::new_err(
        "a defect of dmue_edge was stopped at its border: please report it, and use the session \
         that was called no more",
    )
}

/// The exception for a failure of dmue-edge.
pub fn to_python(error: impl Into<Error>) -> PyErr {
    let error = error.into();
    let text = error.to_string();
    match error {
        Error::Frame(_) => FrameError::new_err(text),
        Error::Photo(_) => PhotoError::new_err(text),
        Error::Detector(_) | Error::Option { .. } => OptionError::new_err(text),
        Error::KnownFace(_) => FaceError::new_err(text),
        Error::NoDefaultModel => NoModelError::new_err(text),
        Error::Model(_) => ModelError::new_err(text),
        Error::Run(_) => RunError::new_err(text),
        Error::Session(SessionError::Timestamp { .. }) => TimestampError::new_err(text),
        Error::Session(SessionError::Option { .. } | SessionError::ErrorRate { .. }) => {
            OptionError::new_err(text)
        }
        // The crate may add kinds.
        _ => DmueError::new_err(text),
    }
}
