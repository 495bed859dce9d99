//! A finished run, opened to be asked about faces.

use std::path::Path;

use tch::{Device, Kind, Tensor, nn};

use super::confidence::MAX_SOFTMAX;
use crate::config::{Config, Latent};
use crate::data::dataset::Dataset;
use crate::data::sampler::Sampler;
use crate::error::{Error, Result};
use crate::export::{
    class_means::class_means, correct_prior, score_head, target_of, target_outputs,
};
use crate::losses::latent::{latent, latent_of_all, negative};
use crate::model::dmue::{BranchStatistics, Dmue};
use crate::model::uncertainty::unit;
use crate::train::checkpoint;
use crate::train::epoch::normalise;
use crate::train::folder::RunFolder;
use crate::train::run::{RunData, network};

/// A row per face, a column per class.
pub type Rows = Vec<Vec<f64>>;

/// Images per forward pass.
const BATCH: usize = 256;
/// Training batches from which the neck's statistics of the auxiliary branches are taken.
const STATISTICS_BATCHES: usize = 16;

/// A run's newest checkpoint and its data.
#[derive(Debug)]
pub struct Opened {
    /// The run folder's name.
    pub name: String,
    /// Its settings.
    pub config: Config,
    /// Finished epochs.
    pub epochs: usize,
    /// Its data, as it was trained on them.
    pub data: RunData,
    folder: RunFolder,
    store: nn::VarStore,
    model: Dmue,
    device: Device,
}

/// How sure a measure is of each face's answer; higher is surer.
#[derive(Clone, Debug)]
pub struct Measure {
    /// For tables.
    pub name: &'static str,
    /// One for each face.
    pub confidence: Vec<f64>,
    /// Whether it was told the annotated label, which no device knows.
    pub knows_label: bool,
}

/// What the network says of a set of faces.
#[derive(Debug)]
pub struct Outputs {
    /// `[n, C]`
    logits: Tensor,
    /// `[n, D]`
    feature: Tensor,
    labels: Tensor,
}

