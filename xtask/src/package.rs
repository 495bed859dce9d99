//! `dmue-edge` as the registry would have it: small enough, whole without this workspace, and right.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::tools;

/// What crates.io takes at most, in bytes.
const LIMIT: u64 = 10_000_000;
const PICTURE: &str = "examples/images/astronaut.png";
/// In the one line of `dmue predict --json` about the picture.
const EXPECTED: &str = "\"label\":\"happiness\"";

/// Makes the crate file of `dmue-edge`, checks its size, builds it in a folder that knows nothing of the
/// workspace, and has it answer a picture.
///
/// # Errors
/// The crate file is too large, does not build from what it holds, or answers wrongly.
pub fn package(workspace: &Path) -> Result<()> {
    let crate_file = make(workspace)?;
    let outside = tempfile::tempdir().context("cannot make a temporary folder")?;
    let source = unpack(&crate_file, outside.path())?;
    let program = build(&source, &workspace.join("target/packaged"))?;
    predict(&program, outside.path(), &workspace.join(PICTURE))
}

fn make(workspace: &Path) -> Result<PathBuf> {
    let folder = workspace.join("target/package");
    // What is not committed yet is packaged too: the check is for people who work on it.
    let mut cargo = tools::cargo();
    cargo
        .current_dir(workspace)
        .args(["package", "--package", "dmue-edge", "--no-verify", "--allow-dirty", "--target-dir"])
        .arg(workspace.join("target"));
    tools::run(&mut cargo)?;
    // Versions of the workspace's packages are one, and so are the files' names.
    let file = folder.join(concat!("dmue-edge-", env!("CARGO_PKG_VERSION"), ".crate"));
    let size = fs::metadata(&file)
        .with_context(|| format!("cargo package left no '{}'", file.display()))?
        .len();
    check_size(size)?;
    eprintln!("{}: {:.2} MB, {:.0} MB allowed", file.display(), megabytes(size), megabytes(LIMIT));
    Ok(file)
}

fn check_size(size: u64) -> Result<()> {
    ensure!(
        size < LIMIT,
        "the crate file has {:.2} MB and must have less than {:.0}: `cargo package --package dmue-edge \
         --list` shows what is in it, `exclude` in its Cargo.toml leaves things out",
        megabytes(size),
        megabytes(LIMIT)
    );
    Ok(())
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// The folder in `parent` that the crate file holds.
fn unpack(crate_file: &Path, parent: &Path) -> Result<PathBuf> {
    tools::run(Command::new("tar").arg("-xzf").arg(crate_file).arg("-C").arg(parent))?;
    let name = crate_file.file_stem().context("the crate file has no name")?;
    Ok(parent.join(name))
}

/// The `dmue` command of the package, of the dependencies that its own lock file names. Optimised a
/// little: that compiles faster than a release build, and without any tract would take minutes.
fn build(source: &Path, target: &Path) -> Result<PathBuf> {
    let mut cargo = tools::cargo();
    cargo
        .current_dir(source)
        .args(["build", "--locked", "--bin", "dmue", "--target-dir"])
        .arg(target)
        .env("CARGO_PROFILE_DEV_OPT_LEVEL", "1")
        .env("CARGO_PROFILE_DEV_DEBUG", "false");
    tools::run(&mut cargo)?;
    Ok(target.join("debug").join(format!("dmue{}", env::consts::EXE_SUFFIX)))
}

fn predict(program: &Path, folder: &Path, picture: &Path) -> Result<()> {
    let mut command = Command::new(program);
    command.current_dir(folder).args(["predict", "--json"]).arg(picture);
    let output =
        command.output().with_context(|| format!("cannot start '{}'", program.display()))?;
    let answer = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() || !answer.contains(EXPECTED) {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!("the packaged crate should say {EXPECTED} and said {answer}{complaint}");
    }
    eprintln!("the packaged crate builds and answers: {EXPECTED}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_file_at_the_limit_is_too_large() {
        check_size(LIMIT - 1).unwrap();
        let error = check_size(LIMIT).unwrap_err().to_string();
        assert!(error.contains("10.00 MB") && error.contains("exclude"), "{error}");
    }

    #[test]
    fn a_wrong_answer_is_shown() {
        let folder = env::temp_dir();
        let error = predict(Path::new("echo"), &folder, Path::new("x.png")).unwrap_err();
        assert!(error.to_string().contains("predict --json x.png"), "{error}");
    }
}
