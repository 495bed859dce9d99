//! The comparison with onnxruntime, in a Python environment of its own.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::tools;

/// Runs `benches/compare_onnxruntime.py` with `arguments`.
///
/// # Errors
/// A tool is missing, the packages cannot be had, or the answers differ.
pub fn compare(workspace: &Path, arguments: &[OsString]) -> Result<()> {
    let benches = workspace.join("benches");
    let environment = workspace.join("target/onnxruntime-venv");
    prepare(&environment, &benches.join("requirements.txt"))?;
    let mut script = Command::new(python(&environment));
    tools::run(script.arg(benches.join("compare_onnxruntime.py")).args(arguments))
}

/// Makes `environment` a Python environment with the packages of `requirements`; does nothing where
/// it already is one. The copy of `requirements` in it is written last: it stands for a whole one.
fn prepare(environment: &Path, requirements: &Path) -> Result<()> {
    let wanted = fs::read_to_string(requirements)
        .with_context(|| format!("cannot read '{}'", requirements.display()))?;
    let installed = environment.join("requirements.txt");
    if fs::read_to_string(&installed).is_ok_and(|present| present == wanted) {
        return Ok(());
    }
    tools::require(&tools::PYTHON)?;
    tools::require(&tools::VENV)?;
    tools::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(environment))?;
    let mut pip = Command::new(python(environment));
    pip.args(["-m", "pip", "--disable-pip-version-check", "install", "--quiet"])
        .args(["--only-binary", ":all:", "--requirement"])
        .arg(requirements);
    tools::run(&mut pip)?;
    fs::write(&installed, wanted).with_context(|| format!("cannot write '{}'", installed.display()))
}

fn python(environment: &Path) -> PathBuf {
    environment.join("bin/python")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_of_the_same_packages_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let requirements = folder.path().join("wanted.txt");
        let environment = folder.path().join("environment");
        fs::create_dir(&environment).unwrap();
        fs::write(&requirements, "numpy==2\n").unwrap();
        fs::write(environment.join("requirements.txt"), "numpy==2\n").unwrap();
        // Making it anew would clear the folder.
        fs::write(environment.join("kept"), "").unwrap();
        prepare(&environment, &requirements).unwrap();
        assert!(environment.join("kept").is_file());
    }

    #[test]
    fn missing_requirements_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing.txt");
        let error = prepare(&folder.path().join("environment"), &missing).unwrap_err();
        assert!(error.to_string().contains("missing.txt"), "{error}");
    }
}
