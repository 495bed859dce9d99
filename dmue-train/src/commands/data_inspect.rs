//! `dmue-train data inspect`

use std::path::{Path, PathBuf};
use std::time::Duration;

use dmue_train::data::dataset::Source;
use dmue_train::data::inspect::{SPEC, inspect};
use dmue_train::data::{layout, sheet};
use dmue_train::{Error, Result};
use indicatif::ProgressBar;

/// Arguments of `data inspect`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A data set; all its splits, or one as in PATH#train (dmue-train/DATA.md).
    data: PathBuf,
    /// Another set whose images are looked for in the first, such as the validation faces.
    #[arg(long)]
    against: Option<PathBuf>,
    /// Draw up to 16 faces of each class into this PNG.
    #[arg(long)]
    sheet: Option<PathBuf>,
    /// Leave bad rows out and say how many, instead of stopping at the first.
    #[arg(long)]
    skip_bad: bool,
}

/// Reads, prints, draws.
#[expect(clippy::print_stdout, reason = "the counts are the command's output")]
pub fn run(arguments: &Arguments) -> Result<()> {
    arguments.sheet.as_deref().map_or(Ok(()), check_name)?;
    let mut sources = vec![];
    for path in std::iter::once(&arguments.data).chain(&arguments.against) {
        sources.extend(open(path, arguments.skip_bad)?);
    }
    print!("{}", inspect(&sources));
    if let Some(path) = &arguments.sheet {
        let strips: Vec<_> =
            sources.iter().flat_map(|(name, source)| sheet::strips(name, source)).collect();
        sheet::write(path, &strips)?;
        println!("{}: {} strips of faces", path.display(), strips.len());
    }
    Ok(())
}

/// Every part of a set under the name that `fit --data` would take.
fn open(path: &Path, skip_bad: bool) -> Result<Vec<(String, Source)>> {
    let mut sources = vec![];
    for (split, part) in layout::parts(path)? {
        let shown = path.display().to_string();
        let name = match split {
            Some(split) if !shown.ends_with(&format!("#{split}")) => format!("{shown}#{split}"),
            _ => shown,
        };
        let spinner = ProgressBar::new_spinner().with_message(format!("reading {name}"));
        spinner.enable_steady_tick(Duration::from_millis(200));
        let source = part.read(SPEC, skip_bad)?;
        spinner.finish_and_clear();
        sources.push((name, source));
    }
    Ok(sources)
}

fn check_name(path: &Path) -> Result<()> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("png") => Ok(()),
        _ => Err(Error::Config(format!("--sheet {}: must end in .png", path.display()))),
    }
}
