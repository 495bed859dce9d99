//! The Debian package as a user meets it: installed into a Debian that never saw this workspace.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::c_program;
use crate::dist::{self, Machine};
use crate::root::{self, Recipe};
use crate::tools;

/// Installs the package in a clean root, builds the C example against it with pkg-config and with CMake,
/// and has both look at a picture. Roots of other machines need their emulator registered with the kernel
/// (Debian's `qemu-user-static` and `binfmt-support` do that) and `arch-test`.
///
/// # Errors
/// There is no package or no root, or a step in it fails.
pub fn check(workspace: &Path, machines: &[Machine]) -> Result<()> {
    for &machine in machines {
        let package = dist::package(workspace, machine);
        if !package.is_file() {
            bail!("'{}' is not there: run `cargo xtask dist`", package.display());
        }
        let root = fresh_root(workspace, machine)?;
        fs::copy(&package, root.join("package.deb"))
            .with_context(|| format!("cannot copy '{}'", package.display()))?;
        let outside = workspace.join("bindings/c/package/outside");
        tools::run(Command::new("cp").arg("--recursive").arg(outside).arg(&root))?;
        fs::write(root.join("picture.ppm"), c_program::portrait_ppm(workspace)?)
            .with_context(|| format!("cannot write into '{}'", root.display()))?;
        let words = ["sh", "/outside/try.sh"];
        tools::run(Command::new("chroot").arg(&root).args(words))?;
    }
    Ok(())
}

/// A copy of a Debian with compilers, so that each check starts clean.
fn fresh_root(workspace: &Path, machine: Machine) -> Result<PathBuf> {
    if machine != Machine::Amd64 {
        tools::require(&tools::ARCH_TEST)?;
    }
    let folder = workspace.join("target/roots");
    let clean = folder.join(format!("clean-{}", machine.architecture()));
    root::make(
        &clean,
        &Recipe {
            suite: "trixie",
            architectures: &[machine.architecture()],
            packages: &["gcc", "libc6-dev", "make", "cmake", "pkgconf"],
            variant: "apt",
        },
    )?;
    let used = folder.join("used");
    tools::remove_folder(&used)?;
    tools::run(Command::new("cp").args(["--archive", "--reflink=auto"]).arg(&clean).arg(&used))?;
    Ok(used)
}
