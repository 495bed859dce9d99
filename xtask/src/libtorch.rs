//! Which libtorch dmue-train is built against.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// The libtorch that tch 0.24 pairs with.
pub const VERSION: &str = "2.11.0";

/// Where libtorch comes from.
#[derive(Debug, PartialEq)]
pub enum Libtorch {
    /// The folder that `cargo xtask setup` fills.
    Managed(PathBuf),
    /// The folder that the caller's `LIBTORCH` names.
    Given(PathBuf),
    /// The torch package of the caller's `python3`, asked for by `LIBTORCH_USE_PYTORCH`.
    Python,
}

impl Libtorch {
    /// Decides from the values of `LIBTORCH` and `LIBTORCH_USE_PYTORCH`, in torch-sys' order.
    ///
    /// `.cargo/config.toml` sets `LIBTORCH` to the `managed` folder for whatever cargo runs, so
    /// that value, like an empty one, means that the caller named none.
    ///
    /// # Errors
    /// The caller's `LIBTORCH` holds no libtorch.
    pub fn choose(
        libtorch: Option<&OsStr>,
        use_pytorch: Option<&OsStr>,
        managed: &Path,
    ) -> Result<Self> {
        if use_pytorch.is_some() {
            return Ok(Self::Python);
        }
        match libtorch.filter(|value| !value.is_empty()).map(Path::new) {
            Some(folder) if folder != managed => given(folder),
            _ => Ok(Self::Managed(managed.to_owned())),
        }
    }

    /// The folder that holds `lib` and `include`, where one is known.
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::Managed(folder) | Self::Given(folder) => Some(folder),
            Self::Python => None,
        }
    }
}

impl fmt::Display for Libtorch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Managed(folder) => write!(formatter, "libtorch {VERSION}: {}", folder.display()),
            Self::Given(folder) => write!(formatter, "libtorch of LIBTORCH: {}", folder.display()),
            Self::Python => write!(formatter, "libtorch of python3's torch (LIBTORCH_USE_PYTORCH)"),
        }
    }
}

fn given(folder: &Path) -> Result<Libtorch> {
    let holds = |file| folder.join(file).is_file();
    if !holds("lib/libtorch.so") && !holds("lib/libtorch.dylib") {
        bail!(
            "LIBTORCH is '{}', which holds no lib/libtorch.so: point it at the folder of a \
             libtorch {VERSION}, or unset it and `cargo xtask setup` fetches one",
            folder.display()
        );
    }
    // Build scripts run in other folders: a relative path would miss there.
    Ok(Libtorch::Given(folder.canonicalize()?))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const MANAGED: &str = "/workspace/target/libtorch";

    fn choose(libtorch: Option<&str>, use_pytorch: Option<&str>) -> Result<Libtorch> {
        let [libtorch, use_pytorch] = [libtorch, use_pytorch].map(|value| value.map(OsStr::new));
        Libtorch::choose(libtorch, use_pytorch, Path::new(MANAGED))
    }

    #[test]
    fn nothing_named_means_the_managed_folder() {
        for unnamed in [None, Some(""), Some(MANAGED), Some("/workspace/target/libtorch/")] {
            let chosen = choose(unnamed, None).unwrap();
            assert_eq!(chosen, Libtorch::Managed(MANAGED.into()), "{unnamed:?}");
        }
    }

    #[test]
    fn a_libtorch_of_the_callers_own_wins() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("lib")).unwrap();
        fs::write(folder.path().join("lib/libtorch.so"), "").unwrap();
        let chosen = choose(folder.path().to_str(), None).unwrap();
        assert_eq!(chosen.folder(), Some(folder.path().canonicalize().unwrap().as_path()));
        assert!(matches!(chosen, Libtorch::Given(_)));
    }

    #[test]
    fn a_libtorch_that_holds_none_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path().to_str().unwrap(), "/nowhere/at/all"] {
            let message = choose(Some(path), None).unwrap_err().to_string();
            assert!(message.contains(path) && message.contains("unset"), "{message}");
        }
    }

    #[test]
    fn pythons_torch_wins_over_a_folder() {
        assert_eq!(choose(Some("/nowhere/at/all"), Some("1")).unwrap(), Libtorch::Python);
        assert_eq!(choose(None, Some("1")).unwrap().folder(), None);
    }
}
