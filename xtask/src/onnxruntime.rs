//! The comparison with onnxruntime, in a Python environment of its own.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{python_environment, tools};

/// Runs `benches/compare_onnxruntime.py` with `arguments`.
///
/// # Errors
/// A tool is missing, the packages cannot be had, or the answers differ.
pub fn compare(workspace: &Path, arguments: &[OsString]) -> Result<()> {
    let benches = workspace.join("benches");
    let environment = workspace.join("target/onnxruntime-venv");
    let requirements = benches.join("requirements.txt");
    let packages = fs::read_to_string(&requirements)
        .with_context(|| format!("cannot read '{}'", requirements.display()))?;
    python_environment::prepare(&environment, &packages)?;
    let mut script = Command::new(python_environment::python(&environment));
    tools::run(script.arg(benches.join("compare_onnxruntime.py")).args(arguments))
}
