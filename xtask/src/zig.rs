//! The library for another machine or an older C library, linked by zig (the Python packages `ziglang`
//! and `cargo-zigbuild`, in an environment of their own).

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{python_environment, tools};

/// The oldest glibc that what we hand out runs on: Debian 11's and JetPack 5's.
pub const GLIBC: &str = "2.31";

const REQUIREMENTS: &str = "cargo-zigbuild==0.24.1\nziglang==0.17.1\n";

/// zig and cargo-zigbuild in a folder; both are static programs and run in any root.
pub struct Zig {
    environment: PathBuf,
}

impl Zig {
    /// Fetches both into `target/zig-venv` where they lack.
    ///
    /// # Errors
    /// Python or its `venv` is missing, or the packages cannot be had.
    pub fn install(workspace: &Path) -> Result<Self> {
        let environment = workspace.join("target/zig-venv");
        python_environment::prepare(&environment, REQUIREMENTS)?;
        Ok(Self { environment })
    }

    pub fn cargo_zigbuild(&self) -> PathBuf {
        self.environment.join("bin/cargo-zigbuild")
    }

    /// The folder with the program `zig` and its library.
    ///
    /// # Errors
    /// The package does not hold it.
    pub fn folder(&self) -> Result<PathBuf> {
        let libraries = self.environment.join("lib");
        let versions = std::fs::read_dir(&libraries)
            .with_context(|| format!("cannot read '{}'", libraries.display()))?;
        versions
            .filter_map(|entry| Some(entry.ok()?.path().join("site-packages/ziglang")))
            .find(|folder| folder.join("zig").is_file())
            .with_context(|| format!("no zig in '{}': remove the folder", libraries.display()))
    }

    /// `zig cc` or `zig c++` for a target such as `aarch64-linux-gnu`, as words of a shell.
    ///
    /// # Errors
    /// As [`Self::folder`].
    pub fn compiler(&self, language: &str, target: &str) -> Result<String> {
        let zig = self.folder()?.join("zig");
        Ok(format!("{} {language} -target {target}.{GLIBC}", zig.display()))
    }
}

/// Builds `package` for `triple` as it ships with `cargo`, a command that runs cargo-zigbuild.
///
/// # Errors
/// The build fails.
pub fn build(cargo: &mut Command, package: &str, triple: &str) -> Result<()> {
    let target = format!("{triple}.{GLIBC}");
    cargo.args(["zigbuild", "--locked", "--package", package]);
    tools::run(cargo.args(["--profile", "dist", "--target", &target]))
}
