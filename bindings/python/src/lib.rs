//! `dmue_edge._native`: the engine, sessions and frames of dmue-edge as Python classes. Results and
//! exceptions are plain Python, in `python/dmue_edge`.

mod engine;
mod error;
mod frame;
mod results;
mod session;

use pyo3::pymodule;

#[pymodule]
mod _native {
    #[pymodule_export]
    use crate::engine::Engine;
    #[pymodule_export]
    use crate::frame::Frame;
    #[pymodule_export]
    use crate::session::Session;

    /// The release of dmue-edge, as `1.2.3`.
    #[pymodule_export]
    #[allow(non_upper_case_globals, reason = "Python's name for it")]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
