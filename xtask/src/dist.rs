//! What a user installs, below `dist/`: a folder, its archive and a Debian package for each machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::arm::{self, Board};
use crate::c_program;
use crate::cargo_tools::{ABOUT, CYCLONEDX, DEB};
use crate::tools;
use crate::zig::{self, Zig};

const VERSION: &str = env!("CARGO_PKG_VERSION");
const DOCUMENTS: &str = "share/doc/dmue-edge";

/// Files that are taken as they are: where from, where to.
const FILES: &[(&str, &str)] = &[
    ("include/dmue_edge.h", "include/dmue_edge.h"),
    ("include/dmue_edge.hpp", "include/dmue_edge.hpp"),
    ("dmue-edge/models/edge.dmue.onnx", "share/dmue-edge/edge.dmue.onnx"),
    ("bindings/c/package/DmueEdgeConfig.cmake", "lib/cmake/DmueEdge/DmueEdgeConfig.cmake"),
    ("include/README.md", "share/doc/dmue-edge/README.md"),
    ("CHANGELOG.md", "share/doc/dmue-edge/CHANGELOG.md"),
    ("LICENSE-APACHE", "share/doc/dmue-edge/LICENSE-APACHE"),
    ("LICENSE-MIT", "share/doc/dmue-edge/LICENSE-MIT"),
    ("dmue-edge/models/README.md", "share/doc/dmue-edge/WEIGHTS.md"),
    ("dmue-edge/models/LICENSE-blazeface", "share/doc/dmue-edge/LICENSE-blazeface"),
    ("examples/c/classify.c", "share/doc/dmue-edge/examples/classify.c"),
    ("examples/c/stream.c", "share/doc/dmue-edge/examples/stream.c"),
    ("examples/c/webcam.c", "share/doc/dmue-edge/examples/webcam.c"),
    ("examples/c/y4m.h", "share/doc/dmue-edge/examples/y4m.h"),
];

/// Files with `@VERSION@` in them.
const TEMPLATES: &[(&str, &str)] = &[
    ("bindings/c/package/dmue-edge.pc.in", "lib/pkgconfig/dmue-edge.pc"),
    (
        "bindings/c/package/DmueEdgeConfigVersion.cmake.in",
        "lib/cmake/DmueEdge/DmueEdgeConfigVersion.cmake",
    ),
];

/// What the library is built for, by Debian's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Machine {
    /// 64-bit PCs.
    Amd64,
    /// 64-bit ARM: Raspberry Pi, Jetson.
    Arm64,
    /// 32-bit ARMv7 with NEON.
    Armhf,
}

impl Machine {
    pub fn architecture(self) -> &'static str {
        self.board().map_or("amd64", Board::architecture)
    }

    fn triple(self) -> &'static str {
        self.board().map_or("x86_64-unknown-linux-gnu", Board::triple)
    }

    fn board(self) -> Option<Board> {
        match self {
            Self::Amd64 => None,
            Self::Arm64 => Some(Board::Arm64),
            Self::Armhf => Some(Board::Armhf),
        }
    }
}

/// Builds, gathers and packs.
///
/// # Errors
/// A tool is missing, a build fails or a file cannot be written.
pub fn make(workspace: &Path, machines: &[Machine]) -> Result<()> {
    // The lists of licences and parts look at every machine's packages, not only at those built here.
    tools::fetch(workspace)?;
    for &machine in machines {
        let library = build(workspace, machine, "dmue-edge-c")?.join("libdmue_edge.so");
        arm::require_old_glibc(&library)?;
        let folder = gather(workspace, machine, &library)?;
        archive(&folder)?;
        debian_package(workspace, machine, &folder)?;
    }
    Ok(())
}

/// The benchmark of boards as one program, `dist/board_bench-ARCHITECTURE`.
///
/// # Errors
/// As [`make`].
pub fn board_bench(workspace: &Path, machines: &[Machine]) -> Result<()> {
    for &machine in machines {
        let program = build(workspace, machine, "board_bench")?.join("board_bench");
        arm::require_old_glibc(&program)?;
        let name = format!("board_bench-{}", machine.architecture());
        copy(&program, &workspace.join("dist").join(name))?;
    }
    Ok(())
}

/// The Debian package that [`make`] writes.
pub fn package(workspace: &Path, machine: Machine) -> PathBuf {
    let name = format!("dmue-edge_{VERSION}-1_{}.deb", machine.architecture());
    workspace.join("dist").join(name)
}

/// Builds a package; gives the folder of what it makes.
fn build(workspace: &Path, machine: Machine, package: &str) -> Result<PathBuf> {
    if let Some(board) = machine.board() {
        return arm::build(workspace, board, package);
    }
    let zig = Zig::install(workspace)?;
    let target = workspace.join("target/zig");
    let mut cargo = Command::new(zig.cargo_zigbuild());
    cargo.current_dir(workspace).env("CARGO_TARGET_DIR", &target);
    cargo.env("CARGO_ZIGBUILD_ZIG_PATH", zig.folder()?.join("zig"));
    zig::build(&mut cargo, package, machine.triple())?;
    Ok(target.join(machine.triple()).join("dist"))
}

