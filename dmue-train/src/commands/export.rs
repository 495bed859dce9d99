//! `dmue-train export`

use std::path::PathBuf;

use super::check_out;
use dmue_train::train::folder::RunFolder;
use dmue_train::{Result, device, export};

/// Arguments of `export`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Folder of the run.
    #[arg(long)]
    run: PathBuf,
    /// The model file, NAME.dmue.onnx.
    #[arg(long)]
    out: PathBuf,
}

/// Exports the newest checkpoint.
pub fn run(arguments: &Arguments) -> Result<()> {
    check_out(&arguments.out)?;
    let device = device::pick();
    let report = export::export(&RunFolder::open(&arguments.run), &arguments.out, device)?;
    let parity = report.parity;
    eprintln!(
        "{}: {} bytes, {} epochs; {:.2} % of the held-out faces are labelled right",
        arguments.out.display(),
        report.bytes,
        report.epochs,
        100. * report.held_out_accuracy
    );
    eprintln!(
        "largest differences from the trainer on {} faces, of each output's range: logits {:.1e}, \
         feature {:.1e}, score {:.1e}, the graph's score {:.1e}",
        parity.faces, parity.logits, parity.feature, parity.score, parity.graph_score
    );
    Ok(())
}
