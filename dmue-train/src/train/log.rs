//! A JSON line per step window and epoch, appended to the run's log.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use serde_json::Value;

use crate::error::{Error, Result};

/// The open log of a run.
#[derive(Debug)]
pub struct Log {
    file: File,
}

impl Log {
    /// Opens for appending.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn open(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        Ok(Self { file: file.map_err(Error::file(path))? })
    }

    /// Appends one line.
    ///
    /// # Errors
    /// A full disk.
    pub fn write(&mut self, value: &Value) -> Result<()> {
        writeln!(self.file, "{value}").map_err(Error::file(Path::new("log.jsonl")))
    }
}
