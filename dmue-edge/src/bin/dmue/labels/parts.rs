//! What is finished already: the folder `FILE.parts` beside the output, which outlives a killed run.
//!
//! It holds `run.json`, the settings and images of the run, and one Parquet file for each
//! [`PART_IMAGES`] images, which is there whole or not at all. Joining them makes the output.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::output::{naming, replace, with_suffix};

/// Images of a part: what is lost of the work when the run is killed, for each job.
const PART_IMAGES: usize = 64;

/// What the rows depend on, by name, as text: it is compared and shown, never computed with.
pub type Settings = BTreeMap<String, String>;

/// What a run is about.
#[derive(Serialize, Deserialize)]
pub struct Run {
    pub settings: Settings,
    /// Paths, sorted.
    pub images: Vec<String>,
}

/// A begun run. No other process has it at the same time.
pub struct Parts {
    folder: PathBuf,
    pub run: Run,
    /// Held open: the system frees the lock when the process ends, however it ends.
    _lock: File,
}

impl Parts {
    /// Begins `run` for the file `out`, or goes on with it where it was begun. Its images are then those
    /// of its beginning.
    ///
    /// # Errors
    /// `out` is there already, or a run with other settings was begun, unless `overwrite`; the folder is
    /// not ours; another process is at it; it cannot be written.
    pub fn open(out: &Path, run: Run, overwrite: bool) -> Result<Self, Box<dyn Error>> {
        let folder = with_suffix(out, ".parts");
        let is_there = folder.is_dir();
        if out.exists() && !is_there && !overwrite {
            return Err(format!(
                "{}: is there already: name another file, or replace it with --overwrite",
                out.display()
            )
            .into());
        }
        if !is_there {
            fs::create_dir(&folder).map_err(|error| naming(&folder, &error))?;
        }
        let lock = lock(&folder)?;
        let begun = if is_there { begun(&folder)? } else { None };
        let mut parts = Self { folder, run, _lock: lock };
        match begun {
            Some(begun) if begun.settings == parts.run.settings => parts.run.images = begun.images,
            Some(begun) if !overwrite => return Err(parts.refusal(&begun.settings).into()),
            _ => parts.begin()?,
        }
        Ok(parts)
    }

    /// How many parts the run has.
    pub fn count(&self) -> usize {
        self.run.images.len().div_ceil(PART_IMAGES)
    }

    /// The images of a part, as positions in [`Run::images`].
    pub fn images(&self, part: usize) -> std::ops::Range<usize> {
        let first = part * PART_IMAGES;
        first..(first + PART_IMAGES).min(self.run.images.len())
    }

    /// The part that an image belongs to.
    pub fn of_image(image: usize) -> usize {
        image / PART_IMAGES
    }

    pub fn is_done(&self, part: usize) -> bool {
        self.file(part).is_file()
    }

    /// Keeps a part's Parquet file for good.
    pub fn write(&self, part: usize, parquet: &[u8]) -> io::Result<()> {
        let file = self.file(part);
        replace(&file, parquet).map_err(|error| naming(&file, &error))
    }

    /// The files of all parts in order.
    pub fn files(&self) -> Vec<PathBuf> {
        (0..self.count()).map(|part| self.file(part)).collect()
    }

    /// Removes the folder; what it held stands in the output. `run.json` goes last, so that a removal
    /// that is cut short is still a run that can be gone on with.
    pub fn remove(self) -> io::Result<()> {
        self.remove_files()
            .and_then(|()| fs::remove_file(self.folder.join(RUN)))
            .and_then(|()| fs::remove_dir_all(&self.folder))
            .map_err(|error| naming(&self.folder, &error))
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn file(&self, part: usize) -> PathBuf {
        self.folder.join(format!("part-{part:06}.parquet"))
    }

    fn begin(&self) -> Result<(), Box<dyn Error>> {
        let file = self.folder.join(RUN);
        let written = self
            .remove_files()
            .and_then(|()| Ok(serde_json::to_vec(&self.run)?))
            .and_then(|json| replace(&file, &json));
        Ok(written.map_err(|error| naming(&file, &error))?)
    }

    fn remove_files(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with("part-") {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }

    fn refusal(&self, begun: &Settings) -> String {
        let names = begun.keys().chain(self.run.settings.keys());
        let value = |settings: &Settings, name| settings.get(name).cloned().unwrap_or_default();
        let mut differences: Vec<_> = names
            .filter(|name| begun.get(*name) != self.run.settings.get(*name))
            .map(|name| {
                format!("{name} {}, not {}", value(begun, name), value(&self.run.settings, name))
            })
            .collect();
        differences.sort();
        differences.dedup();
        format!(
            "{}: was begun with {}: go on with those options, or begin anew with --overwrite",
            self.folder.display(),
            differences.join("; ")
        )
    }
}

const RUN: &str = "run.json";
const LOCK: &str = "lock";

fn lock(folder: &Path) -> Result<File, Box<dyn Error>> {
    let path = folder.join(LOCK);
    let open = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = open.map_err(|error| naming(&path, &error))?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            Err(format!("{}: another process is at it: wait for it", folder.display()).into())
        }
        // Some file systems have no locks; the run is then the user's to keep alone.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(file),
    }
}

/// The run that was begun in `folder`; none in one that was made and left empty.
fn begun(folder: &Path) -> Result<Option<Run>, Box<dyn Error>> {
    let path = folder.join(RUN);
    match fs::read(&path) {
        Ok(json) => serde_json::from_slice(&json).map(Some).map_err(|error| {
            format!("{}: {error}: delete {} to begin anew", path.display(), folder.display()).into()
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let ours = [LOCK.into(), format!("{RUN}.part")];
            let names: io::Result<Vec<_>> =
                fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect();
            match names?.iter().find(|name| !ours.iter().any(|ours| name == &ours.as_str())) {
                None => Ok(None),
                Some(name) => Err(format!(
                    "{}: holds {} but no {RUN}, so it is no begun run: move it away",
                    folder.display(),
                    name.to_string_lossy()
                )
                .into()),
            }
        }
        Err(error) => Err(naming(&path, &error).into()),
    }
}
