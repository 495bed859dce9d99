//! `dmue-train eval`

use std::path::PathBuf;

use dmue_edge::model::Model;
use dmue_train::data::dataset::Source;
use dmue_train::eval::{crop_spec, evaluate};
use dmue_train::{Error, Result};

use super::Exported;

/// Arguments of `eval`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    exported: Exported,
    /// Labelled faces, as `fit --data` takes them.
    #[arg(long)]
    data: PathBuf,
    /// One JSON object in place of text; shares in per cent.
    #[arg(long)]
    json: bool,
    /// Leave out faces of classes that the model does not know, instead of refusing them.
    #[arg(long)]
    known_classes: bool,
}

/// Measures and prints.
#[expect(clippy::print_stdout, reason = "the figures are the command's output")]
pub fn run(arguments: &Arguments) -> Result<()> {
    let model = Model::open(&arguments.exported.model).map_err(dmue_edge::Error::from)?;
    let mut source = Source::open(&arguments.data, crop_spec(&model), arguments.exported.skip_bad)?;
    if arguments.known_classes {
        source = source.of_known(&model.manifest().classes)?;
    }
    eprintln!("{}", source.summary);
    let evaluation = evaluate(&model, source)?;
    if arguments.json {
        let json = serde_json::to_string(&evaluation);
        println!("{}", json.map_err(|error| Error::Config(error.to_string()))?);
    } else {
        print!("{evaluation}");
    }
    Ok(())
}
