//! What stands in a run's folder: config.toml, run.toml, log.jsonl, checkpoints/.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::run::Paths;
use crate::config::Config;
use crate::error::{Error, Result};

/// The folder of one run.
#[derive(Clone, Debug)]
pub struct RunFolder {
    root: PathBuf,
}

/// Where a run came from; ends up in the model's manifest.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunInfo {
    /// The command that started it.
    pub command: String,
    /// The source's commit, or "unknown".
    pub commit: String,
    /// Terms of the training data as the user stated them.
    pub licence: String,
    /// Its data.
    pub paths: Paths,
}

impl RunFolder {
    /// Makes the folder for a new run.
    ///
    /// # Errors
    /// A folder that already holds a run, or cannot be written.
    pub fn create(root: &Path, config: &Config, info: &RunInfo) -> Result<Self> {
        let folder = Self { root: root.into() };
        if folder.checkpoints().exists() {
            return Err(Error::Config(format!(
                "--out {}: holds a run already; go on with --resume or choose another folder",
                root.display()
            )));
        }
        fs::create_dir_all(root).map_err(|error| {
            let root = root.display();
            Error::Config(format!("--out {root}: {error}; choose a folder that can be written"))
        })?;
        write_whole(&root.join("config.toml"), config.to_toml()?.as_bytes())?;
        let info =
            toml::to_string_pretty(info).map_err(|error| Error::Config(error.to_string()))?;
        write_whole(&root.join("run.toml"), info.as_bytes())?;
        Ok(folder)
    }

    /// A folder that a run was started in.
    pub fn open(root: &Path) -> Self {
        Self { root: root.into() }
    }

    /// The run's settings.
    ///
    /// # Errors
    /// A folder that holds no run.
    pub fn config(&self) -> Result<Config> {
        Config::read(&self.root.join("config.toml"))
    }

    /// Where the run came from.
    ///
    /// # Errors
    /// A folder that holds no run.
    pub fn info(&self) -> Result<RunInfo> {
        let path = self.root.join("run.toml");
        let text = fs::read_to_string(&path).map_err(Error::file(&path))?;
        let fail = |error| Error::Config(format!("{}: {error}", path.display()));
        toml::from_str(&text).map_err(fail)
    }

    /// The folder of its checkpoints.
    pub fn checkpoints(&self) -> PathBuf {
        self.root.join("checkpoints")
    }

    /// Its log, a JSON object a line.
    pub fn log(&self) -> PathBuf {
        self.root.join("log.jsonl")
    }
}

impl RunInfo {
    /// The training data's name without its folder.
    pub fn data_name(&self) -> String {
        self.paths.data.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// Writes under a temporary name in the same folder, syncs, renames.
///
/// # Errors
/// A full disk or a folder that cannot be written.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let partial = path.with_extension("partial");
    let written = fs::File::create(&partial).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.and_then(|()| fs::rename(&partial, path)).map_err(Error::file(path))
}
