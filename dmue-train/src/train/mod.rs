//! The training loop: no formula, only order.

pub mod checkpoint;
pub mod epoch;
pub mod log;
pub mod optimiser;
pub mod run;
pub mod validate;
