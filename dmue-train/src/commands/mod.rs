//! One file per subcommand: arguments, calls into the library, what a person reads.

pub mod calibrate;
pub mod eval;
pub mod export;
pub mod fit;
