//! `dmue-train report`

use std::path::PathBuf;

use dmue_train::report::{self, Options};
use dmue_train::{Error, Result, device};

use super::show;

/// Arguments of `report`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Folder of the run.
    run: PathBuf,
    /// Folders of further runs with the same validation faces: baselines, ablations, flipped labels.
    #[arg(long, num_args = 1..)]
    against: Vec<PathBuf>,
    /// Folder for index.html, the figures and report.json.
    #[arg(long)]
    out: PathBuf,
    /// Bootstrap draws of each interval.
    #[arg(long, default_value_t = 1000)]
    resamples: usize,
}

/// Writes the report and prints its tables.
pub fn run(arguments: &Arguments) -> Result<()> {
    let Arguments { run, against, out, resamples } = arguments;
    if !(20..=1_000_000).contains(resamples) {
        return Err(Error::Config(format!("--resamples {resamples}: must be within 20..=1000000")));
    }
    let device = device::pick();
    let options = Options { run: run.clone(), against: against.clone(), resamples: *resamples };
    let report = report::build(&options, device)?;
    let title = format!("Report on {}", run.display());
    show(&report.tables, &report.figures, &title, Some(out))
}
