//! `dmue-train compare`

use std::path::PathBuf;

use dmue_train::compare::{compare, pictures};
use dmue_train::{Error, Result};

use super::show;

/// Arguments of `compare`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Exported models, NAME.dmue.onnx.
    #[arg(long, num_args = 1..)]
    model: Vec<PathBuf>,
    /// Plain ONNX classifiers of others: a TOML list of what each takes (benches/peers.toml is one).
    #[arg(long)]
    others: Option<PathBuf>,
    /// Labelled faces, as `fit --data` takes them.
    #[arg(long)]
    data: PathBuf,
    /// Folder for index.html with the figures and report.json.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Leave bad rows out and say how many, instead of stopping at the first.
    #[arg(long)]
    skip_bad: bool,
}

/// Measures, prints Markdown and, where asked for, writes the page.
pub fn run(arguments: &Arguments) -> Result<()> {
    let Arguments { model, others, data, out, skip_bad } = arguments;
    if model.is_empty() && others.is_none() {
        return Err(Error::Config(
            "nothing to compare: give --model FILE..., --others LIST or both".into(),
        ));
    }
    let entries = compare(model, others.as_deref(), data, *skip_bad)?;
    let mut tables = vec![pictures::summary(&entries), pictures::bias(&entries)];
    tables.extend(entries.iter().filter_map(|entry| entry.confidence()));
    show(&tables, &[pictures::curves(&entries)], "Models side by side", out.as_deref())
}
