//! Puts a CPU libtorch together in a folder, so that it is either whole or not there.

use std::env::consts::{ARCH, OS};
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::libtorch::VERSION;
use crate::tools;
use crate::unpack::unpack;
use crate::wheel::{WHEELS, Wheel};

/// The wheel's libtorch.so needs the GPU libraries; this linker script stands in for it.
const LINKER_SCRIPT: &str = "INPUT(-ltorch_cpu)\n";

/// What tells a whole libtorch from a part of one.
const NEEDED: [&str; 7] = [
    "lib/libtorch.so",
    "lib/libtorch_cpu.so",
    "lib/libc10.so",
    "lib/libgomp.so.1",
    "lib/libcudart.so.13",
    "lib/libcupti.so.13",
    "include/torch/csrc/api/include/torch/torch.h",
];

/// Makes `folder` a CPU libtorch; does nothing where it already is one.
///
/// Works in `folder`.partial and renames at the end. A run that was cut short is taken up again
/// by the next: wheels that it brought whole are kept, the rest starts anew.
///
/// # Errors
/// The system is not supported, a tool is missing, a download fails, or the disk is full.
pub fn install(folder: &Path) -> Result<()> {
    if is_whole(folder) {
        return Ok(());
    }
    require_supported(OS, ARCH, cfg!(target_env = "gnu"))?;
    tools::require(&tools::PYTHON)?;
    tools::require(&tools::PIP)?;
    let _held_until_return = lock(&folder.with_extension("lock"))?;
    if is_whole(folder) {
        return Ok(()); // another process made it while this one waited
    }
    eprintln!("fetching a CPU libtorch {VERSION} (0.5 GB) into '{}'", folder.display());
    assemble(folder, |wheel, wheels| wheel.fetch(wheels))
}

fn assemble(folder: &Path, fetch: impl Fn(&Wheel, &Path) -> Result<PathBuf>) -> Result<()> {
    let partial = folder.with_extension("partial");
    let (wheels, tree) = (partial.join("wheels"), partial.join("tree"));
    remove(&tree)?;
    fs::create_dir_all(&wheels)
        .with_context(|| format!("cannot make the folder '{}'", wheels.display()))?;
    for wheel in &WHEELS {
        let path = fetch(wheel, &wheels)?;
        eprintln!("unpacking {}", wheel.file);
        unpack(&path, &tree)?;
    }
    fs::write(tree.join("lib/libtorch.so"), LINKER_SCRIPT)?;
    fs::write(tree.join("build-version"), version() + "\n")?;
    if let Some(missing) = first_missing(&tree) {
        bail!("the wheels hold no {missing}: the list in xtask/src/unpack.rs is out of date");
    }
    for file in NEEDED {
        File::open(tree.join(file))?.sync_all()?; // a rename must not outlive a power cut alone
    }
    remove(folder)?;
    fs::rename(&tree, folder)
        .with_context(|| format!("cannot move '{}' into place", folder.display()))?;
    remove(&partial)
}

fn is_whole(folder: &Path) -> bool {
    first_missing(folder).is_none()
        && fs::read_to_string(folder.join("build-version"))
            .is_ok_and(|line| line.trim() == version())
}

fn first_missing(folder: &Path) -> Option<&'static str> {
    NEEDED.into_iter().find(|file| !folder.join(file).is_file())
}

/// torch-sys compares the part before the plus sign with the version it was written for.
fn version() -> String {
    format!("{VERSION}+cpu")
}

fn require_supported(os: &str, arch: &str, gnu: bool) -> Result<()> {
    if (os, arch, gnu) == ("linux", "x86_64", true) {
        return Ok(());
    }
    let libc = if os == "linux" && !gnu { " without glibc" } else { "" };
    bail!(
        "a libtorch is fetched for linux x86_64 with glibc only, this is {os} {arch}{libc}. Only \
         dmue-train needs one: `cargo build` and `cargo test` work without. For dmue-train, set \
         LIBTORCH to the folder of a libtorch {VERSION}, or `python3 -m pip install \
         torch=={VERSION}` and set LIBTORCH_USE_PYTORCH=1"
    )
}

/// Two runs at once would unpack over each other. The lock ends with the process.
fn lock(path: &Path) -> Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let context = || format!("cannot lock '{}'", path.display());
    let file = File::create(path).with_context(context)?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => eprintln!("waiting for another `cargo xtask`"),
        Err(TryLockError::Error(error)) => return Err(error).with_context(context),
    }
    file.lock().with_context(context)?;
    Ok(file)
}

