//! Executed instructions of the networks on ARM processors, counted in an emulator: no board is needed.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::arm::{self, Board};
use crate::root::{self, Recipe};
use crate::{c_program, python_environment, tools};

/// For the script on this machine.
const HERE: &str = "numpy==2.4.6\nonnx==1.23.2\n";

/// For the emulated machine; its Python is Debian 13's.
const THERE: [&str; 2] = ["numpy==2.4.6", "onnxruntime==1.32.0"];

/// Runs `benches/count_instructions.py` with `arguments`.
///
/// # Errors
/// A tool or package is missing, a build fails, or the counts cannot be trusted.
pub fn count(workspace: &Path, arguments: &[OsString]) -> Result<()> {
    tools::require(&tools::QEMU_PLUGINS)?;
    let folder = workspace.join("target/instructions");
    let environment = folder.join("venv");
    python_environment::prepare(&environment, HERE)?;
    let root = python_root(&folder)?;
    let packages = packages(&folder, &environment)?;
    let plugin = c_program::plugin(workspace, "benches/count_instructions.c", &folder)?;
    let program = arm::build(workspace, Board::Arm64, "dmue-benches")?.join("time_network");
    let mut script = Command::new(python_environment::python(&environment));
    script.arg(workspace.join("benches/count_instructions.py"));
    script.arg("--program").arg(program).arg("--plugin").arg(plugin);
    script.arg("--root").arg(root).arg("--packages").arg(packages);
    tools::run(script.args(arguments))
}

/// A Debian for the emulated machine, with Python and what onnxruntime is linked with.
fn python_root(folder: &Path) -> Result<PathBuf> {
    let root = folder.join("root");
    root::make(
        &root,
        &Recipe {
            suite: "trixie", // Python 3.13
            architectures: &[Board::Arm64.architecture()],
            // base-files has the link /lib.
            packages: &["base-files", "python3", "libstdc++6", "libgcc-s1"],
            variant: "extract",
        },
    )?;
    Ok(root)
}

/// The wheels of the emulated machine, unpacked into a folder that bears their versions.
fn packages(folder: &Path, environment: &Path) -> Result<PathBuf> {
    let done = folder.join(THERE.join("+"));
    if done.is_dir() {
        return Ok(done);
    }
    let unfinished = folder.join("packages.unfinished");
    tools::remove_folder(&unfinished)?;
    let mut pip = python_environment::pip_install(environment);
    pip.args(["--python-version", "3.13", "--implementation", "cp"]);
    for glibc in ["2_28", "2_27", "2_17"] {
        pip.arg("--platform").arg(format!("manylinux_{glibc}_aarch64"));
    }
    tools::run(
        pip.args(["--platform", "manylinux2014_aarch64", "--target"]).arg(&unfinished).args(THERE),
    )?;
    fs::rename(&unfinished, &done).with_context(|| format!("cannot make '{}'", done.display()))?;
    Ok(done)
}
