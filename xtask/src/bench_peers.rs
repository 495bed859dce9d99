//! The networks against other runtimes, in a Python environment of its own.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::c_program::release_build;
use crate::{python_environment, tools};

const PACKAGES: &str = "mnn==3.6.1
ncnn==1.0.20261020
numpy==2.4.6
onnx==1.23.2
onnxruntime==1.32.0
openvino==2026.4.1
";

/// A converter to ncnn's format. It names torch among what it needs, but only to trace torch's own models.
const CONVERTER: &str = "pnnx==20261020";

/// Runs `benches/bench_peers.py` with `arguments`.
///
/// # Errors
/// A tool is missing, the packages cannot be had, or the benchmark fails.
pub fn bench(workspace: &Path, arguments: &[OsString]) -> Result<()> {
    let environment = workspace.join("target/peers-venv");
    python_environment::prepare(&environment, PACKAGES)?;
    tools::run(python_environment::pip_install(&environment).args(["--no-deps", CONVERTER]))?;
    let program = release_build(workspace, ["--package", "dmue-benches"], "time_network")?;
    let mut script = Command::new(python_environment::python(&environment));
    script.arg(workspace.join("benches/bench_peers.py")).arg("--program").arg(program);
    tools::run(script.args(arguments))
}
