//! A JSON line per epoch, appended to the run's log.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::folder::write_whole;
use crate::error::{Error, Result};

/// The open log of a run.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    /// Opens for appending after `epochs` finished epochs; lines of later ones, which a run left that
    /// was ended before it saved them, are dropped.
    ///
    /// # Errors
    /// A file that cannot be read or written.
    pub fn open(path: &Path, epochs: usize) -> Result<Self> {
        let text = match fs::read(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(vec![]),
            read => read.map_err(Error::file(path)),
        }?;
        let text = String::from_utf8_lossy(&text);
        let kept: String =
            text.split_inclusive('\n').filter(|line| is_finished(line, epochs)).collect();
        if kept != text {
            write_whole(path, kept.as_bytes())?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path);
        Ok(Self { path: path.into(), file: file.map_err(Error::file(path))? })
    }

    /// Appends one line in one piece.
    ///
    /// # Errors
    /// A full disk.
    pub fn write(&mut self, value: &Value) -> Result<()> {
        let line = format!("{value}\n");
        self.file.write_all(line.as_bytes()).map_err(Error::file(&self.path))
    }
}

fn is_finished(line: &str, epochs: usize) -> bool {
    let value: Option<Value> = serde_json::from_str(line).ok();
    let epoch = value.and_then(|value| value.get("epoch")?.as_u64());
    line.ends_with('\n') && epoch.is_some_and(|epoch| epoch <= epochs as u64)
}
