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
    /// Opens for appending after `epochs` finished epochs; lines of later ones, and a line cut short,
    /// which a run left that was ended before it saved them, are dropped.
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
    let Ok(value) = serde_json::from_str::<Value>(line) else { return false };
    let epoch = value.get("epoch").and_then(Value::as_u64);
    line.ends_with('\n') && epoch.is_none_or(|epoch| epoch <= epochs as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lines_that_were_not_saved_or_are_cut_short_are_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        fs::write(&path, "{\"epoch\":1}\n{\"note\":true}\n{\"epoch\":2}\n{\"epoch\":3}\n{\"ep")
            .unwrap();
        Log::open(&path, 2).unwrap().write(&json!({"epoch": 3, "again": true})).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let expected =
            [r#"{"epoch":1}"#, r#"{"note":true}"#, r#"{"epoch":2}"#, r#"{"again":true,"epoch":3}"#];
        assert_eq!(lines, expected);
    }
}
