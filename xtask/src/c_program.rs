//! C programs, compiled against the header and a shared library that was just built.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::tools;

/// A folder with compiled programs and the library under the name by which they ask for it.
pub struct Workshop<'a> {
    workspace: &'a Path,
    folder: PathBuf,
    library: PathBuf,
    checks: Checks,
}

/// What checks the programs while they run.
#[derive(Default)]
pub struct Checks {
    /// Handed to the compiler.
    pub compile: Vec<OsString>,
    /// Handed to the linker: the same, or the checker's own library.
    pub link: Vec<OsString>,
}

impl<'a> Workshop<'a> {
    /// Makes `folder` anew, for programs that use `library`.
    ///
    /// # Errors
    /// No C compiler, or files that cannot be written.
    pub fn new(
        workspace: &'a Path,
        folder: PathBuf,
        library: &Path,
        checks: Checks,
    ) -> Result<Self> {
        tools::require(&tools::CC)?;
        let failed = || format!("cannot make '{}'", folder.display());
        tools::remove_folder(&folder)?;
        fs::create_dir_all(&folder).with_context(failed)?;
        let name = format!("libdmue_edge.so.{}", abi_version(workspace)?);
        let library = fs::canonicalize(library)
            .with_context(|| format!("'{}' was not built", library.display()))?;
        symlink(&library, folder.join(name)).with_context(failed)?;
        Ok(Self { workspace, folder, library, checks })
    }

    /// Compiles the source at `path` in the workspace; gives the program.
    ///
    /// # Errors
    /// It does not compile.
    pub fn compile(&self, path: &str) -> Result<PathBuf> {
        let source = self.workspace.join(path);
        let program = self.folder.join(source.file_stem().unwrap_or(OsStr::new("program")));
        let object = program.with_extension("o");
        let mut compile = compiler();
        compile
            .args(["-std=c99", "-D_POSIX_C_SOURCE=200809L", "-O1", "-g", "-pthread"])
            .args(["-Wall", "-Wextra", "-Werror", "-pedantic"])
            .args(&self.checks.compile)
            .arg("-I")
            .arg(self.workspace.join("include"))
            .arg("-c")
            .arg(&source)
            .arg("-o")
            .arg(&object);
        tools::run(&mut compile)?;
        let mut link = compiler();
        link.arg("-pthread")
            .arg(&object)
            .arg(&self.library)
            .arg(format!("-Wl,-rpath,{}", self.folder.display()))
            .args(&self.checks.link)
            .arg("-o")
            .arg(&program);
        tools::run(&mut link)?;
        Ok(program)
    }

    /// A picture of `examples/images` as raw red, green, blue in a file; its name, width and height.
    ///
    /// # Errors
    /// It cannot be decoded or written.
    pub fn portrait(&self) -> Result<[String; 3]> {
        let (pixels, width, height) = astronaut(self.workspace)?;
        let file = self.write("astronaut.rgb", pixels)?;
        Ok([file.display().to_string(), width.to_string(), height.to_string()])
    }

    /// The same as a binary PPM.
    ///
    /// # Errors
    /// As [`Workshop::portrait`].
    pub fn ppm(&self) -> Result<PathBuf> {
        self.write("astronaut.ppm", portrait_ppm(self.workspace)?)
    }

    /// A file for the programs; gives its path.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Result<PathBuf> {
        let file = self.folder.join(name);
        fs::write(&file, content).with_context(|| format!("cannot write '{}'", file.display()))?;
        Ok(file)
    }
}

fn compiler() -> Command {
    Command::new(env::var_os("CC").unwrap_or_else(|| "cc".into()))
}

/// Compiles the source at `path` in the workspace to a shared object in `folder`; gives the object.
///
/// # Errors
/// No C compiler, or it does not compile.
pub fn plugin(workspace: &Path, path: &str, folder: &Path) -> Result<PathBuf> {
    tools::require(&tools::CC)?;
    let source = workspace.join(path);
    let stem = source.file_stem().unwrap_or(OsStr::new("plugin"));
    let object = folder.join(stem).with_extension("so");
    let mut compile = compiler();
    compile.args(["-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]);
    tools::run(compile.arg(&source).arg("-o").arg(&object))?;
    Ok(object)
}

/// Builds the shared library for use, in release mode; gives its path.
///
/// # Errors
/// It does not compile.
pub fn release_library(workspace: &Path) -> Result<PathBuf> {
    release_build(workspace, ["--package", "dmue-edge-c"], "libdmue_edge.so")
}

/// What `cargo build --release` makes of `what`: the file of that name.
///
/// # Errors
/// It does not compile.
pub fn release_build(workspace: &Path, what: [&str; 2], file: &str) -> Result<PathBuf> {
    let mut build = tools::cargo();
    tools::run(build.current_dir(workspace).args(["build", "--release", "--locked"]).args(what))?;
    let target = env::var_os("CARGO_TARGET_DIR").map_or(workspace.join("target"), PathBuf::from);
    Ok(target.join("release").join(file))
}

/// A picture of `examples/images` as a binary PPM.
///
/// # Errors
/// It cannot be decoded.
pub fn portrait_ppm(workspace: &Path) -> Result<Vec<u8>> {
    let (pixels, width, height) = astronaut(workspace)?;
    let header = format!("P6\n{width} {height}\n255\n");
    Ok([header.as_bytes(), &pixels].concat())
}

/// The number in the library's name.
///
/// # Errors
/// The header cannot be read.
pub fn abi_version(workspace: &Path) -> Result<String> {
    let header = workspace.join("include/dmue_edge.h");
    let text = fs::read_to_string(&header)
        .with_context(|| format!("cannot read '{}'", header.display()))?;
    let line = text.lines().find_map(|line| line.strip_prefix("#define DMUE_ABI_VERSION "));
    let version = line.with_context(|| format!("no DMUE_ABI_VERSION in '{}'", header.display()))?;
    Ok(version.trim().to_owned())
}

fn astronaut(workspace: &Path) -> Result<(Vec<u8>, u32, u32)> {
    let file = workspace.join("examples/images/astronaut.png");
    let picture = image::open(&file)
        .with_context(|| format!("cannot read '{}'", file.display()))?
        .into_rgb8();
    let (width, height) = picture.dimensions();
    Ok((picture.into_raw(), width, height))
}
