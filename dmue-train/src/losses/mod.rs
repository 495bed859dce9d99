//! The terms of method.md, one file each; `criterion` alone knows their weights.

pub mod auxiliary;
pub mod criterion;
pub mod latent;
pub mod ramp;
pub mod similarity;
pub mod soft;
