//! `dmue-train calibrate`

use std::path::PathBuf;

use dmue_train::Result;
use dmue_train::calibrate::{Calibration, ERROR_RATES, calibrate};

use super::{Exported, write_file};

/// Arguments of `calibrate`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    exported: Exported,
    /// Labelled faces that no part of the model learned from: a .parquet pack, a .csv list or a folder of class
    /// folders.
    #[arg(long)]
    data: PathBuf,
    /// The calibrated model file, NAME.dmue.onnx; may be --model.
    #[arg(long)]
    out: PathBuf,
    /// Share of the faces that is not fitted but used to say what calibrating brought; 0 fits all.
    #[arg(long, default_value_t = 0.5)]
    check: f64,
    /// Seeds which faces those are.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Probability over the draw of faces with which each promise holds. 0.99 keeps it in 95 % of the halves of
    /// FERPlus' validation faces, which differ by chance too.
    #[arg(long, default_value_t = 0.99)]
    confidence: f64,
}

/// Calibrates, writes and prints.
pub fn run(arguments: &Arguments) -> Result<()> {
    if !(0. ..1.).contains(&arguments.check) {
        let check = arguments.check;
        return Err(dmue_train::Error::Config(format!(
            "--check {check}: must be 0 or more, and below 1"
        )));
    }
    let mut file = arguments.exported.read()?;
    let source = arguments.exported.faces(&arguments.data, &file.manifest.input)?;
    let (fitted, other) = source.hold_out(arguments.check, arguments.seed);
    let calibration = calibrate(&mut file, fitted, other, arguments.confidence)?;
    print(&calibration);
    write_file(file, &arguments.out)
}

#[expect(clippy::print_stdout, reason = "the figures are the command's output")]
fn print(calibration: &Calibration) {
    let [scale, shift] = calibration.score;
    println!("temperature {:.3}; score sigmoid({scale:.3} z {shift:+.3})", calibration.temperature);
    if let Some(checked) = &calibration.checked {
        println!("on {} faces that were not fitted:", checked[0].faces);
        println!("         ECE of probabilities  of the score  by chance  NLL");
        for (name, errors) in ["before", "after"].into_iter().zip(checked) {
            let [ece, score, chance] =
                [errors.ece, errors.score_ece, errors.ece_by_chance].map(|share| 100. * share);
            println!("{name:7} {ece:20.2} % {score:12.2} % {chance:8.2} % {:.4}", errors.nll);
        }
    }
    println!("error rate  threshold  coverage  confidence  faces");
    for t in &calibration.thresholds {
        let (rate, coverage) = (100.0 * t.error_rate, 100.0 * t.coverage);
        let (threshold, confidence, count) = (t.threshold, t.confidence, t.count);
        println!("{rate:8.0} %  {threshold:9.3}  {coverage:6.1} %  {confidence:10.3}  {count:5}");
    }
    for rate in ERROR_RATES {
        if calibration.thresholds.iter().all(|threshold| threshold.error_rate != rate) {
            println!("{:8.0} %  cannot be promised with these faces", 100.0 * rate);
        }
    }
}