/// Lays out `lib`, `include` and `share` in a folder made anew.
fn gather(workspace: &Path, machine: Machine, library: &Path) -> Result<PathBuf> {
    let name = format!("dmue-edge-{VERSION}-linux-{}", machine.architecture());
    let folder = workspace.join("dist").join(name);
    tools::remove_folder(&folder)?;
    for (from, to) in FILES {
        copy(&workspace.join(from), &folder.join(to))?;
    }
    for (from, to) in TEMPLATES {
        let text = read(&workspace.join(from))?.replace("@VERSION@", VERSION);
        write(&folder.join(to), &text)?;
    }
    let soname = format!("libdmue_edge.so.{}", c_program::abi_version(workspace)?);
    copy(library, &folder.join("lib").join(&soname))?;
    let link = folder.join("lib/libdmue_edge.so");
    std::os::unix::fs::symlink(soname, &link)
        .with_context(|| format!("cannot make '{}'", link.display()))?;
    list_licences(workspace, machine, &folder)?;
    list_parts(workspace, machine, &folder)?;
    Ok(folder)
}

/// The licences of everything that the library is linked from.
fn list_licences(workspace: &Path, machine: Machine, folder: &Path) -> Result<()> {
    let package = workspace.join("bindings/c");
    tools::run(
        Command::new(ABOUT.install(workspace)?)
            .args(["generate", "--offline", "--fail", "--target", machine.triple()])
            .arg("--manifest-path")
            .arg(package.join("Cargo.toml"))
            .arg("--config")
            .arg(package.join("package/about.toml"))
            .arg("--output-file")
            .arg(folder.join(DOCUMENTS).join("THIRD-PARTY.txt"))
            .arg(package.join("package/third-party.hbs")),
    )
}

/// The software bill of materials, CycloneDX. cargo-cyclonedx writes one beside every manifest.
fn list_parts(workspace: &Path, machine: Machine, folder: &Path) -> Result<()> {
    let name = "dmue-edge-sbom.cdx";
    let done = tools::run(
        Command::new(CYCLONEDX.install(workspace)?)
            .args(["cyclonedx", "--format", "json", "--no-build-deps", "--target"])
            .args([machine.triple(), "--override-filename", name, "--manifest-path"])
            .arg(workspace.join("bindings/c/Cargo.toml")),
    );
    let file = format!("{name}.json");
    let wanted = workspace.join("bindings/c").join(&file);
    let kept = done.and_then(|()| copy(&wanted, &folder.join(DOCUMENTS).join(&file)));
    for parent in ["", "bindings", "examples"].map(|folder| workspace.join(folder)) {
        for entry in fs::read_dir(&parent)?.flatten() {
            // Where there is none, there is nothing to remove.
            fs::remove_file(entry.path().join(&file)).ok();
        }
    }
    kept
}

fn archive(folder: &Path) -> Result<()> {
    let (Some(parent), Some(name)) = (folder.parent(), folder.file_name()) else { return Ok(()) };
    let archive = folder.with_added_extension("tar.gz");
    tools::run(
        Command::new("tar")
            .args(["--create", "--gzip", "--owner=0", "--group=0", "--directory"])
            .arg(parent)
            .arg("--file")
            .arg(archive)
            .arg(name),
    )
}

/// `bindings/c/Cargo.toml` takes the files from `target/deb`.
fn debian_package(workspace: &Path, machine: Machine, folder: &Path) -> Result<()> {
    let staged = workspace.join("target/deb");
    tools::remove_folder(&staged)?;
    tools::run(Command::new("cp").arg("--archive").arg(folder).arg(&staged))?;
    tools::run(
        Command::new(DEB.install(workspace)?)
            .args(["--no-build", "--no-strip", "--no-separate-debug-symbols", "--target"])
            .arg(machine.triple())
            .arg("--manifest-path")
            .arg(workspace.join("bindings/c/Cargo.toml"))
            .arg("--output")
            .arg(package(workspace, machine)),
    )
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read '{}'", path.display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    make_parent(path)?;
    fs::write(path, text).with_context(|| format!("cannot write '{}'", path.display()))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    make_parent(to)?;
    fs::copy(from, to)
        .with_context(|| format!("cannot copy '{}' to '{}'", from.display(), to.display()))?;
    Ok(())
}

fn make_parent(path: &Path) -> Result<()> {
    let Some(parent) = path.parent() else { return Ok(()) };
    fs::create_dir_all(parent).with_context(|| format!("cannot make '{}'", parent.display()))
}
