//! A start from trained weights in place of random ones (`fit --init FILE`).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use tch::{Tensor, nn};

use self::layer::Part;
use self::source::Source;
use super::spec::{Backbone, Convolution};
use crate::error::{Error, Result};

mod layer;
mod names;
mod pickle;
mod source;
mod state_dict;

/// Names of tensors that a message lists at most.
const LISTED: usize = 6;

/// What was taken from a file and what was not.
#[derive(Debug)]
pub struct Report {
    /// The file.
    pub file: PathBuf,
    /// Variables, without the part (`stem.conv`), or whole ones (`heads.target`), and whatever had to
    /// be adapted.
    pub matched: Vec<(String, Option<&'static str>)>,
    /// Variables that keep their random values, and why.
    pub left_out: Vec<(String, String)>,
    /// Tensors of the file that nothing was taken from.
    pub unused: Vec<String>,
    /// The file holds convolutions with folded batch normalisation: statistics must be measured
    /// (`Dmue::calibrate`) before training.
    pub folded: bool,
    /// The head of the target branch was taken, too.
    pub head: bool,
}

/// Takes every convolution with its normalisation whose tensors `file` holds in the right shapes,
/// and the heads where they are for the same classes. The last stage goes into all branches.
///
/// Forms: `.safetensors` with our names (also a checkpoint of a run, whose target branch is the one
/// that is taken) or torchvision's; `.pt`, `.pth`, `.bin`, `.ot`: a state dict as PyTorch saves it
/// since 1.6, or TorchScript as far as libtorch gives its parameters; `.dmue.onnx`.
/// Weights of an RGB network serve a gray one and the other way round.
///
/// # Errors
/// A file that cannot be read, holds NaN, or of which nothing fits.
pub fn initialise(
    file: &Path,
    backbone: &Backbone,
    classes: &[String],
    store: &nn::VarStore,
) -> Result<Report> {
    let source = Source::read(file)?;
    let variables: BTreeMap<String, Tensor> = store.variables().into_iter().collect();
    let mut taking = Taking { source: &source, variables, report: Report::new(file, &source) };
    backbone.convolutions().for_each(|spec| taking.convolution(spec));
    if taking.report.matched.is_empty() {
        return Err(nothing_fits(file, backbone, &source, &taking.report));
    }
    taking.heads(classes);
    Ok(taking.report)
}

/// The work in progress.
struct Taking<'a> {
    source: &'a Source,
    variables: BTreeMap<String, Tensor>,
    report: Report,
}

impl Taking<'_> {
    fn convolution(&mut self, spec: &Convolution) {
        let found = layer::find(self.source, spec);
        match found.and_then(|found| found.fitted(spec)) {
            Err(reason) => self.report.left_out.push((spec.name.clone(), reason)),
            Ok(layer) => {
                for (part, tensor) in layer.parts() {
                    self.write(&spec.name, part, tensor);
                }
                self.report.unused.retain(|key| !layer.keys.contains(key));
                self.report.matched.push((spec.name.clone(), layer.note));
            }
        }
    }

    /// Into every copy.
    fn write(&self, name: &str, part: Part, tensor: &Tensor) {
        if let Some(value) = self.variables.get(&format!("{name}.{}", part.name())) {
            let copies = value.size()[0] / tensor.size()[0].max(1);
            let repeats: Vec<i64> =
                (0..tensor.dim()).map(|dim| if dim == 0 { copies } else { 1 }).collect();
            tch::no_grad(|| value.shallow_clone().copy_(&tensor.repeat(repeats)));
        }
    }

    fn heads(&mut self, classes: &[String]) {
        let names: BTreeSet<String> = self.variables.keys().cloned().collect();
        let heads = names.iter().filter(|name| !is_of_backbone(name));
        for name in heads {
            match self.head(name, classes) {
                Ok(()) => self.report.matched.push((name.clone(), None)),
                Err(reason) => self.report.left_out.push((name.clone(), reason)),
            }
        }
        self.report.head = self.report.matched.iter().any(|(name, _)| name == "heads.target");
    }

    fn head(&mut self, name: &str, classes: &[String]) -> std::result::Result<(), String> {
        let value = &self.variables[name];
        let key = names::head(name, self.source.folded)?;
        let tensor = self.source.get(key)?;
        let other_classes = self.source.other_classes(classes);
        if let Some(reason) = other_classes.filter(|_| !name.starts_with("neck.")) {
            return Err(reason);
        }
        if tensor.size() != value.size() {
            let (found, wanted) = (tensor.size(), value.size());
            return Err(format!("is {found:?} in the file, needed is {wanted:?}"));
        }
        tch::no_grad(|| value.shallow_clone().copy_(&tensor));
        self.report.unused.retain(|unused| unused != key);
        Ok(())
    }
}

fn is_of_backbone(name: &str) -> bool {
    matches!(name.split('.').next(), Some("stem" | "branch"))
}

fn nothing_fits(file: &Path, backbone: &Backbone, source: &Source, report: &Report) -> Error {
    let held = listed(source.tensors.keys());
    let reason = report
        .left_out
        .first()
        .map_or(String::new(), |(name, why)| format!("; `{name}`, for one, is left out: {why}"));
    Error::Checkpoint {
        file: file.into(),
        reason: format!(
            "nothing in it fits model.backbone = \"{}\"; it holds {held}{reason}",
            backbone.name
        ),
    }
}

fn listed<'a>(names: impl ExactSizeIterator<Item = &'a String>) -> String {
    let more = names.len().saturating_sub(LISTED);
    let first = names.take(LISTED).map(String::as_str).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{first} and {more} more") } else { first }
}

impl Report {
    fn new(file: &Path, source: &Source) -> Self {
        let counts_batches = |name: &&String| name.ends_with("num_batches_tracked");
        Self {
            file: file.into(),
            matched: vec![],
            left_out: vec![],
            unused: source.tensors.keys().filter(|name| !counts_batches(name)).cloned().collect(),
            folded: source.folded,
            head: false,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "start from {}", self.file.display())?;
        let names = self.matched.iter().map(|(name, note)| match note {
            None => name.clone(),
            Some(note) => format!("{name} ({note})"),
        });
        let names = names.collect::<Vec<_>>().join(", ");
        write!(out, "  {} matched: {names}", self.matched.len())?;
        for (name, reason) in &self.left_out {
            write!(out, "\n  left out: {name}: {reason}")?;
        }
        if !self.unused.is_empty() {
            write!(out, "\n  not used of the file: {}", listed(self.unused.iter()))?;
        }
        Ok(())
    }
}
