//! The Python wheels that hold libtorch: pinned by SHA-256, fetched by pip.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use crate::tools;

/// One wheel file.
pub struct Wheel {
    pub requirement: &'static str,
    pub file: &'static str,
    /// Lower-case hexadecimal.
    pub sha256: &'static str,
}

/// torch, and the two small CUDA libraries that its CPU part links; 0.5 GB in all.
pub const WHEELS: [Wheel; 3] = [
    Wheel {
        requirement: "torch==2.11.0",
        file: "torch-2.11.0-cp312-cp312-manylinux_2_28_x86_64.whl",
        sha256: "0f68f4ac6d95d12e896c3b7a912b5871619542ec54d3649cf48cc1edd4dd2756",
    },
    Wheel {
        requirement: "nvidia-cuda-runtime==13.0.96",
        file: "nvidia_cuda_runtime-13.0.96-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
        sha256: "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
    },
    Wheel {
        requirement: "nvidia-cuda-cupti==13.0.85",
        file: "nvidia_cuda_cupti-13.0.85-py3-none-manylinux_2_25_x86_64.whl",
        sha256: "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8",
    },
];

/// One wheel serves every Python, for only the C++ libraries are taken out of it: so any `python3`
/// may fetch the wheel of CPython 3.12.
const TARGET: [&str; 12] = [
    "--python-version",
    "3.12",
    "--implementation",
    "cp",
    "--abi",
    "cp312",
    "--platform",
    "manylinux_2_28_x86_64",
    "--platform",
    "manylinux_2_25_x86_64",
    "--platform",
    "manylinux2014_x86_64",
];

impl Wheel {
    /// Downloads the wheel into `folder`, unless a sound copy from an earlier run lies there.
    ///
    /// # Errors
    /// pip fails, or what it brought is not the pinned file.
    pub fn fetch(&self, folder: &Path) -> Result<PathBuf> {
        let path = folder.join(self.file);
        if self.is_sound(&path)? {
            return Ok(path);
        }
        let scratch = folder.join("pip");
        empty(&scratch)?;
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "--disable-pip-version-check", "download", "--no-deps"])
            .args(["--only-binary", ":all:"])
            .args(TARGET)
            .arg("--dest")
            .arg(folder)
            .arg(self.requirement)
            // What a killed pip leaves behind is swept away by the next run.
            .env("TMPDIR", scratch);
        tools::run(&mut pip).context("download failed; run the same command again to go on")?;
        if !self.is_sound(&path)? {
            bail!(
                "pip brought no file '{}' with SHA-256 {}: the download was damaged or the package \
                 index serves another file; `python3 -m pip cache purge`, then try again",
                self.file,
                self.sha256
            );
        }
        Ok(path)
    }

    /// Whether `path` is the pinned file; a file that is not is deleted.
    fn is_sound(&self, path: &Path) -> Result<bool> {
        if !path.is_file() {
            return Ok(false);
        }
        let found = sha256(path).with_context(|| format!("cannot read '{}'", path.display()))?;
        if found != self.sha256 {
            eprintln!(
                "'{}' has SHA-256 {found} instead of {}: deleted",
                path.display(),
                self.sha256
            );
            fs::remove_file(path)?;
            return Ok(false);
        }
        Ok(true)
    }
}

fn empty(folder: &Path) -> Result<()> {
    let context = || format!("cannot empty '{}'", folder.display());
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(context)?;
    }
    fs::create_dir_all(folder).with_context(context)
}

/// The file's SHA-256 in lower-case hexadecimal.
fn sha256(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            count => hasher.update(&buffer[..count]),
        }
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 180-2, appendix B.1.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    const WHEEL: Wheel = Wheel { requirement: "abc==1", file: "abc-1.whl", sha256: ABC };

    #[test]
    fn a_sound_file_of_an_earlier_run_is_taken_without_pip() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(WHEEL.file);
        fs::write(&path, "abc").unwrap();
        assert_eq!(WHEEL.fetch(folder.path()).unwrap(), path);
    }

    #[test]
    fn a_damaged_file_is_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(WHEEL.file);
        for damaged in ["", "ab", "abd", "abcabc"] {
            fs::write(&path, damaged).unwrap();
            assert!(!WHEEL.is_sound(&path).unwrap(), "{damaged}");
            assert!(!path.exists(), "{damaged}");
        }
        assert!(!WHEEL.is_sound(&path).unwrap());
    }

    #[test]
    fn every_chunk_of_a_large_file_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("million");
        fs::write(&path, vec![b'a'; 1_000_000 * 2]).unwrap();
        let two_million = sha256(&path).unwrap();
        fs::write(&path, vec![b'a'; 1_000_000]).unwrap();
        // FIPS 180-2, appendix B.3.
        let million = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";
        assert_eq!(sha256(&path).unwrap(), million);
        assert_ne!(two_million, million);
    }

    #[test]
    fn every_pinned_wheel_is_named_as_its_requirement() {
        for wheel in WHEELS {
            let (name, version) = wheel.requirement.split_once("==").unwrap();
            let start = format!("{}-{version}-", name.replace('-', "_"));
            assert!(wheel.file.starts_with(&start), "{}", wheel.file);
            assert_eq!(wheel.sha256.len(), 64);
            assert!(wheel.sha256.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)));
        }
        assert_eq!(WHEELS[0].requirement, format!("torch=={}", crate::libtorch::VERSION));
    }
}
