//! The file must compute what the trainer computes.

use dmue_edge::model::Model;
use dmue_edge::model::file::ModelFile;
use dmue_edge::model::proto::pb::ModelProto;
use dmue_edge::model::runtime::run_graph;
use tch::{Device, Kind, Tensor};

use super::score_head::{ScoreHead, inputs};
use super::values;
use crate::data::dataset::Dataset;
use crate::error::{Error, Result};
use crate::model::dmue::Dmue;
use crate::train::epoch::normalise;

/// Faces that are compared.
const FACES: usize = 64;
/// Largest difference that passes, as a share of an output's range over those faces.
const TOLERANCE: f64 = 1e-4;

/// An output that hardly moves over those faces is held to this share of its size instead.
const MIN_RANGE: f64 = 1e-3;

/// Largest differences on the compared faces, each as a share of the output's range.
#[derive(Clone, Copy, Debug)]
pub struct Differences {
    /// Faces compared.
    pub faces: usize,
    /// Of the logits.
    pub logits: f64,
    /// Of the feature.
    pub feature: f64,
    /// Of the score as the edge computes it.
    pub score: f64,
    /// Of the score as the file's own graph computes it.
    pub graph_score: f64,
}

/// Runs validation faces through tch and through the file.
///
/// # Errors
/// A file that the edge refuses, or a difference above 1e-4 of an output's range.
pub fn check(
    proto: &ModelProto,
    model: &Dmue,
    means: &Tensor,
    score: &ScoreHead,
    data: &Dataset,
    device: Device,
) -> Result<Differences> {
    let indices: Vec<usize> = (0..data.len().min(FACES)).collect();
    let (images, _) = data.batch(&indices, device);
    let images = normalise(&images);
    let target = model.forward_target(&images);
    let inputs = inputs(&target.feature, &target.logits, &means.to_device(device));
    let scores = score.scores(&inputs.to_device(Device::Cpu));

    let faces: Vec<Vec<f32>> = (0..images.size()[0]).map(|row| values(&images.get(row))).collect();
    let edge = run(proto, &faces)?;
    let differences = Differences {
        faces: faces.len(),
        logits: difference(&target.logits, &edge.logits) / range(&target.logits),
        feature: difference(&target.feature, &edge.feature) / range(&target.feature),
        // A probability: its range is 1, however close together an untrained network's scores are.
        score: difference(&scores, &edge.score),
        graph_score: difference(&scores, &edge.graph_score),
    };
    differences.judge()
}

struct Edge {
    logits: Vec<f32>,
    feature: Vec<f32>,
    score: Vec<f32>,
    graph_score: Vec<f32>,
}

fn run(proto: &ModelProto, faces: &[Vec<f32>]) -> Result<Edge> {
    let file = ModelFile::check(proto.clone()).map_err(dmue_edge::Error::from)?;
    let graph = run_graph(&file, faces.iter().map(Vec::as_slice))?;
    let model = Model::from_file(file).map_err(dmue_edge::Error::from)?;
    let mut edge = Edge { logits: vec![], feature: vec![], score: vec![], graph_score: vec![] };
    for (face, graph) in faces.iter().zip(graph) {
        let inference = model.infer_tensor(face)?;
        edge.logits.extend(inference.logits);
        edge.feature.extend(inference.feature);
        edge.score.push(inference.score);
        edge.graph_score.push(graph.score);
    }
    Ok(edge)
}

/// The largest absolute difference.
fn difference(expected: &Tensor, found: &[f32]) -> f64 {
    let expected = expected.to_device(Device::Cpu).to_kind(Kind::Double).flatten(0, -1);
    let found = Tensor::from_slice(found).to_kind(Kind::Double);
    (expected - found).abs().max().double_value(&[])
}

/// Largest minus smallest value, above 0.
fn range(values: &Tensor) -> f64 {
    let values = values.to_kind(Kind::Double);
    let range = (values.max() - values.min()).double_value(&[]);
    range.max(MIN_RANGE * values.abs().max().double_value(&[])).max(f64::MIN_POSITIVE)
}

impl Differences {
    fn judge(self) -> Result<Self> {
        let named = [
            ("logits", self.logits),
            ("feature", self.feature),
            ("score", self.score),
            ("the graph's score", self.graph_score),
        ];
        let differs = |difference: f64| difference.is_nan() || difference > TOLERANCE;
        match named.iter().find(|(_, difference)| differs(*difference)) {
            None => Ok(self),
            Some((name, difference)) => Err(Error::Parity(format!(
                "{name} by {difference:.1e} of its range on {} faces, at most {TOLERANCE:.0e} is \
                 allowed",
                self.faces
            ))),
        }
    }
}
