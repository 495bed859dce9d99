//! One file per subcommand: arguments, calls into the library, what a person reads.

use std::path::{Path, PathBuf};

use dmue_edge::model::InputSpec;
use dmue_edge::model::file::{self, ModelFile};
use dmue_train::data::dataset::Source;
use dmue_train::data::sample::CropSpec;
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

/// An exported file that is shown faces.
#[derive(Debug, clap::Args)]
pub struct Exported {
    /// The exported file.
    #[arg(long)]
    model: PathBuf,
    /// Leave bad rows out and say how many, instead of stopping at the first.
    #[arg(long)]
    skip_bad: bool,
}

impl Exported {
    /// The file, checked.
    fn read(&self) -> Result<ModelFile> {
        let edge = dmue_edge::Error::from;
        let bytes = file::read(&self.model).map_err(edge)?;
        Ok(ModelFile::parse(&bytes).map_err(edge)?)
    }

    /// Faces as a network of this input takes them; says what was read.
    fn faces(&self, data: &Path, input: &InputSpec) -> Result<Source> {
        let source = Source::open(data, CropSpec::of_input(input), self.skip_bad)?;
        eprintln!("{}", source.summary);
        Ok(source)
    }
}

/// Writes the file as it now stands.
fn write_file(file: ModelFile, out: &Path) -> Result<()> {
    let edge = dmue_edge::Error::from;
    let proto = file.into_proto().map_err(edge)?;
    Ok(file::write(out, &proto).map_err(edge)?)
}

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
