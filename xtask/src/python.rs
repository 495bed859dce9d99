//! The Python wheel: built, installed into a fresh environment, and tested there.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{python_environment, tools};

/// What builds the wheel.
const MATURIN: &str = "maturin==1.16.0\n";

/// Builds the wheel in release, installs it with what its tests need into an environment that holds
/// nothing else, and runs the tests there: those in Python with `arguments` for pytest, and the
/// questions that every door is asked.
///
/// # Errors
/// A tool is missing, a package cannot be had, or a test fails.
pub fn test(workspace: &Path, arguments: &[OsString]) -> Result<()> {
    let tests = workspace.join("bindings/python/tests");
    let wheel = build(workspace)?;
    let environment = workspace.join("target/python/test-venv");
    let python = install(&environment, &wheel, &tests.join("requirements.txt"))?;
    let mut pytest = Command::new(&python);
    // The tests' folder is left without caches.
    pytest.args(["-B", "-m", "pytest", "-p", "no:cacheprovider"]).arg(&tests).args(arguments);
    tools::run(&mut pytest)?;
    let mut replay = tools::cargo();
    replay
        .args(["test", "--release", "--package", "dmue-edge-python"])
        .env("DMUE_PYTHON", python)
        .current_dir(workspace);
    tools::run(&mut replay)
}

/// Checks the labelling of `images`, a Parquet file of faces, by two Ray workers.
///
/// # Errors
/// As [`test()`].
pub fn check_ray(workspace: &Path, images: &Path) -> Result<()> {
    if !images.is_file() {
        bail!("no file '{}': name a Parquet file with a column `image`", images.display());
    }
    let wheel = build(workspace)?;
    let examples = workspace.join("examples");
    let environment = workspace.join("target/python/ray-venv");
    let python = install(&environment, &wheel, &examples.join("ray_requirements.txt"))?;
    tools::run(Command::new(python).arg("-B").arg(examples.join("ray_check.py")).arg(images))
}

/// The wheel for this system.
fn build(workspace: &Path) -> Result<PathBuf> {
    let environment = workspace.join("target/python/maturin-venv");
    python_environment::prepare(&environment, MATURIN)?;
    let wheels = workspace.join("target/python/wheels");
    tools::remove_folder(&wheels)?;
    let mut maturin = Command::new(environment.join("bin/maturin"));
    maturin.args(["build", "--release", "--locked", "--manifest-path"]);
    maturin.arg(workspace.join("bindings/python/Cargo.toml")).arg("--out").arg(&wheels);
    tools::run(&mut maturin)?;
    only_wheel(&wheels)
}

fn only_wheel(folder: &Path) -> Result<PathBuf> {
    let files = fs::read_dir(folder)
        .with_context(|| format!("cannot read '{}'", folder.display()))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?;
    match &files[..] {
        [wheel] => Ok(wheel.clone()),
        _ => bail!("{} files in '{}' where one wheel belongs", files.len(), folder.display()),
    }
}

/// Makes `environment` anew with nothing but `requirements` and the wheel; gives its interpreter.
fn install(environment: &Path, wheel: &Path, requirements: &Path) -> Result<PathBuf> {
    python_environment::create(environment)?;
    let mut pip = python_environment::pip_install(environment);
    tools::run(pip.arg("--requirement").arg(requirements).arg(wheel))?;
    Ok(python_environment::python(environment))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wheel_is_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let message = only_wheel(folder.path()).unwrap_err().to_string();
        assert!(message.starts_with("0 files"), "{message}");
        let wheel = folder.path().join("a.whl");
        fs::write(&wheel, "").unwrap();
        assert_eq!(only_wheel(folder.path()).unwrap(), wheel);
        fs::write(folder.path().join("b.whl"), "").unwrap();
        assert!(only_wheel(folder.path()).is_err());
    }

    #[test]
    fn missing_images_are_named() {
        let error = check_ray(Path::new("/nowhere"), Path::new("/nowhere/faces.parquet"));
        let message = error.unwrap_err().to_string();
        assert!(message.contains("/nowhere/faces.parquet"), "{message}");
    }
}
