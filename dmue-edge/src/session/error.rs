//! What can be wrong with what a session is given.

use std::time::Duration;

use crate::uncertainty::ShapeError;

/// Why a session, or one of its stages, refused an option or a frame.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// An option is out of range.
    #[error("session option {name} is {value}: it must be {allowed}")]
    Option {
        /// The field of [`crate::session::SessionOptions`].
        name: &'static str,
        /// The value given.
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// Time went backwards.
    #[error(
        "the frame's timestamp {given:?} is earlier than {last:?}, the last frame's: hand frames \
         over in the order of their capture, or call reset() first for another stream"
    )]
    Timestamp {
        /// The latest timestamp so far.
        last: Duration,
        /// The one given.
        given: Duration,
    },
    /// The model has no threshold that promises so low an error rate.
    #[error(
        "the model promises no error rate of {tolerated} or less, but {offered}: \
         tolerate more, or calibrate the model with `dmue-train calibrate`"
    )]
    ErrorRate {
        /// The rate that the caller tolerates.
        tolerated: f64,
        /// The rates that the model promises, in words.
        offered: String,
    },
    /// Sizes that do not belong to the model.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// A number is NaN or infinite.
    #[error("{part} holds {value}: every value must be finite")]
    NotFinite {
        /// Which part.
        part: &'static str,
        /// The value.
        value: f32,
    },
}

impl SessionError {
    /// An error about option `name` unless `holds`.
    pub(crate) fn unless(
        holds: bool,
        name: &'static str,
        value: impl ToString,
        allowed: &'static str,
    ) -> Result<(), Self> {
        let error = || Self::Option { name, value: value.to_string(), allowed };
        if holds { Ok(()) } else { Err(error()) }
    }
}
