//! Facial expression recognition that knows when it does not know.
//!
//! ```
//! use dmue_edge::{Engine, Photo};
//!
//! # fn main() -> Result<(), dmue_edge::Error> {
//! # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/images/astronaut.png");
//! # if Engine::default_model().is_none() || !std::path::Path::new(path).is_file() { return Ok(()); }
//! let engine = Engine::builder().build()?; // load once, share between threads
//! let photo = Photo::open(path)?;
//! for face in engine.predict(&photo.view()?)?.predictions {
//!     println!("{} (score {:.2})", face.label, face.score);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A face gets a label and a `score`. The score estimates the probability that the label is right:
//! a product may drop answers below a score, or ask again with the next frame. It comes from how
//! the face's feature lies to the features of every class (DMUE: She et al., "Dive into Ambiguity",
//! CVPR 2021); `models/README.md` says how well it tells wrong answers from right ones.
//!
//! # From pixels to an answer
//!
//! Each step is a module, in the order in which a frame goes through them; [`Engine`] chains them,
//! and each can be used on its own.
//!
//! | step | takes | gives |
//! |---|---|---|
//! | [`photo`] | an image file | RGB pixels, upright |
//! | [`frame`] | pixels that you hold: size, stride, format | a checked [`FrameView`], not a copy |
//! | [`face::detector`] | a frame | boxes and landmarks (BlazeFace) |
//! | [`face::align`] | a frame and landmarks | the crop that the network takes, upright |
//! | [`model`] | a crop | logits, feature, score |
//! | [`uncertainty`] | feature and logits | the score; [`model`] calls it |
//! | [`abstain`] | a score | the label, or `Unsure` |
//!
//! A stream of frames goes through [`Session`], which adds:
//!
//! | step | takes | gives |
//! |---|---|---|
//! | [`track`] | each frame's faces | the same id for the same face |
//! | [`window`] | a track's features | a score that has seen this face before |
//! | [`steady`] | a track's probabilities | a label that does not flicker |
//!
//! Three types are loaded once and then only read, so that threads share them without a lock:
//! [`Engine`], [`Detector`](face::detector::Detector) and [`Model`].
//!
//! - Pixels of a camera: [`FrameView::new`] describes them where they are, then [`Session::process`]
//!   for a stream, [`Engine::predict`] for one picture.
//! - Face crops: [`Engine::predict_crops`] looks for no faces.
//! - Landmarks or boxes of another detector: [`Engine::predict_faces`].
//! - Threads, messages, the smallest face, the most faces: [`EngineBuilder`](engine::EngineBuilder).
//! - C and C++: `include/README.md` in the repository; the functions are in `ffi`.
//! - Another model: [`EngineBuilder::model_file`](engine::EngineBuilder::model_file). A model is one
//!   file, `NAME.dmue.onnx`, with classes, sizes and uncertainty inside; nothing here assumes a
//!   number of classes. [`model`] describes the file, `dmue-train` writes it.
//!
//! # Bad input
//!
//! Whatever comes from outside is checked once, where it comes in: frames, image files, model files,
//! options. It gives an [`Error`] whose message names the value, what was wrong with it and what to
//! do. No input makes a call panic.
//!
//! # What it does not do
//!
//! - It does not recognise people: a [`Session`] follows a face by where it is, and one that comes
//!   back later is a new face.
//! - It names the expression that a face shows, as the crowd that labelled the training pictures
//!   would. What a person feels cannot be read off it.
//! - Its detector is made for faces that look towards the camera: in profile they are often missed.
//!   Faces narrower than 20 pixels are left out unless the options say otherwise.
//! - The score is an estimate from faces like the training set's. Other cameras, lighting or ages may
//!   shift it: measure on pictures of your own before you rely on a threshold.
//! - It uses no GPU, and one thread a call unless
//!   [`EngineBuilder::threads`](engine::EngineBuilder::threads) allows more.
//!
//! # Features
//!
//! `cli` (default) builds the `dmue` command and its dependencies; a library user does without:
//! `dmue-edge = { version = "0.1", default-features = false }`. `capi` adds the C interface, from which
//! `bindings/c`, in the repository, makes a library.

pub mod abstain;
#[doc(hidden)]
pub mod bare;
pub mod engine;
pub mod error;
pub mod face;
#[cfg(feature = "capi")]
pub mod ffi;
pub mod frame;
mod kernels;
pub mod log;
pub mod model;
mod onnx;
#[doc(hidden)]
pub mod parallel;
pub mod photo;
mod resample;
pub mod session;
pub mod steady;
pub mod track;
pub mod uncertainty;
#[allow(unsafe_code, reason = "vector instructions")]
mod wide;
pub mod window;

pub use abstain::Answer;
pub use engine::{Engine, FrameResult, Prediction};
pub use error::{Error, Result};
pub use face::KnownFace;
pub use frame::{FrameView, PixelFormat};
pub use kernels::Kernels;
pub use log::LogLevel;
pub use model::Model;
pub use photo::Photo;
pub use session::{Session, SessionOptions, SessionResult, TrackedFace};
