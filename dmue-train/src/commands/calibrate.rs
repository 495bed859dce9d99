//! `dmue-train calibrate`

use std::path::PathBuf;

use dmue_edge::model::Model;
use dmue_edge::model::file::{self, ModelFile};
use dmue_train::Result;
use dmue_train::calibrate::{ERROR_RATES, thresholds};
use dmue_train::data::dataset::Source;
use dmue_train::eval::crop_spec;

/// Arguments of `calibrate`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The exported file.
    #[arg(long)]
    model: PathBuf,
    /// Labelled faces that no part of the model learned from: a .parquet pack, a .csv list or a folder of class
    /// folders.
    #[arg(long)]
    data: PathBuf,
    /// The model file with thresholds, NAME.dmue.onnx; may be --model.
    #[arg(long)]
    out: PathBuf,
    /// Probability over the draw of faces with which each promise holds. 0.99 keeps it in 95 % of the halves of
    /// FERPlus' validation faces, which differ by chance too.
    #[arg(long, default_value_t = 0.99)]
    confidence: f64,
    /// Leave bad rows out and say how many, instead of stopping at the first.
    #[arg(long)]
    skip_bad: bool,
}

/// Calibrates, writes and prints.
#[expect(clippy::print_stdout, reason = "the figures are the command's output")]
pub fn run(arguments: &Arguments) -> Result<()> {
    let bytes = file::read(&arguments.model).map_err(dmue_edge::Error::from)?;
    let mut file = ModelFile::parse(&bytes).map_err(dmue_edge::Error::from)?;
    let model = Model::from_file(file.clone()).map_err(dmue_edge::Error::from)?;
    let source = Source::open(&arguments.data, crop_spec(&model), arguments.skip_bad)?;
    eprintln!("{}", source.summary);
    let thresholds = thresholds(&model, source, arguments.confidence)?;
    println!("error rate  threshold  coverage  confidence  faces");
    for t in &thresholds {
        let (rate, coverage) = (100.0 * t.error_rate, 100.0 * t.coverage);
        let (threshold, confidence, count) = (t.threshold, t.confidence, t.count);
        println!("{rate:8.0} %  {threshold:9.3}  {coverage:6.1} %  {confidence:10.3}  {count:5}");
    }
    for rate in ERROR_RATES {
        if thresholds.iter().all(|threshold| threshold.error_rate != rate) {
            println!("{:8.0} %  cannot be promised with these faces", 100.0 * rate);
        }
    }
    file.manifest.abstention = thresholds;
    let proto = file.into_proto().map_err(dmue_edge::Error::from)?;
    Ok(file::write(&arguments.out, &proto).map_err(dmue_edge::Error::from)?)
}
