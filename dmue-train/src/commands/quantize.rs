//! `dmue-train quantize`

use std::path::{Path, PathBuf};

use super::{check_out, command_line};
use dmue_edge::model::Model;
use dmue_edge::model::file::{self, ModelFile};
use dmue_train::data::dataset::Source;
use dmue_train::data::sample::CropSpec;
use dmue_train::quantize::{Comparison, Figures, Quantised, compare, quantise};
use dmue_train::{Error, Result};

/// Arguments of `quantize`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The exported file.
    #[arg(long)]
    model: PathBuf,
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
    /// Leave bad rows out and say how many, instead of stopping at the first.
    #[arg(long)]
    skip_bad: bool,
}

/// Quantises, writes, measures and prints.
pub fn run(arguments: &Arguments) -> Result<()> {
    let Arguments { model, out, faces, seed, .. } = arguments;
    check_out(out)?;
    let edge = dmue_edge::Error::from;
    let bytes = file::read(model).map_err(edge)?;
    let mut file = ModelFile::parse(&bytes).map_err(edge)?;
    let before = Model::from_file(file.clone()).map_err(edge)?;
    let spec = CropSpec::of_input(&file.manifest.input);
    let open = |path: &Path| {
        let source = Source::open(path, spec, arguments.skip_bad)?;
        eprintln!("{}", source.summary);
        Ok::<_, Error>(source)
    };
    let source = open(&arguments.data)?;
    file.manifest.training.command += &format!("; {}", command_line());
    let quantised = quantise(file, source, *faces as usize, *seed)?;
    file::write(out, &quantised.proto).map_err(edge)?;
    let after = Model::open(out).map_err(edge)?;
    print(&quantised, bytes.len() as u64, std::fs::metadata(out).map_err(Error::file(out))?.len());
    if let Some(path) = &arguments.check {
        print_comparison(&compare([&before, &after], open(path)?)?);
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
