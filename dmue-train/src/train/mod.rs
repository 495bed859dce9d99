//! The training loop: no formula, only order.

pub mod average;
pub mod checkpoint;
pub mod clock;
pub mod epoch;
pub mod folder;
pub mod log;
pub mod optimiser;
pub mod run;
pub mod teachers;
pub mod validate;
