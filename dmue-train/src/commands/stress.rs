//! `dmue-train stress`

use std::path::PathBuf;

use dmue_train::stress::{Options, stress};
use dmue_train::{Error, Result};

use super::{Exported, show};

/// Arguments of `stress`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    exported: Exported,
    /// Labelled faces, as `fit --data` takes them.
    #[arg(long)]
    data: PathBuf,
    /// Photos, or folders of them: their parts without a face stand for backgrounds, alone and behind pasted faces.
    #[arg(long, num_args = 1..)]
    photos: Vec<PathBuf>,
    /// Faces of each measurement.
    #[arg(long, default_value_t = 1000)]
    faces: usize,
    /// Seeds all draws.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Folder for index.html with the curves and report.json.
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Measures, prints Markdown and, where asked for, writes the page.
pub fn run(arguments: Arguments) -> Result<()> {
    let Arguments { exported: Exported { model, skip_bad }, data, photos, faces, seed, out } =
        arguments;
    if faces == 0 {
        return Err(Error::Config("--faces 0: must be 1 or more".into()));
    }
    let found = stress(&Options { model, data, photos, faces, seed, skip_bad })?;
    show(&found.tables, &found.figures, "Under stress", out.as_deref())
}
