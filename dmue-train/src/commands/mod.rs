//! One file per subcommand: arguments, calls into the library, what a person reads.

use std::path::Path;

use dmue_train::report::page::{Figure, Table, write};
use dmue_train::{Error, Result};

pub mod bench;
pub mod calibrate;
pub mod compare;
pub mod data;
pub mod data_crop;
pub mod data_inspect;
pub mod distill;
pub mod eval;
pub mod export;
pub mod fit;
pub mod quantize;
pub mod report;
pub mod rescore;
pub mod stress;

/// What was typed, for the record.
fn command_line() -> String {
    std::env::args().skip(1).fold("dmue-train".into(), |all, next| all + " " + &next)
}

/// Refuses a model file's name of another ending.
fn check_out(out: &Path) -> Result<()> {
    match out.to_string_lossy().ends_with(".dmue.onnx") {
        true => Ok(()),
        false => Err(Error::Config(format!("--out {}: must end in .dmue.onnx", out.display()))),
    }
}

/// Prints tables as Markdown and, where a folder is given, writes the page with the figures.
#[expect(clippy::print_stdout, reason = "the tables are the command's output")]
fn show(tables: &[Table], figures: &[Figure], title: &str, out: Option<&Path>) -> Result<()> {
    for table in tables {
        println!("{}\n", table.markdown());
    }
    if let Some(out) = out {
        let bytes = write(out, title, tables, figures)?;
        eprintln!("{}: {bytes} bytes", out.join("index.html").display());
    }
    Ok(())
}
