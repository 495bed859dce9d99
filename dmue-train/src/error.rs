//! What can go wrong in training, and what to do about it.

use std::path::{Path, PathBuf};

/// The result of every fallible call of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting is wrong; the text names key and value.
    #[error("{0}")]
    Config(String),
    /// A row of a data set is bad.
    #[error("{}: row {row}: {reason} (--skip-bad leaves such rows out)", file.display())]
    Row {
        /// The data file, or the image of a folder.
        file: PathBuf,
        /// Counted from 0; in a folder the position in sorted order.
        row: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A data set as a whole cannot be used.
    #[error("{}: {reason}", file.display())]
    Data {
        /// The data file or folder.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file or folder could not be read or written.
    #[error("{}: {source}", file.display())]
    File {
        /// The file or folder.
        file: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A checkpoint does not fit.
    #[error("{}: {reason}", file.display())]
    Checkpoint {
        /// The checkpoint.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The loss is no number any more.
    #[error(
        "the loss is {value} in epoch {epoch}, step {step}; the last checkpoint is untouched: \
         lower optimiser.body_rate and optimiser.head_rate in the run's config.toml and go on \
         with --resume"
    )]
    Diverged {
        /// The loss.
        value: f64,
        /// Counted from 0.
        epoch: usize,
        /// Counted from 0 within the epoch.
        step: usize,
    },
    /// The exported file does not compute what the trainer computes.
    #[error("the exported model differs from the trainer: {0}")]
    Parity(String),
    /// The edge refused a file or a crop.
    #[error(transparent)]
    Edge(#[from] dmue_edge::Error),
    /// libtorch refused an operation.
    #[error("libtorch: {0}")]
    Torch(#[from] tch::TchError),
}

impl From<dmue_edge::uncertainty::ShapeError> for Error {
    fn from(error: dmue_edge::uncertainty::ShapeError) -> Self {
        Self::Parity(error.to_string())
    }
}

impl Error {
    /// For `map_err` on file operations.
    pub fn file(file: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::File { file: file.into(), source }
    }
}
