//! Faces with labels: where they come from, how they are drawn, how they are varied.

pub mod augment;
pub mod dataset;
pub mod folder;
pub mod list;
pub mod pack;
pub mod sample;
pub mod sampler;
pub mod votes;
