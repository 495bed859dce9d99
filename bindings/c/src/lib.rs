//! `libdmue_edge`: nothing but dmue-edge with its C interface, which is in `dmue-edge/src/ffi`.

pub use dmue::*;
