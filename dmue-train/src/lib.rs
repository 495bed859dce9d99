//! Trains DMUE (She et al., CVPR 2021) and exports its target branch for `dmue-edge`.
//!
//! Reading order: `config` (what a run depends on), `data` (faces to batches), `model` (stem,
//! branches, uncertainty), `losses` (method.md's terms), `train` (the loop), `export`, then what measures
//! exported files: `eval`, `calibrate`, `compare`, `stress`, and what makes others of them: `rescore`, `quantize`.

pub mod bench;
pub mod calibrate;
pub mod compare;
pub mod config;
pub mod data;
pub mod device;
pub mod error;
pub mod eval;
pub mod export;
pub mod losses;
pub mod metrics;
pub mod model;
pub mod quantize;
pub mod report;
pub mod rescore;
pub mod stress;
pub mod train;

pub use error::{Error, Result};
