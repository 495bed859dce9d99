//! The shared library for ARM boards, built and tried on this machine: every C program of the tests and
//! examples runs against it under qemu, in the C library of Debian 11.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::root::{self, Inside, Recipe};
use crate::tools::{self, Tool};
use crate::zig::{self, GLIBC, Zig};

/// The machines that the library is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Board {
    /// 64 bits: Raspberry Pi OS 64-bit, Jetson.
    Arm64,
    /// 32 bits, ARMv7 with NEON: Raspberry Pi OS 32-bit.
    Armhf,
}

impl Board {
    /// Debian's name of the architecture.
    pub fn architecture(self) -> &'static str {
        match self {
            Self::Arm64 => "arm64",
            Self::Armhf => "armhf",
        }
    }

    /// Rust's name.
    pub fn triple(self) -> &'static str {
        match self {
            Self::Arm64 => "aarch64-unknown-linux-gnu",
            Self::Armhf => "armv7-unknown-linux-gnueabihf",
        }
    }

    fn zig_target(self) -> &'static str {
        match self {
            Self::Arm64 => "aarch64-linux-gnu",
            Self::Armhf => "arm-linux-gnueabihf",
        }
    }

    fn qemu(self) -> &'static Tool {
        match self {
            Self::Arm64 => &tools::QEMU_ARM64,
            Self::Armhf => &tools::QEMU_ARMHF,
        }
    }
}

/// Builds the library for each board and runs the tests of the C interface against it.
///
/// # Errors
/// A tool is missing, a build or a test fails, or the library asks for a newer glibc than [`GLIBC`].
pub fn check(workspace: &Path, boards: &[Board]) -> Result<()> {
    for &board in boards {
        let library = build(workspace, board, "dmue-edge-c")?.join("libdmue_edge.so");
        require_old_glibc(&library)?;
        run_tests(workspace, board, &library)?;
        eprintln!("{}: {} passed", board.architecture(), library.display());
    }
    Ok(())
}

/// Builds a package, as it ships, with the Rust of a Debian that has the boards' standard libraries, and
/// gives the folder of what it makes.
///
/// # Errors
/// A tool is missing or the build fails.
pub fn build(workspace: &Path, board: Board, package: &str) -> Result<PathBuf> {
    let zig = Zig::install(workspace)?;
    let folder = workspace.join("target/arm");
    let build_root = folder.join("rust");
    root::make(
        &build_root,
        &Recipe {
            // The first release whose Rust for armhf and arm64 is new enough without backports.
            suite: "forky",
            architectures: &["amd64", "arm64", "armhf"],
            packages: &[
                "ca-certificates",
                "gcc",
                "libc6-dev",
                "rustc",
                "cargo",
                "libstd-rust-dev:arm64",
                "libstd-rust-dev:armhf",
            ],
            variant: "apt",
        },
    )?;
    tools::fetch(workspace)?;
    let target = folder.join("target");
    let mut inside = Inside::new(&build_root)
        .read_only(workspace, "/project")
        // cargo-zigbuild adds headers that zig lacks.
        .writable(&zig.folder()?, "/zig")?
        .read_only(&zig.cargo_zigbuild(), "/usr/bin/cargo-zigbuild")
        .writable(&cargo_home()?.join("registry"), "/cargo/registry")?
        .writable(&folder.join("zig-cache"), "/cache")?
        .writable(&target, "/target")?
        .variable("CARGO_HOME", "/cargo")
        .variable("CARGO_NET_OFFLINE", "true")
        .variable("CARGO_TARGET_DIR", "/target")
        .variable("CARGO_ZIGBUILD_ZIG_PATH", "/zig/zig")
        .variable("XDG_CACHE_HOME", "/cache")
        .program("/project", "cargo");
    zig::build(&mut inside, package, board.triple())?;
    Ok(target.join(board.triple()).join("dist"))
}

fn cargo_home() -> Result<PathBuf> {
    let home = || Some(PathBuf::from(env::var_os("HOME")?).join(".cargo"));
    env::var_os("CARGO_HOME").map(PathBuf::from).or_else(home).context("HOME is not set")
}

/// The tests of `bindings/c`, with compilers and an emulator for the board.
fn run_tests(workspace: &Path, board: Board, library: &Path) -> Result<()> {
    tools::require(board.qemu())?;
    let system = workspace.join("target/arm").join(board.architecture());
    root::make(
        &system,
        &Recipe {
            suite: "bullseye", // glibc 2.31
            architectures: &[board.architecture()],
            packages: &["libc6", "libgcc-s1"],
            variant: "extract",
        },
    )?;
    let zig = Zig::install(workspace)?;
    let emulator = board.qemu().program();
    // The whole workspace, as in every other test run: alone, the package would have tract compiled anew.
    let mut tests = crate::test_command()?;
    tests.args(["--locked", "--test", "c_abi"]);
    tests.env("DMUE_TEST_LIBRARY", library);
    tests.env("DMUE_TEST_CC", zig.compiler("cc", board.zig_target())?);
    tests.env("DMUE_TEST_CXX", zig.compiler("c++", board.zig_target())?);
    tests.env("DMUE_TEST_RUNNER", format!("{emulator} -L {}", system.display()));
    tools::run(&mut tests)
}

/// Looks at the versions of the symbols that the library wants.
///
/// # Errors
/// It wants a newer glibc than [`GLIBC`].
pub fn require_old_glibc(library: &Path) -> Result<()> {
    let output = Command::new("objdump")
        .arg("-T")
        .arg(library)
        .output()
        .context("objdump does not run: install binutils")?;
    let newest = newest_glibc(&String::from_utf8_lossy(&output.stdout));
    let newest = newest.with_context(|| format!("no glibc symbol in '{}'", library.display()))?;
    eprintln!("{}: needs glibc {}.{}", library.display(), newest.0, newest.1);
    if newest > version(GLIBC).unwrap_or_default() {
        bail!("'{}' needs glibc {}.{}, newer than {GLIBC}", library.display(), newest.0, newest.1);
    }
    Ok(())
}

fn newest_glibc(symbols: &str) -> Option<(u32, u32)> {
    symbols
        .split("GLIBC_")
        .skip(1)
        .filter_map(|rest| version(rest.split(|c: char| !c.is_ascii_digit() && c != '.').next()?))
        .max()
}

fn version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split('.').map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_wanted_glibc_is_found() {
        let table =
            "0 DF *UND* 0 (GLIBC_2.17) memcpy\n0 DF *UND* 0 (GLIBC_2.4) x\n0 GLIBC_PRIVATE y";
        assert_eq!(newest_glibc(table), Some((2, 17)));
        assert!(newest_glibc(table) < version(GLIBC));
        assert_eq!(newest_glibc("nothing"), None);
    }
}