impl Opened {
    /// Reads settings, data and the newest checkpoint.
    ///
    /// # Errors
    /// A folder without a run or checkpoint, data that cannot be read.
    pub fn open(path: &Path, device: Device) -> Result<Self> {
        let folder = RunFolder::open(path);
        let config = folder.config()?;
        let data = RunData::open(&folder.info()?.paths, &config)?;
        let (mut store, mut model) = network(&config, data.train.classes.len(), device)?;
        let newest = checkpoint::newest(&folder.checkpoints())?;
        let epochs = checkpoint::load(&newest, &mut store, None)?.epochs;
        correct_prior(&mut model, &config, &data.train, device)?;
        let name = path.canonicalize().map_err(Error::file(path))?;
        let name = name.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { name, config, epochs, data, folder, store, model, device })
    }

    /// The run's folder.
    pub fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// Whether it has auxiliary branches to mine with.
    pub fn mines(&self) -> bool {
        self.config.method.auxiliary().is_some()
    }

    /// The target branch over all faces of `data`.
    pub fn outputs(&self, data: &Dataset) -> Outputs {
        let (logits, feature) = target_outputs(&self.model, data, self.device);
        Outputs { logits, feature, labels: label_tensor(&data.labels) }
    }

    /// The mined latent distributions of the faces of `indices` under their labels in `data`; empty
    /// where the run does not mine.
    ///
    /// # Errors
    /// Rows that libtorch does not hand out.
    pub fn mined(&self, data: &Dataset, indices: &[usize]) -> Result<Rows> {
        let Some(kind) = self.config.method.auxiliary() else { return Ok(vec![]) };
        let statistics = self.branch_statistics()?;
        let mut rows = vec![];
        for chunk in indices.chunks(BATCH) {
            let (images, labels) = data.batch(chunk, self.device);
            let features = self.model.auxiliary_features(&normalise(&images));
            let logits = self.model.mined_logits(&features, &statistics);
            rows.extend(to_rows(&match kind {
                Latent::Negative => latent(&logits, &labels, self.config.method.temperature),
                Latent::All => latent_of_all(&logits, &labels),
            })?);
        }
        Ok(rows)
    }

    /// The mined distributions at each checkpoint that was kept, with its finished epochs; the
    /// newest is loaded again at the end.
    ///
    /// # Errors
    /// A checkpoint that cannot be read.
    pub fn history(&mut self, data: &Dataset, indices: &[usize]) -> Result<Vec<(usize, Rows)>> {
        let mut history = vec![];
        for file in checkpoint::list(&self.folder.checkpoints())?.0 {
            let position = checkpoint::load(&file, &mut self.store, None)?;
            history.push((position.epochs, self.mined(data, indices)?));
        }
        Ok(history)
    }

    /// The paper's alpha of the faces of `indices` under their labels, in one batch.
    pub fn alpha_in_batch(&self, data: &Dataset, indices: &[usize]) -> Vec<f64> {
        let (images, labels) = data.batch(indices, self.device);
        let feature = self.model.forward_target(&normalise(&images)).feature;
        values(&tch::no_grad(|| self.model.uncertainty.forward(&feature, &labels)))
    }

    /// Every measure of confidence in the answers of `outputs`, the shipped score first: its head is
    /// fitted on the held-out faces as the exporter does.
    pub fn measures(&self, outputs: &Outputs) -> Result<Vec<Measure>> {
        let means = class_means(&self.model, &self.data.train, self.device);
        let means = means.to_device(Device::Cpu);
        let (held_out, seed) = (&self.data.held_out, self.config.seed);
        let network = |images: &Tensor| Ok(target_of(&self.model, images, self.device));
        let examples = score_head::Examples::new(&network, held_out, &means, seed)?;
        let head = score_head::fit(&examples, seed);
        let inputs = score_head::inputs(&outputs.feature, &outputs.logits, &means);
        let shares = outputs.logits.softmax(1, Kind::Double);
        let entropy = -(&shares * (&shares + 1e-12).log()).sum_dim_intlist(
            [1i64].as_slice(),
            false,
            Kind::Double,
        );
        let similarity = unit(&outputs.feature).matmul(&means.transpose(0, 1));
        let predicted = outputs.logits.argmax(1, true);
        let own = similarity.gather(1, &predicted, false);
        let measure = |name, confidence: &Tensor| Measure {
            name,
            confidence: values(confidence),
            knows_label: false,
        };
        let mut measures = vec![
            measure("score", &head.scores(&inputs)),
            measure(MAX_SOFTMAX, &shares.amax([1i64].as_slice(), false)),
            measure("entropy", &-entropy),
            measure("feature-centroid distance", &own),
        ];
        if self.config.method.trains_alpha() {
            let alpha = |labels: &Tensor| {
                let head = self.model.uncertainty.judge(&similarity.to_device(self.device), labels);
                tch::no_grad(|| head.detach())
            };
            let predicted = predicted.squeeze_dim(1).to_device(self.device);
            measures.push(measure("alpha of the answer", &alpha(&predicted)));
            let annotated = alpha(&outputs.labels.to_device(self.device));
            let annotated = measure("alpha of the annotation", &annotated);
            measures.push(Measure { knows_label: true, ..annotated });
        }
        Ok(measures)
    }

    /// Mean and variance of the auxiliary branches' features over training batches, in place of a
    /// batch's own.
    fn branch_statistics(&self) -> Result<BranchStatistics> {
        let train = &self.data.train;
        let sampler = Sampler::of(&train.labels, &train.classes, &self.config)?;
        let batches = sampler.epoch(self.config.seed).into_iter().take(STATISTICS_BATCHES);
        let features: Vec<Tensor> = batches
            .map(|indices| {
                let (images, _) = train.batch(&indices, self.device);
                self.model.auxiliary_features(&normalise(&images))
            })
            .collect();
        Ok(BranchStatistics::of(&Tensor::cat(&features, 0)))
    }
}

impl Outputs {
    /// softmax(logits), `[n][C]`.
    ///
    /// # Errors
    /// Rows that libtorch does not hand out.
    pub fn probabilities(&self) -> Result<Rows> {
        to_rows(&self.logits.softmax(1, Kind::Double))
    }

    /// The softmax over the classes other than the label, renormalised: what a network without
    /// auxiliary branches says about them.
    ///
    /// # Errors
    /// Rows that libtorch does not hand out.
    pub fn negative_probabilities(&self) -> Result<Rows> {
        to_rows(&negative(&self.logits.softmax(1, Kind::Double), &self.labels))
    }
}

fn label_tensor(labels: &[usize]) -> Tensor {
    Tensor::from_slice(&labels.iter().map(|&label| label as i64).collect::<Vec<_>>())
}

fn to_rows(tensor: &Tensor) -> Result<Rows> {
    Ok(Vec::try_from(tensor.to_device(Device::Cpu).to_kind(Kind::Double).contiguous())?)
}

fn values(tensor: &Tensor) -> Vec<f64> {
    let flat = tensor.to_device(Device::Cpu).to_kind(Kind::Double).flatten(0, -1);
    Vec::try_from(flat.contiguous()).unwrap_or_default()
}
