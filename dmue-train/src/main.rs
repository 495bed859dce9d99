//! The `dmue-train` command.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod commands;

/// Trains DMUE on faces with labels and exports it for dmue-edge.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train a model, or go on with a run that was interrupted.
    Fit(commands::fit::Arguments),
    /// Train a model from the answers of exported ones, too: a small one of a large one, or of several.
    Distill(commands::distill::Arguments),
    /// Write a run's model as one ONNX file and check it against the trainer.
    Export(commands::export::Arguments),
    /// Measure an exported file on labelled faces, through dmue-edge.
    Eval(commands::eval::Arguments),
    /// Fit what an exported file says of its own certainty: probabilities, score, thresholds for `Unsure`.
    Calibrate(commands::calibrate::Arguments),
    /// Fit the score of an exported file anew, on faces that its network has not seen.
    Rescore(commands::rescore::Arguments),
    /// Write an exported file again with its convolutions in 8 bits.
    ///
    /// Weights get a scale for each channel of the output, activations a range that comes from faces. The first
    /// convolution, those in groups and the classifier stay floats. Temperature, score and thresholds are kept;
    /// `dmue-train calibrate` fits them to the new file.
    Quantize(commands::quantize::Arguments),
    /// Put exported files, and plain ONNX classifiers of others, side by side on labelled faces.
    Compare(commands::compare::Arguments),
    /// Score and accuracy of an exported file on faces in bad conditions, without faces, and in a camera's frames.
    Stress(commands::stress::Arguments),
    /// Look into a data set, or cut faces out of photos.
    #[command(subcommand)]
    Data(commands::data::Arguments),
    /// Runs against people: tables, figures, one page.
    Report(commands::report::Arguments),
    /// Images per second of a training step, stage by stage.
    Bench(commands::bench::Arguments),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Fit(arguments) => commands::fit::run(arguments),
        Command::Distill(arguments) => commands::distill::run(arguments),
        Command::Export(arguments) => commands::export::run(&arguments),
        Command::Eval(arguments) => commands::eval::run(&arguments),
        Command::Calibrate(arguments) => commands::calibrate::run(&arguments),
        Command::Rescore(arguments) => commands::rescore::run(&arguments),
        Command::Quantize(arguments) => commands::quantize::run(&arguments),
        Command::Compare(arguments) => commands::compare::run(&arguments),
        Command::Stress(arguments) => commands::stress::run(arguments),
        Command::Data(arguments) => commands::data::run(&arguments),
        Command::Report(arguments) => commands::report::run(&arguments),
        Command::Bench(arguments) => commands::bench::run(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
