//! Facial expression recognition that knows when it does not know.

pub mod engine;
pub mod error;
pub mod face;
pub mod frame;
pub mod model;
pub mod photo;
mod resample;
pub mod uncertainty;

pub use error::{Error, Result};
