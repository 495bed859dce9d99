//! The C interface: `include/dmue_edge.h` is generated from these files, and `include/README.md` says
//! what holds for every function.
//!
//! A function here checks its pointers, calls the crate once, writes its outputs and returns; its
//! whole body stands inside `boundary::status` or `boundary::value`, so no panic crosses into C.
//! Nothing else in the crate depends on this module.
#![allow(unsafe_code, reason = "C hands over pointers; each unsafe block states what C promised")]
#![allow(non_camel_case_types, reason = "the names that C programs see")]

mod boundary;
mod engine;
mod face;
mod frame;
mod log;
mod results;
mod session;
mod status;
mod structs;
mod version;

pub use engine::*;
pub use face::*;
pub use frame::*;
pub use log::*;
pub use session::*;
pub use status::*;
pub use version::*;
