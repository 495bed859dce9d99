//! The `dmue` command: expressions of the faces in image files.

mod annotate;
mod inputs;
mod json;
mod labels;
#[cfg(test)]
mod made;
mod output;
mod predict;
mod report;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Facial expressions of the faces in pictures, with an honest confidence.
#[derive(Parser)]
#[command(name = "dmue", version, propagate_version = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Predict(predict::Arguments),
}

fn main() -> ExitCode {
    let Arguments { command: Command::Predict(arguments) } = Arguments::parse();
    match predict::run(&arguments) {
        Ok(predict::Outcome { failed: 0 }) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        // The reader (head, less) has seen enough: no failure of ours.
        Err(error) if is_broken_pipe(error.as_ref()) => ExitCode::SUCCESS,
        Err(error) => {
            predict::complain(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &(dyn std::error::Error + 'static)) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
