//! Which part of a data set is meant: `PATH#train`, `PATH#valid`, `PATH#test`.

use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// A part of a published data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Split {
    /// To train on.
    Train,
    /// To tune on.
    Valid,
    /// To report on once.
    Test,
}

impl Split {
    /// The split that a word stands for, in any case: train or training, valid, val or validation,
    /// test.
    pub fn of_word(word: &str) -> Option<Self> {
        match word.to_lowercase().as_str() {
            "train" | "training" => Some(Self::Train),
            "valid" | "val" | "validation" => Some(Self::Valid),
            "test" | "testing" => Some(Self::Test),
            _ => None,
        }
    }

    /// The split that a folder's name begins with, up to its first `_`: `Train`, `Val_Aligned_Faces`.
    pub fn of_folder(name: &str) -> Option<Self> {
        Self::of_word(name.split('_').next().unwrap_or_default())
    }
}

impl Display for Split {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Train => "train",
            Self::Valid => "valid",
            Self::Test => "test",
        })
    }
}

/// Takes `#split` off a path. A path that exists as it is written is taken as it is.
///
/// # Errors
/// A word after `#` that names no split.
pub fn parse(path: &Path) -> Result<(PathBuf, Option<Split>)> {
    let text = path.to_string_lossy();
    let Some((root, word)) = text.rsplit_once('#').filter(|_| !path.exists()) else {
        return Ok((path.into(), None));
    };
    let split = Split::of_word(word).ok_or_else(|| Error::Data {
        file: path.into(),
        reason: format!("#{word} names no split: write #train, #valid or #test"),
    })?;
    Ok((root.into(), Some(split)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_are_read_off_paths_and_folder_names() {
        assert_eq!(parse(Path::new("a/b")).unwrap(), ("a/b".into(), None));
        assert_eq!(parse(Path::new("a#b#VAL")).unwrap(), ("a#b".into(), Some(Split::Valid)));
        let error = parse(Path::new("a#eval")).unwrap_err().to_string();
        assert!(error.contains("#eval names no split") && error.contains("#valid"), "{error}");
        for (name, split) in [
            ("Train", Some(Split::Train)),
            ("Val_Aligned_Faces_new", Some(Split::Valid)),
            ("test", Some(Split::Test)),
            ("Trainer", None),
            ("Happy", None),
        ] {
            assert_eq!(Split::of_folder(name), split, "{name}");
        }
    }

    #[test]
    fn a_path_with_a_hash_that_exists_is_taken_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("faces#test");
        std::fs::create_dir(&path).unwrap();
        assert_eq!(parse(&path).unwrap(), (path, None));
    }
}
