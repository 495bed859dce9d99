//! Post-training quantisation of an exported file: convolutions with 8-bit weights, a scale for each channel, and 8-bit
//! activations whose ranges come from faces.

use std::collections::HashMap;

use dmue_edge::model::Model;
use dmue_edge::model::file::ModelFile;
use dmue_edge::model::preprocess::normalise;
use dmue_edge::model::proto::pb::{GraphProto, ModelProto};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::data::dataset::Source;
use crate::error::{Error, Result};
use crate::eval::answers;
use crate::metrics::{accuracy, confusion, mean_recall, recalls};
use observe::Observed;
use select::{Convolution, Left};

mod graph;
mod observe;
pub mod ranges;
pub mod select;
pub mod weights;

/// Operators of a graph that is quantised already.
const QUANTISED: [&str; 3] = ["QLinearConv", "QuantizeLinear", "DequantizeLinear"];

/// A file in 8 bits, and how it came about.
#[derive(Debug)]
pub struct Quantised {
    /// The file.
    pub proto: ModelProto,
    /// Faces that the ranges come from.
    pub faces: usize,
    /// Number of convolutions that are computed in 8 bits.
    pub convolutions: usize,
    /// Those that are left, and why.
    pub left: Vec<Left>,
}

/// Figures of one file on the faces of [`compare`]; shares in per cent.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// Right answers.
    pub accuracy: f64,
    /// Mean over the classes of the share that is found.
    pub mean_recall: f64,
}

/// Two files side by side.
#[derive(Clone, Copy, Debug)]
pub struct Comparison {
    /// Distinct faces.
    pub faces: usize,
    /// Of the one and the other file.
    pub figures: [Figures; 2],
    /// Mean size of the difference of a logit.
    pub logit_difference: f64,
    /// Largest less smallest logit of the first file.
    pub logit_range: f64,
}

/// Quantises the convolutions of `file`; the ranges of what they read and make come from `count` distinct faces of
/// `source`, drawn by `seed`. Its manifest, whose command may have been changed, is kept.
///
/// # Errors
/// A file that is quantised already, or has no convolution to quantise; no face.
pub fn quantise(file: ModelFile, source: Source, count: usize, seed: u64) -> Result<Quantised> {
    let edge = dmue_edge::Error::from;
    Model::from_file(file.clone()).map_err(edge)?;
    let input = file.manifest.input.clone();
    let mut proto = file.into_proto().map_err(edge)?;
    let (convolutions, left) = convolutions(proto.graph.as_ref())?;
    let crops = drawn(source, count, seed)?;
    let faces = crops.iter().map(|sample| Ok(normalise(&sample.crop, &input).map_err(edge)?));
    let faces: Vec<Vec<f32>> = faces.collect::<Result<_>>()?;
    let observed = Observed::new(proto.clone(), tensors(&convolutions), input.shape())?;
    let quantisations: HashMap<_, _> = observed.quantisations(&faces)?.into_iter().collect();
    if let Some(graph) = &mut proto.graph {
        graph::rewrite(graph, &convolutions, &quantisations);
    }
    Ok(Quantised { proto, faces: faces.len(), convolutions: convolutions.len(), left })
}

/// Runs the distinct faces of `source` through both models.
///
/// # Errors
/// No face; a class that the models do not know.
pub fn compare(models: [&Model; 2], mut source: Source) -> Result<Comparison> {
    source.drop_duplicates();
    let [ones, others] = [answers(models[0], &source)?, answers(models[1], &source)?];
    if ones.is_empty() {
        return Err(Error::Config(format!("no face to compare on is left of {}", source.summary)));
    }
    let logits = |answers: &[crate::metrics::Answer]| -> Vec<f64> {
        answers.iter().flat_map(|answer| &answer.logits).map(|&logit| f64::from(logit)).collect()
    };
    let (a, b) = (logits(&ones), logits(&others));
    let differences = a.iter().zip(&b).map(|(a, b)| (a - b).abs());
    let ends = a.iter().fold([f64::INFINITY, f64::NEG_INFINITY], |[l, h], &v| [l.min(v), h.max(v)]);
    let classes = models[0].manifest().classes.len();
    let figures = [ones, others].map(|answers| Figures {
        accuracy: 100. * accuracy(&answers),
        mean_recall: 100. * mean_recall(&recalls(&confusion(&answers, classes))),
    });
    Ok(Comparison {
        faces: source.samples.len(),
        figures,
        logit_difference: differences.sum::<f64>() / a.len() as f64,
        logit_range: ends[1] - ends[0],
    })
}

fn convolutions(graph: Option<&GraphProto>) -> Result<(Vec<Convolution>, Vec<Left>)> {
    let Some(graph) = graph else { return Err(Error::Config("the file holds no graph".into())) };
    if graph.node.iter().any(|node| QUANTISED.contains(&node.op_type.as_str())) {
        return Err(Error::Config("the model is quantised already".into()));
    }
    let (taken, left) = select::convolutions(graph);
    if taken.is_empty() {
        let reasons: Vec<String> =
            left.iter().map(|left| format!("{}: {}", left.name, left.reason)).collect();
        let reasons = reasons.join("; ");
        return Err(Error::Config(format!("no convolution can be quantised ({reasons})")));
    }
    Ok((taken, left))
}

/// Names of what convolutions read and make, each once.
fn tensors(convolutions: &[Convolution]) -> Vec<String> {
    let names = convolutions.iter().flat_map(|taken| [taken.input.clone(), taken.output.clone()]);
    let names: std::collections::BTreeSet<String> = names.collect();
    names.into_iter().collect()
}

fn drawn(mut source: Source, count: usize, seed: u64) -> Result<Vec<crate::data::sample::Sample>> {
    source.drop_duplicates();
    let mut samples = source.samples;
    samples.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    samples.truncate(count);
    if samples.is_empty() {
        return Err(Error::Config(format!(
            "no face to take ranges from is left of {}",
            source.summary
        )));
    }
    Ok(samples)
}
