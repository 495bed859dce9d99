//! `dmue-train rescore`

use std::path::PathBuf;

use dmue_train::Result;
use dmue_train::rescore::rescore;

use super::{Exported, check_out, command_line, write_file};

/// Arguments of `rescore`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    exported: Exported,
    /// Labelled faces that the network has not learned from, as `fit --data` takes them: on those it has, it is hardly ever
    /// wrong. A thousand or more.
    #[arg(long)]
    data: PathBuf,
    /// The model file with the new score, NAME.dmue.onnx; may be --model.
    #[arg(long)]
    out: PathBuf,
    /// Seeds all draws.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Fits, writes and says what comes next.
pub fn run(arguments: &Arguments) -> Result<()> {
    check_out(&arguments.out)?;
    let mut file = arguments.exported.read()?;
    let source = arguments.exported.faces(&arguments.data, &file.manifest.input)?;
    file.manifest.training.command += &format!("; {}", command_line());
    let accuracy = rescore(&mut file, source, arguments.seed)?;
    write_file(file, &arguments.out)?;
    eprintln!(
        "{:.1} % of these faces are labelled right; the thresholds for Unsure are gone: `dmue-train calibrate` makes new \
         ones from other faces",
        100. * accuracy
    );
    Ok(())
}
