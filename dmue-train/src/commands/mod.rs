//! One file per subcommand: arguments, calls into the library, what a person reads.

pub mod bench;
pub mod calibrate;
pub mod compare;
pub mod data;
pub mod data_crop;
pub mod data_inspect;
pub mod distill;
pub mod eval;
pub mod export;
pub mod fit;
pub mod report;
pub mod stress;
