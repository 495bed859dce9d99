//! What the SDK costs on the board that this runs on. One binary that needs nothing else: copy it to a
//! Raspberry Pi or Jetson and start it.
//!
//! ```text
//! cargo build --release --package board_bench   # on the board, or cargo xtask board-bench arm64
//! ./board_bench --json board.json
//! ```
#![allow(clippy::print_stdout, reason = "the report is what it is for")]

mod board;
mod measure;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use serde::Serialize;

use crate::board::{Board, Conditions};
use crate::measure::{Measured, Plan};

/// Measures the default model on this machine: milliseconds of each stage, memory, temperature.
#[derive(Parser)]
#[command(version)]
struct Options {
    /// Frames to measure, after a tenth as many to warm up.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(10..=100_000))]
    frames: u32,
    /// Threads of one frame.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    threads: u32,
    /// Where to write the same as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Serialize)]
struct Report {
    version: &'static str,
    board: Board,
    threads: u32,
    frames: u32,
    before: Conditions,
    after: Conditions,
    #[serde(flatten)]
    measured: Measured,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Box<dyn Error>> {
    let before = Conditions::now();
    let measured = measure::run(&Plan { frames: options.frames, threads: options.threads })?;
    let report = Report {
        version: env!("CARGO_PKG_VERSION"),
        board: Board::this(),
        threads: options.threads,
        frames: options.frames,
        before,
        after: Conditions::now(),
        measured,
    };
    print(&report);
    if let Some(path) = &options.json {
        write(path, &serde_json::to_string_pretty(&report)?)?;
    }
    Ok(())
}

fn print(report: &Report) {
    let Report { board, measured, before, after, .. } = report;
    println!(
        "dmue-edge {} on {}: {}, {} cores",
        report.version, board.model, board.cpu, board.cores
    );
    println!("governor {}, {} thread(s), {} frames", board.governor, report.threads, report.frames);
    println!("before: {before}");
    println!("after:  {after}");
    println!("open and first answer {:.1} ms", measured.first_answer_ms);
    println!("{:<34} {:>9} {:>9} {:>9}", "milliseconds", "minimum", "median", "99 of 100");
    for stage in &measured.stages {
        let name = &stage.name;
        println!("{name:<34} {:>9.2} {:>9.2} {:>9.2}", stage.minimum, stage.median, stage.most);
    }
    println!("memory {:.1} MiB resident, {:.1} at most", after.resident_mib, after.peak_mib);
    if board.emulated {
        println!("This looks like an emulator: the times say nothing about a board.");
    }
}

/// Under a temporary name first: a report that was there before survives a failure.
fn write(path: &Path, text: &str) -> Result<(), Box<dyn Error>> {
    let unfinished = path.with_extension("unfinished");
    let written = fs::File::create(&unfinished).and_then(|mut file| {
        std::io::Write::write_all(&mut file, text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, path)
    });
    written.map_err(|error| format!("cannot write '{}': {error}", path.display()).into())
}