fn remove(folder: &Path) -> Result<()> {
    if folder.symlink_metadata().is_err() {
        return Ok(());
    }
    fs::remove_dir_all(folder).with_context(|| format!("cannot remove '{}'", folder.display()))
}

#[cfg(test)]
mod tests {
    use tempfile::{TempDir, tempdir};

    use super::*;
    use crate::unpack::tests::make_wheel;

    /// Stands in for pip: a small wheel with the entries that the real one has.
    fn fetch_small(wheel: &Wheel, wheels: &Path) -> Result<PathBuf> {
        let path = wheels.join(wheel.file);
        let entries: &[&str] = match wheel.requirement.split_once("==").unwrap().0 {
            "torch" => &[
                "torch/lib/libtorch_cpu.so",
                "torch/lib/libc10.so",
                "torch/lib/libgomp.so.1",
                "torch/include/torch/csrc/api/include/torch/torch.h",
            ],
            "nvidia-cuda-runtime" => &["nvidia/cu13/lib/libcudart.so.13"],
            _ => &["nvidia/cu13/lib/libcupti.so.13"],
        };
        make_wheel(&path, entries);
        Ok(path)
    }

    fn target() -> (TempDir, PathBuf) {
        let target = tempdir().unwrap();
        let folder = target.path().join("libtorch");
        (target, folder)
    }

    #[test]
    fn three_wheels_make_one_libtorch() {
        let (target, folder) = target();
        assert!(!is_whole(&folder));
        assemble(&folder, fetch_small).unwrap();
        assert!(is_whole(&folder));
        assert_eq!(fs::read_to_string(folder.join("build-version")).unwrap(), "2.11.0+cpu\n");
        let script = fs::read_to_string(folder.join("lib/libtorch.so")).unwrap();
        assert_eq!(script.trim(), "INPUT(-ltorch_cpu)");
        let left: Vec<_> = fs::read_dir(target.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "nothing but libtorch stays: {left:?}");
    }

    #[test]
    fn an_interrupted_run_leaves_no_libtorch_and_the_next_one_succeeds() {
        let (_target, folder) = target();
        let cut = assemble(&folder, |wheel, wheels| match wheel.requirement {
            "nvidia-cuda-cupti==13.0.85" => bail!("connection lost"),
            _ => fetch_small(wheel, wheels),
        });
        assert_eq!(cut.unwrap_err().to_string(), "connection lost");
        assert!(!folder.exists());
        let half_written = folder.with_extension("partial").join("tree/lib/libtorch_cpu.so");
        assert!(half_written.exists());
        fs::write(half_written.with_file_name("stale.so"), "").unwrap();
        assemble(&folder, fetch_small).unwrap();
        assert!(is_whole(&folder));
        assert!(!folder.join("lib/stale.so").exists());
    }

    #[test]
    fn a_libtorch_with_a_file_missing_or_of_another_version_is_made_anew() {
        let (_target, folder) = target();
        assemble(&folder, fetch_small).unwrap();
        fs::write(folder.join("build-version"), "2.10.0+cpu").unwrap();
        assert!(!is_whole(&folder));
        assemble(&folder, fetch_small).unwrap();
        for file in NEEDED {
            fs::remove_file(folder.join(file)).unwrap();
            assert!(!is_whole(&folder), "{file}");
            assemble(&folder, fetch_small).unwrap();
            assert!(is_whole(&folder), "{file}");
        }
    }

    #[test]
    fn a_wheel_without_a_needed_file_is_an_error() {
        let (_target, folder) = target();
        let message = assemble(&folder, |wheel, wheels| {
            let path = wheels.join(wheel.file);
            make_wheel(&path, &["torch/lib/libc10.so"]);
            Ok(path)
        })
        .unwrap_err();
        assert!(message.to_string().contains("lib/libtorch_cpu.so"), "{message}");
        assert!(!folder.exists());
    }

    #[test]
    fn other_systems_are_told_what_to_do() {
        require_supported("linux", "x86_64", true).unwrap();
        for (os, arch, gnu) in
            [("linux", "aarch64", true), ("macos", "aarch64", false), ("linux", "x86_64", false)]
        {
            let message = require_supported(os, arch, gnu).unwrap_err().to_string();
            assert!(message.contains(os) && message.contains("LIBTORCH_USE_PYTORCH=1"));
            assert_eq!(message.contains("without glibc"), os == "linux" && !gnu);
        }
    }
}
