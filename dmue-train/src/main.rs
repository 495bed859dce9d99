//! The `dmue-train` command.

use std::path::PathBuf;
use clap::{Parser, Subcommand};
use dmue_train::config::Config;
use dmue_train::train::run::{self, Paths, RunData};
use dmue_train::device;

#[derive(Parser)]
struct Arguments { #[command(subcommand)] command: Command }
#[derive(Subcommand)]
enum Command {
    Fit { #[arg(long)] data: PathBuf, #[arg(long)] valid: PathBuf, #[arg(long, default_value="edge")] model: String, #[arg(long)] config: Option<PathBuf>, #[arg(long)] out: PathBuf, #[arg(long)] resume: bool, #[arg(long)] skip_bad: bool, #[arg(long)] epochs: Option<usize> },
}
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let device = device::pick();
    let Command::Fit { data, valid, model, config, out, resume, skip_bad, epochs } = Arguments::parse().command;
    let mut c = match config { Some(p) => Config::read(&p)?, None => Config::named(&model)? };
    if let Some(e) = epochs { c.epochs = e }
    std::fs::create_dir_all(&out)?;
    let d = RunData::open(&Paths { data, valid, skip_bad }, &c)?;
    eprintln!("{}", device::describe(device));
    for s in &d.summary { eprintln!("{s}") }
    eprintln!("train {} held {} valid {}", d.train.len(), d.held_out.len(), d.valid.len());
    run::fit(&c, &d, &out, resume, device)?;
    Ok(())
}
