//! What can go wrong, one variant per cause.

use crate::face::KnownFaceError;
use crate::face::detector::DetectorError;
use crate::frame::FrameError;
use crate::model::ModelError;
use crate::photo::PhotoError;
use crate::session::SessionError;

/// The result of every fallible call of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call failed. The message names the value that was wrong and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The pixels handed over do not form the frame that was described.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// An image file could not be read.
    #[error(transparent)]
    Photo(#[from] PhotoError),
    /// An option of the face detector is out of range.
    #[error(transparent)]
    Detector(#[from] DetectorError),
    /// A face that the caller's own detector found cannot be one.
    #[error(transparent)]
    KnownFace(#[from] KnownFaceError),
    /// An option of the engine is out of range.
    #[error("engine option {name} is {value}: it must be {allowed}")]
    Option {
        /// The method of [`EngineBuilder`](crate::engine::EngineBuilder).
        name: &'static str,
        /// The value given.
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// No model was named and this build carries none.
    #[error("this build carries no model of its own: name a model file (NAME.dmue.onnx)")]
    NoDefaultModel,
    /// A model file is not what it says it is.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// An option of a session, or a frame handed to it, cannot be right.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// tract failed on a network that passed every check: a defect worth reporting.
    #[error("the network failed to run: {0}")]
    Run(String),
}
