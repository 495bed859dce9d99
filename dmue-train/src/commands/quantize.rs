//! `dmue-train quantize`

use std::path::{Path, PathBuf};

use dmue_edge::model::{Model, file};
use dmue_train::quantize::{Comparison, Figures, Quantised, compare, quantise};
use dmue_train::{Error, Result};

use super::{Exported, check_out, command_line};

/// Arguments of `quantize`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    exported: Exported,
    /// Faces that the activations' ranges come from, as `fit --data` takes them; training faces will do.
    #[arg(long)]
    data: PathBuf,
    /// The quantised model file, NAME.dmue.onnx.
    #[arg(long)]
    out: PathBuf,
    /// Distinct faces that are drawn from --data.
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..))]
    faces: u32,
    /// Seeds which faces those are.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Labelled faces to measure both files on.
    #[arg(long)]
    check: Option<PathBuf>,
}

/// Quantises, writes, measures and prints.
pub fn run(arguments: &Arguments) -> Result<()> {
    let Arguments { exported, out, faces, seed, .. } = arguments;
    check_out(out)?;
    let edge = dmue_edge::Error::from;
    let bytes = |file: &Path| Ok::<_, Error>(file.metadata().map_err(Error::file(file))?.len());
    let mut file = exported.read()?;
    let size = bytes(&exported.model)?; // --out may be the same file
    let before = Model::from_file(file.clone()).map_err(edge)?;
    let input = file.manifest.input.clone();
    let source = exported.faces(&arguments.data, &input)?;
    file.manifest.training.command += &format!("; {}", command_line());
    let quantised = quantise(file, source, *faces as usize, *seed)?;
    file::write(out, &quantised.proto).map_err(edge)?;
    let after = Model::open(out).map_err(edge)?;
    print(&quantised, size, bytes(out)?);
    if let Some(path) = &arguments.check {
        print_comparison(&compare([&before, &after], exported.faces(path, &input)?)?);
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the figures are the command's output")]
fn print(quantised: &Quantised, before: u64, after: u64) {
    let Quantised { convolutions, faces, left, .. } = quantised;
    println!("{convolutions} convolutions in 8 bits, ranges from {faces} faces");
    for left in left {
        println!("left in floats: {}: {}", left.name, left.reason);
    }
    println!("{before} bytes before, {after} after");
}

#[expect(clippy::print_stdout, reason = "the figures are the command's output")]
fn print_comparison(comparison: &Comparison) {
    let Comparison { faces, figures, logit_difference, logit_range } = comparison;
    println!("on {faces} distinct faces, through dmue-edge:");
    println!("        accuracy  mean recall");
    for (name, Figures { accuracy, mean_recall }) in ["before", "after"].iter().zip(figures) {
        println!("{name:6} {accuracy:7.2} %  {mean_recall:9.2} %");
    }
    println!("logits differ by {logit_difference:.4} on average; they span {logit_range:.2}");
}
