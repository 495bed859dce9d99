//! `dmue-train rescore`

use std::path::PathBuf;

use dmue_edge::model::file::{self, ModelFile};
use dmue_train::Result;
use dmue_train::data::dataset::Source;
use dmue_train::data::sample::CropSpec;
use dmue_train::rescore::rescore;

use super::{check_out, command_line};

/// Arguments of `rescore`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The exported file.
    #[arg(long)]
    model: PathBuf,
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
    /// Leave bad rows out and say how many, instead of stopping at the first.
    #[arg(long)]
    skip_bad: bool,
}

/// Fits, writes and says what comes next.
pub fn run(arguments: &Arguments) -> Result<()> {
    check_out(&arguments.out)?;
    let edge = dmue_edge::Error::from;
    let bytes = file::read(&arguments.model).map_err(edge)?;
    let mut file = ModelFile::parse(&bytes).map_err(edge)?;
    let spec = CropSpec::of_input(&file.manifest.input);
    let source = Source::open(&arguments.data, spec, arguments.skip_bad)?;
    eprintln!("{}", source.summary);
    file.manifest.training.command += &format!("; {}", command_line());
    let accuracy = rescore(&mut file, source, arguments.seed)?;
    let proto = file.into_proto().map_err(edge)?;
    file::write(&arguments.out, &proto).map_err(edge)?;
    eprintln!(
        "{:.1} % of these faces are labelled right; the thresholds for Unsure are gone: `dmue-train calibrate` makes new \
         ones from other faces",
        100. * accuracy
    );
    Ok(())
}
