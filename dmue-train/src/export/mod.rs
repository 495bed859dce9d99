//! From a run's last checkpoint to `NAME.dmue.onnx`, in steps.

use std::collections::BTreeMap;
use std::path::Path;

use dmue_edge::face::align::FaceTemplate;
use dmue_edge::model::{InputSpec, Manifest, TrainingInfo, file, graph, manifest::FORMAT_VERSION};
use dmue_edge::uncertainty::{PairwiseUncertainty, Prior, TwoLayerHead};
use tch::{Device, Kind, Tensor, nn};

use crate::config::Config;
use crate::data::dataset::Dataset;
use crate::data::sample::CropSpec;
use crate::data::sampler::Sampler;
use crate::error::{Error, Result};
use crate::model::dmue::Dmue;
use crate::model::spec::Backbone;
use crate::train::epoch::{DEVIATION, MEAN, normalise};
use crate::train::folder::{RunFolder, RunInfo};
use crate::train::run::{RunData, network};
use crate::train::{checkpoint, validate::outputs};

pub mod class_means;
pub mod familiarity;
pub mod network;
pub mod parity;
pub mod score_head;

/// What an export found out on its way.
#[derive(Debug)]
pub struct Report {
    /// Finished epochs of the checkpoint.
    pub epochs: usize,
    /// Share of held-out faces that the network labels right; the score head learned from them.
    pub held_out_accuracy: f64,
    /// Largest differences between the file and the trainer.
    pub parity: parity::Differences,
    /// Size of the file in bytes.
    pub bytes: u64,
}

/// Writes the model of a run to `out` and reads it back through dmue-edge.
///
/// # Errors
/// A run without checkpoint, data that cannot be read, a file that differs from the trainer.
pub fn export(run: &RunFolder, out: &Path, device: Device) -> Result<Report> {
    let (config, info) = (run.config()?, run.info()?);
    let data = RunData::open(&info.paths, &config)?;
    let (mut store, mut model) = network(&config, data.train.classes.len(), device)?;
    let newest = checkpoint::newest(&run.checkpoints())?;
    let epochs = checkpoint::load(&newest, &mut store, None)?.epochs;

    correct_prior(&mut model, &config, &data.train, device)?;

    let means = class_means::class_means(&model, &data.train, device);
    let network = |images: &Tensor| Ok(target_of(&model, images, device));
    let held_out = score_head::Examples::new(&network, &data.held_out, &means, config.seed)?;
    let score = score_head::fit(&held_out, config.seed);
    let uncertainty = uncertainty(&config, &means, &score, &model)?;

    let manifest = manifest(out, &config, &info, &data)?;
    let nodes = network::subgraph(&Backbone::of(&config.model)?, &variables(&store), &model);
    let proto = graph::assemble(nodes, &uncertainty, &manifest).map_err(dmue_edge::Error::from)?;
    // Compared before it is named: a file that differs never stands under the asked name.
    let differences = parity::check(&proto, &model, &means, &score, &data.valid, device)?;
    file::write(out, &proto).map_err(dmue_edge::Error::from)?;
    Ok(Report {
        epochs,
        held_out_accuracy: held_out.accuracy(),
        parity: differences,
        bytes: std::fs::metadata(out).map_err(Error::file(out))?.len(),
    })
}

/// Lets the model answer for the prior of the classes that the config asks for (method.md 4c).
///
/// # Errors
/// Training data that the config's sampler refuses.
pub fn correct_prior(
    model: &mut Dmue,
    config: &Config,
    train: &Dataset,
    device: Device,
) -> Result<()> {
    if !config.data.natural_prior && config.data.logit_adjustment == 0. {
        return Ok(());
    }
    let sampler = Sampler::of(&train.labels, &train.classes, config)?;
    let alpha = if config.method.trains_alpha() { mean_alpha(model, train, device) } else { 1. };
    model.correct_prior(&config.data.prior_shift(&train.shares(), &sampler.shares()), alpha);
    Ok(())
}

/// Mean alpha of a thousand training images under their labels.
fn mean_alpha(model: &Dmue, train: &Dataset, device: Device) -> f64 {
    let indices: Vec<usize> = (0..train.len().min(1000)).collect();
    let (images, labels) = train.batch(&indices, device);
    let feature = model.forward_target(&normalise(&images)).feature;
    tch::no_grad(|| model.uncertainty.forward(&feature, &labels).mean(Kind::Double))
        .double_value(&[])
}

fn variables(store: &nn::VarStore) -> BTreeMap<String, Tensor> {
    store.variables().into_iter().collect()
}

fn uncertainty(
    config: &Config,
    means: &Tensor,
    score: &score_head::ScoreHead,
    model: &Dmue,
) -> Result<PairwiseUncertainty> {
    let (classes, feature) = means.size2()?;
    let weight = config.model.prior_weight as f32;
    let prior = Prior::new(values(means), weight, classes as usize, feature as usize);
    let paper = &model.uncertainty;
    let alpha = TwoLayerHead::new(
        2 * classes as usize,
        values(&paper.weight1),
        values(&paper.bias1),
        values(&paper.slope)[0],
        values(&paper.weight2),
        values(&paper.bias2)[0],
    );
    Ok(PairwiseUncertainty::new(prior?, score.to_edge()?, alpha?)?)
}

fn manifest(out: &Path, config: &Config, info: &RunInfo, data: &RunData) -> Result<Manifest> {
    let channels = config.model.channels as usize;
    let name = out.file_name().unwrap_or_default().to_string_lossy();
    Ok(Manifest {
        format_version: FORMAT_VERSION,
        name: name.trim_end_matches(".onnx").trim_end_matches(".dmue").to_owned(),
        classes: data.train.classes.clone(),
        input: InputSpec {
            size: config.model.size as u32,
            colour: CropSpec::of(&config.model).colour,
            mean: vec![MEAN as f32; channels],
            std: vec![DEVIATION as f32; channels],
            template: FaceTemplate::FERPLUS,
        },
        training: TrainingInfo {
            data: format!("{} faces of {}", data.train.len(), info.data_name()),
            licence: info.licence.clone(),
            command: info.command.clone(),
            commit: info.commit.clone(),
            seed: config.seed,
            metrics: BTreeMap::new(),
        },
        temperature: 1.0,
        abstention: Vec::new(),
    })
}

/// All values of a tensor in row-major order.
pub fn values(tensor: &Tensor) -> Vec<f32> {
    let flat = tensor.detach().to_device(Device::Cpu).to_kind(Kind::Float).flatten(0, -1);
    Vec::try_from(flat.contiguous()).unwrap_or_default()
}

/// The target branch over images `[n,ch,S,S]` in 0..1: (feature `[n,D]`, logits `[n,C]`) on the CPU.
pub fn target_of(model: &Dmue, images: &Tensor, device: Device) -> (Tensor, Tensor) {
    let output = model.forward_target(&normalise(&images.to_device(device)));
    (output.feature.to_device(Device::Cpu), output.logits.to_device(Device::Cpu))
}

/// The target branch over a whole set: (logits `[n,C]`, feature `[n,D]`) on the CPU.
pub fn target_outputs(model: &Dmue, data: &Dataset, device: Device) -> (Tensor, Tensor) {
    let (mut logits, mut features) = (vec![], vec![]);
    for (output, _) in outputs(model, data, device) {
        logits.push(output.logits.to_device(Device::Cpu));
        features.push(output.feature.to_device(Device::Cpu));
    }
    (Tensor::cat(&logits, 0), Tensor::cat(&features, 0))
}
