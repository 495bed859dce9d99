//! What lies at a path: the published sets are recognised by their files (`dmue-train/DATA.md`).

use std::path::{Path, PathBuf};

use super::dataset::Source;
use super::sample::CropSpec;
use super::split::{self, Split};
use super::{affectnet_arrays, affectnet_list, ferplus_csv, folder, list, pack, raf_db, table};
use crate::error::{Error, Result};

/// A readable part of a data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The FERPlus Parquet pack.
    Pack {
        /// The file.
        file: PathBuf,
    },
    /// A CSV list `path,label`.
    List {
        /// The file.
        file: PathBuf,
    },
    /// A folder per class.
    ClassFolders {
        /// The folder that holds them.
        root: PathBuf,
    },
    /// FERPlus' votes beside FER2013's faces.
    FerPlus {
        /// `fer2013new.csv`
        votes: PathBuf,
        /// By the column `Usage`.
        split: Split,
    },
    /// RAF-DB's list and aligned faces.
    RafDb {
        /// `list_patition_label.txt`
        list: PathBuf,
        /// The folder `aligned`.
        images: PathBuf,
        /// By the beginning of the images' names.
        split: Split,
    },
    /// A list of AffectNet's.
    AffectNetList {
        /// `training.csv` or `validation.csv`
        list: PathBuf,
        /// `Manually_Annotated_Images`
        images: PathBuf,
    },
    /// AffectNet's folder of images and folder of annotations.
    AffectNetArrays {
        /// `train_set` or `val_set`
        set: PathBuf,
    },
}

/// The parts of a set, each with its split where the set is divided.
pub type Parts = Vec<(Option<Split>, Part)>;

impl Part {
    /// Reads and checks the faces.
    ///
    /// # Errors
    /// As each reader; a part without a labelled face or with only one class.
    pub fn read(&self, spec: CropSpec, skip_bad: bool) -> Result<Source> {
        let (path, source) = match self {
            Self::Pack { file } => (file, pack::read(file, spec, skip_bad)),
            Self::List { file } => (file, list::read(file, spec, skip_bad)),
            Self::ClassFolders { root } => (root, folder::read(root, spec, skip_bad)),
            Self::FerPlus { votes, split } => {
                (votes, ferplus_csv::read(votes, *split, spec, skip_bad))
            }
            Self::RafDb { list, images, split } => {
                (list, raf_db::read(list, images, *split, spec, skip_bad))
            }
            Self::AffectNetList { list, images } => {
                (list, affectnet_list::read(list, images, spec, skip_bad))
            }
            Self::AffectNetArrays { set } => (set, affectnet_arrays::read(set, spec, skip_bad)),
        };
        source.and_then(|source| checked(path, source))
    }
}

fn checked(path: &Path, source: Source) -> Result<Source> {
    let refuse = |reason| Err(Error::Data { file: path.into(), reason });
    if source.samples.is_empty() {
        return refuse(format!("no labelled face ({})", source.summary));
    }
    if source.classes.len() < 2 {
        let classes = source.classes.join("");
        return refuse(format!("holds 1 class ({classes}), at least 2 are needed"));
    }
    Ok(source)
}

/// Every part of what lies at `path`, each with its split where the set is divided; of one split
/// only where the path ends in `#train`, `#valid` or `#test`.
///
/// # Errors
/// A path of no known kind, a published set of which a file is missing, a split that is not there.
pub fn parts(path: &Path) -> Result<Parts> {
    let (root, wanted) = split::parse(path)?;
    let mut parts = detect(&root)?;
    if let Some(wanted) = wanted {
        let there = splits(&parts);
        parts.retain(|(split, _)| *split == Some(wanted));
        if parts.is_empty() {
            let reason = match there.as_str() {
                "" => format!("is not divided into splits: leave #{wanted} out"),
                _ => format!("has no split {wanted}, only {there}"),
            };
            return Err(Error::Data { file: root, reason });
        }
    }
    Ok(parts)
}

/// The one part that `path` means.
///
/// # Errors
/// As [`parts`]; a set of several splits where none is named.
pub fn part(path: &Path) -> Result<Part> {
    let parts = parts(path)?;
    let there = splits(&parts);
    match <[_; 1]>::try_from(parts) {
        Ok([(_, part)]) => Ok(part),
        Err(parts) => {
            let first = parts.first().and_then(|(split, _)| *split).unwrap_or(Split::Train);
            let shown = path.display();
            let reason = format!("holds the splits {there}: name one, as in {shown}#{first}");
            Err(Error::Data { file: path.into(), reason })
        }
    }
}

fn splits(parts: &[(Option<Split>, Part)]) -> String {
    let names: Vec<String> =
        parts.iter().filter_map(|(split, _)| split.map(|split| split.to_string())).collect();
    names.join(", ")
}

fn detect(path: &Path) -> Result<Parts> {
    let refuse = |reason: &str| Err(Error::Data { file: path.into(), reason: reason.into() });
    let extension = path.extension().and_then(|extension| extension.to_str());
    match extension {
        _ if path.is_dir() => folder_parts(path),
        _ if !path.exists() => refuse("there is no such file or folder"),
        Some("parquet") => Ok(vec![(None, Part::Pack { file: path.into() })]),
        Some("csv") => list_parts(path),
        _ => refuse("must be a .parquet pack, a .csv list or a folder (dmue-train/DATA.md)"),
    }
}

fn folder_parts(path: &Path) -> Result<Parts> {
    let finders = [
        raf_db::find,
        ferplus_csv::find,
        affectnet_arrays::find,
        affectnet_list::find,
        folder::find,
    ];
    for find in finders {
        if let Some(parts) = find(path)? {
            return Ok(parts);
        }
    }
    Ok(vec![(None, Part::ClassFolders { root: path.into() })])
}

fn list_parts(path: &Path) -> Result<Parts> {
    let name = folder::name(path);
    if name == ferplus_csv::VOTES || name == ferplus_csv::FACES {
        let beside = path.parent().unwrap_or(Path::new("."));
        return Ok(ferplus_csv::find(beside)?.unwrap_or_default());
    }
    let header = table::header(path)?;
    if header.iter().any(|column| column == affectnet_list::PATH_COLUMN) {
        return Ok(vec![(None, affectnet_list::part(path.into())?)]);
    }
    Ok(vec![(None, Part::List { file: path.into() })])
}

/// The first of `places` under `root` that exists.
pub fn first_existing(root: &Path, places: &[&str]) -> Option<PathBuf> {
    places.iter().map(|place| root.join(place)).find(|path| path.exists())
}
