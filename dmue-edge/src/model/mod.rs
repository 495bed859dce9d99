//! The model file `NAME.dmue.onnx`: what it is, how it is checked, how it is run and how it is
//! written.
//!
//! One file holds everything: a plain ONNX network from input `face` `[N, 1 or 3, S, S]` to the
//! outputs `logits` `[N, C]`, `feature` `[N, D]`, `score` `[N]` and `alpha` `[N]`, and, for other
//! runtimes, `probabilities` `[N, C]`; the [`Manifest`] in `metadata_props`; class means, prior weight and the
//! two uncertainty heads as named initialisers that are also wired into the graph. Any ONNX runtime gives the same answers.
//!
//! | file | its one reason to change |
//! |---|---|
//! | [`manifest`] | what a model says about itself |
//! | [`mod@file`] | bytes to a checked model, and back |
//! | `tensors` | which weights are believed, and the named ones |
//! | `structure` | which graphs are believed |
//! | `quantised` | which 8-bit nodes are believed |
//! | `calibration` | what calibrating changes in a graph |
//! | `volume` | how much a network may ask for |
//! | [`preprocess`] | pixels to the input tensor |
//! | [`runtime`] | a checked file to a network that runs |
//! | [`graph`] | the uncertainty as ONNX nodes, and the whole model from its parts |
//! | [`proto`] | constructors of ONNX' message types |

mod calibration;
mod error;
pub mod file;
#[cfg(test)]
pub(crate) mod fixture;
pub mod graph;
pub mod manifest;
pub mod preprocess;
pub mod proto;
mod quantised;
pub mod runtime;
mod structure;
mod tensors;
#[cfg(test)]
mod tests;
mod volume;

pub use error::ModelError;
pub use manifest::{Colour, InputSpec, Manifest, TrainingInfo};
pub use runtime::{Inference, Model};
pub use structure::OPERATORS;

/// Name of the input, `[N, 1 or 3, S, S]`.
pub const FACE: &str = "face";
/// Name of the output with one value a class, `[N, C]`.
pub const LOGITS: &str = "logits";
/// Name of the output with the feature before neck and head, `[N, D]`.
pub const FEATURE: &str = "feature";
/// Name of the output with the confidence in the label, `[N]`, 0..1.
pub const SCORE: &str = "score";
/// Name of the output with the paper's confidence, `[N]`, 0..1.
pub const ALPHA: &str = "alpha";
/// Name of the output softmax(logits / T), `[N, C]`; files written before it existed have none.
pub const PROBABILITIES: &str = "probabilities";
/// All outputs that a model must have, in the order they are written.
pub const OUTPUTS: [&str; 4] = [LOGITS, FEATURE, SCORE, ALPHA];

/// Name of the initialiser with T, which is the manifest's temperature, `[1]`.
pub const TEMPERATURE: &str = "temperature";
/// Name of the initialiser with the mean unit features `mu_i`, `[C, D]`.
pub const CLASS_MEANS: &str = "class_means";
/// Name of the initialiser with the weight `n0` of the class means, `[1]`.
pub const PRIOR_WEIGHT: &str = "prior_weight";
/// First part of the names of the score head's initialisers: `.w1` `[H, 4C+1]` or, where it takes the
/// feature, `[H, 4C+1+D]`, `.b1` `[H]`, `.prelu` `[1]`, `.w2` `[1, H]`, `.b2` `[1]`.
pub const SCORE_HEAD: &str = "score_head";
/// First part of the names of the alpha head's initialisers: `.w1` `[H, 2C]` (H = C in the paper),
/// the rest as above.
pub const ALPHA_HEAD: &str = "alpha_head";
