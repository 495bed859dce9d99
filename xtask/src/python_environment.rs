//! Python environments with packages of their own, below `target/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::tools;

/// Makes `environment` a Python environment with the packages of `requirements` (the text of a
/// requirements file); does nothing where it already is one. The copy of `requirements` in it is written
/// last: it stands for a whole one.
///
/// # Errors
/// Python or its `venv` is missing, or a package cannot be had.
pub fn prepare(environment: &Path, requirements: &str) -> Result<()> {
    let installed = environment.join("requirements.txt");
    if fs::read_to_string(&installed).is_ok_and(|present| present == requirements) {
        return Ok(());
    }
    create(environment)?;
    let wanted = environment.join("wanted.txt");
    fs::write(&wanted, requirements)
        .with_context(|| format!("cannot write '{}'", wanted.display()))?;
    tools::run(pip_install(environment).arg("--requirement").arg(&wanted))?;
    fs::rename(&wanted, &installed)
        .with_context(|| format!("cannot write '{}'", installed.display()))
}

/// Makes `environment` anew, with nothing in it.
///
/// # Errors
/// Python or its `venv` is missing.
pub fn create(environment: &Path) -> Result<()> {
    tools::require(&tools::PYTHON)?;
    tools::require(&tools::VENV)?;
    tools::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(environment))
}

/// The command that installs what is named after it; nothing is compiled.
pub fn pip_install(environment: &Path) -> Command {
    let mut pip = Command::new(python(environment));
    pip.args(["-m", "pip", "--disable-pip-version-check", "install", "--quiet"])
        .args(["--only-binary", ":all:"]);
    pip
}

/// The environment's interpreter.
pub fn python(environment: &Path) -> PathBuf {
    environment.join("bin/python")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_of_the_same_packages_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let environment = folder.path().join("environment");
        fs::create_dir(&environment).unwrap();
        fs::write(environment.join("requirements.txt"), "numpy==2\n").unwrap();
        // Making it anew would clear the folder.
        fs::write(environment.join("kept"), "").unwrap();
        prepare(&environment, "numpy==2\n").unwrap();
        assert!(environment.join("kept").is_file());
    }
}
