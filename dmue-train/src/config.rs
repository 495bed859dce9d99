//! The settings of a run: TOML, unknown keys refused, saved beside the weights.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::data::sampler::RESERVED;
use crate::error::{Error, Result};

/// Bases that may follow each other.
const MAX_BASES: usize = 8;

/// Everything that a run depends on besides its data.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Seeds weights, sampling, augmentation and dropout.
    pub seed: u64,
    /// Passes over as many images as the training set has.
    pub epochs: usize,
    /// N, images per step; at least 2 of each class.
    pub batch: usize,
    /// Every so many epochs a checkpoint is kept for the report; 0 keeps the newest only.
    #[serde(default)]
    pub keep_every: usize,
    /// What the maps are computed in.
    #[serde(default)]
    pub precision: Precision,
    /// Which images, and how often.
    pub data: Data,
    /// Which network.
    pub model: Model,
    /// The weights of method.md.
    pub method: Method,
    /// How the weights move.
    pub optimiser: Optimiser,
    /// How images are varied in training.
    pub augment: Augment,
}

/// What training computes maps and their gradients in. Weights, features, losses and what is exported are
/// float32 always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Single precision.
    #[default]
    Float32,
    /// Half the memory and faster where the processor or GPU has instructions for it: on CPUs avx512_bf16 or AMX.
    Bfloat16,
}

impl Precision {
    /// Of the tensors.
    pub fn kind(self) -> tch::Kind {
        match self {
            Self::Float32 => tch::Kind::Float,
            Self::Bfloat16 => tch::Kind::BFloat16,
        }
    }
}

/// Which images, and how often.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// p in count^-p, the weight of an image in sampling: 0 natural, 1 balanced (method.md 4c).
    pub class_exponent: f64,
    /// Whether the exported model answers for the training set's own class shares: batches hold more
    /// of the rare classes, which is taken back by the logarithm of the ratio (method.md 4c).
    #[serde(default)]
    pub natural_prior: bool,
    /// Share of the training images kept out of training, on which the score head is fitted.
    pub held_out: f64,
    /// The classes to train, in this order; faces of others are left out. Empty: all of the data's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    /// Images of each class that every batch holds: 2, so that SV has another one of the class, or 0
    /// for batches drawn by class weights alone, where no uncertainty module is trained.
    #[serde(default = "reserved")]
    pub reserved: usize,
    /// Share of the training labels replaced by another class drawn at random (synthetic ambiguity).
    #[serde(default)]
    pub flip_labels: f64,
}

fn reserved() -> usize {
    RESERVED
}

/// Which network.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// A name that `model::spec` knows.
    pub backbone: String,
    /// Input channels: 1 gray, 3 RGB.
    pub channels: i64,
    /// Side of the input in pixels.
    pub size: i64,
    /// Factor on the backbone's channel counts; 1 is as published.
    #[serde(default = "published_width")]
    pub width: f64,
    /// Weights to start from in place of random ones: .safetensors, .pt, .pth or .dmue.onnx.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<PathBuf>,
    /// Share of feature values dropped before the neck.
    pub dropout: f64,
    /// n0, the weight in frames of a class mean in the sliding window (method.md section 7).
    pub prior_weight: f64,
}

/// What the target branch learns from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Objective {
    /// All terms of method.md section 5.
    #[default]
    Dmue,
    /// The baseline: cross entropy on the labels, no auxiliary branch.
    Ce,
    /// Cross entropy on the crowd's vote distribution, no auxiliary branch.
    Votes,
}

/// How the latent distribution is mined (method.md section 2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Latent {
    /// LD-N: branch i never sees class i.
    #[default]
    Negative,
    /// LD-A: every branch sees every image.
    All,
}

/// The objective and the weights of method.md, sections 2 and 5.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Method {
    /// What is minimised.
    #[serde(default)]
    pub objective: Objective,
    /// How the latent distribution is mined.
    #[serde(default)]
    pub latent: Latent,
    /// Whether alpha weights the logits (method.md section 4); without it alpha = 1.
    #[serde(default = "yes")]
    pub uncertainty: bool,
    /// Weight of L_soft.
    pub omega: f64,
    /// Weight of L_sp.
    pub gamma: f64,
    /// The epoch at which the ramps turn.
    pub beta: f64,
    /// T, flattens the mined distribution where above 1; LD-A is not tempered.
    pub temperature: f64,
}

fn yes() -> bool {
    true
}

impl Method {
    /// How the auxiliary branches mine; `None` where there are none.
    pub fn auxiliary(&self) -> Option<Latent> {
        (self.objective == Objective::Dmue).then_some(self.latent)
    }

    /// Whether alpha is trained.
    pub fn trains_alpha(&self) -> bool {
        self.objective == Objective::Dmue && self.uncertainty
    }
}

/// The rule by which gradients move the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// Adam with decoupled weight decay.
    Adamw,
    /// Adam with coupled weight decay: the paper's.
    Adam,
    /// SGD with Nesterov momentum 0.9 and coupled weight decay.
    Sgd,
}

/// How the weights move: warm-up, then a half cosine to zero, or steps where `steps` are given.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Optimiser {
    /// The update rule.
    pub rule: Rule,
    /// Peak rate of stem and branches.
    pub body_rate: f64,
    /// Peak rate of heads and neck.
    pub head_rate: f64,
    /// Peak rate of the uncertainty module. It is given the label, so at the heads' rate it finds
    /// that alpha = 0 for a whole hard class is the cheapest loss, and the class is never learned.
    pub uncertainty_rate: f64,
    /// On convolution and head weights only.
    pub weight_decay: f64,
    /// Epochs of linear warm-up.
    pub warmup: f64,
    /// The rates go down in these steps instead of along the cosine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<Steps>,
}

/// Pairs of an epoch, counted from 0, and the factor on the peak rate from then on; ascending.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Steps {
    /// For stem and branches.
    pub body: Vec<(f64, f64)>,
    /// For heads, neck and the uncertainty module.
    pub head: Vec<(f64, f64)>,
}

/// How images are varied in training; 0 switches a variation off.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Augment {
    /// Degrees, drawn from +-.
    pub rotation: f64,
    /// Scale drawn log-uniformly from 1/(1+s)..(1+s).
    pub scale: f64,
    /// Share of the side, drawn from +- in both directions.
    pub shift: f64,
    /// Probability of a mirror image.
    pub flip: f64,
    /// Contrast factor drawn from 1 +- c.
    pub contrast: f64,
    /// Brightness drawn from +- b on 0..1.
    pub brightness: f64,
    /// Probability of erasing a rectangle of 0.02 to `erase_area` of the image.
    pub erase: f64,
    /// Largest share of the image that is erased.
    pub erase_area: f64,
    /// Probability of Gaussian noise of variance 30 on 0..255.
    pub noise: f64,
}

/// The settings that ship, by the names that `--model` takes.
const SHIPPED: [(&str, &str); 10] = [
    ("edge", include_str!("../configs/edge.toml")),
    ("tiny", include_str!("../configs/tiny.toml")),
    ("resnet18", include_str!("../configs/resnet18.toml")),
    ("resnet50_ibn", include_str!("../configs/resnet50_ibn.toml")),
    ("mobilenet_v2", include_str!("../configs/mobilenet_v2.toml")),
    ("shufflenet_v1", include_str!("../configs/shufflenet_v1.toml")),
    ("ferplus", include_str!("../configs/ferplus.toml")),
    ("raf_db", include_str!("../configs/raf_db.toml")),
    ("affectnet", include_str!("../configs/affectnet.toml")),
    ("sfew", include_str!("../configs/sfew.toml")),
];

fn published_width() -> f64 {
    1.
}

impl Config {
    /// The settings that ship for a `--model` name.
    ///
    /// # Errors
    /// An unknown name; the message lists the known ones.
    pub fn named(name: &str) -> Result<Self> {
        let shipped = SHIPPED.iter().find(|(shipped, _)| *shipped == name);
        let (name, text) = shipped.ok_or_else(|| {
            let names = SHIPPED.map(|(name, _)| name).join(", ");
            Error::Config(format!(
                "--model {name} is not known; known are {names}, or give --config FILE"
            ))
        })?;
        Self::parse(text, &format!("configs/{name}.toml"))
    }

    /// Reads and checks a TOML file. With a line `base = "OTHER.toml"`, a path relative to the
    /// file's folder, it holds only what differs from that one.
    ///
    /// # Errors
    /// An unreadable file, an unknown or missing key, a value out of range, bases in a circle.
    pub fn read(path: &Path) -> Result<Self> {
        let table = merged(path, 0)?;
        let fail = |error| Error::Config(format!("{}: {error}", path.display()));
        let config: Self = table.try_into().map_err(fail)?;
        config.check()?;
        Ok(config)
    }

    fn parse(text: &str, name: &str) -> Result<Self> {
        let config: Self =
            toml::from_str(text).map_err(|error| Error::Config(format!("{name}: {error}")))?;
        config.check()?;
        Ok(config)
    }

    /// As TOML, for the copy beside the weights.
    ///
    /// # Errors
    /// None that values of this type can cause.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string_pretty(self).map_err(|error| Error::Config(error.to_string()))
    }

    /// Refuses values out of range, naming key, value and range.
    ///
    /// # Errors
    /// The first value out of range.
    pub fn check(&self) -> Result<()> {
        within("epochs", self.epochs as f64, 1., 100_000.)?;
        within("batch", self.batch as f64, 4., 65_536.)?;
        within("data.class_exponent", self.data.class_exponent, 0., 1.)?;
        within("data.held_out", self.data.held_out, 0.01, 0.9)?;
        within("data.flip_labels", self.data.flip_labels, 0., 0.9)?;
        within("model.size", self.model.size as f64, 8., 1024.)?;
        if ![1, 3].contains(&self.model.channels) {
            let channels = self.model.channels;
            return Err(Error::Config(format!("model.channels = {channels}: must be 1 or 3")));
        }
        within("model.width", self.model.width, 0.05, 4.)?;
        within("model.dropout", self.model.dropout, 0., 0.95)?;
        within("model.prior_weight", self.model.prior_weight, 1e-3, 1e6)?;
        within("method.omega", self.method.omega, 0., 1e6)?;
        within("method.gamma", self.method.gamma, 0., 1e6)?;
        within("method.beta", self.method.beta, 1e-3, 1e5)?;
        within("method.temperature", self.method.temperature, 1e-2, 100.)?;
        self.check_together()?;
        self.optimiser.check()?;
        self.augment.check()
    }
}

impl Config {
    /// Refuses values that are right alone but not beside each other.
    fn check_together(&self) -> Result<()> {
        let (reserved, flipped) = (self.data.reserved, self.data.flip_labels);
        if self.method.trains_alpha() && reserved < RESERVED || reserved > self.batch {
            return Err(Error::Config(format!(
                "data.reserved = {reserved}: must be {RESERVED} or more where method.uncertainty is \
                 on (SV needs another image of the class), and at most the batch"
            )));
        }
        if self.method.objective == Objective::Votes && flipped > 0. {
            return Err(Error::Config(format!(
                "data.flip_labels = {flipped}: must be 0 with method.objective = \"votes\", which \
                 does not look at labels"
            )));
        }
        Ok(())
    }
}

impl Optimiser {
    fn check(&self) -> Result<()> {
        within("optimiser.body_rate", self.body_rate, 0., 10.)?;
        within("optimiser.head_rate", self.head_rate, 0., 10.)?;
        within("optimiser.uncertainty_rate", self.uncertainty_rate, 0., 10.)?;
        within("optimiser.weight_decay", self.weight_decay, 0., 1.)?;
        within("optimiser.warmup", self.warmup, 0., 1e5)?;
        match &self.steps {
            None => Ok(()),
            Some(steps) => {
                check_steps("optimiser.steps.body", &steps.body)?;
                check_steps("optimiser.steps.head", &steps.head)
            }
        }
    }
}

fn check_steps(key: &str, steps: &[(f64, f64)]) -> Result<()> {
    for (epoch, factor) in steps {
        within(&format!("an epoch of {key}"), *epoch, 0., 1e5)?;
        within(&format!("a factor of {key}"), *factor, 0., 1.)?;
    }
    if steps.is_sorted_by(|before, after| before.0 < after.0) {
        return Ok(());
    }
    Err(Error::Config(format!("{key} = {steps:?}: the epochs must ascend")))
}

impl Augment {
    /// Images as they are.
    pub const OFF: Self = Self {
        rotation: 0.,
        scale: 0.,
        shift: 0.,
        flip: 0.,
        contrast: 0.,
        brightness: 0.,
        erase: 0.,
        erase_area: 0.25,
        noise: 0.,
    };

    fn check(&self) -> Result<()> {
        within("augment.rotation", self.rotation, 0., 180.)?;
        within("augment.scale", self.scale, 0., 4.)?;
        within("augment.shift", self.shift, 0., 1.)?;
        within("augment.flip", self.flip, 0., 1.)?;
        within("augment.contrast", self.contrast, 0., 1.)?;
        within("augment.brightness", self.brightness, 0., 1.)?;
        within("augment.erase", self.erase, 0., 1.)?;
        within("augment.erase_area", self.erase_area, 0.02, 0.9)?;
        within("augment.noise", self.noise, 0., 1.)
    }
}

/// The table of a file over that of its base.
fn merged(path: &Path, depth: usize) -> Result<Table> {
    let fail = |reason: String| Error::Config(format!("{}: {reason}", path.display()));
    if depth > MAX_BASES {
        return Err(fail(format!("more than {MAX_BASES} bases in a row: do they form a circle?")));
    }
    let text = std::fs::read_to_string(path).map_err(Error::file(path))?;
    let mut table: Table = text.parse().map_err(|error| fail(format!("{error}")))?;
    match table.remove("base") {
        None => Ok(table),
        Some(Value::String(base)) => {
            let mut whole = merged(&path.with_file_name(base), depth + 1)?;
            overlay(&mut whole, table);
            Ok(whole)
        }
        Some(other) => Err(fail(format!("base = {other}: must be the path of a config in quotes"))),
    }
}

/// Puts every value of `over` into `table`, section by section.
fn overlay(table: &mut Table, over: Table) {
    for (key, value) in over {
        match (table.get_mut(&key), value) {
            (Some(Value::Table(section)), Value::Table(values)) => overlay(section, values),
            (_, value) => {
                table.insert(key, value);
            }
        }
    }
}

fn within(key: &str, value: f64, low: f64, high: f64) -> Result<()> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(Error::Config(format!("{key} = {value}: must be within {low}..={high}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shipped_configs_are_valid_and_survive_a_round_trip() {
        for (name, _) in SHIPPED {
            let config = Config::named(name).unwrap();
            let again = Config::parse(&config.to_toml().unwrap(), "again").unwrap();
            assert_eq!(config.to_toml().unwrap(), again.to_toml().unwrap());
        }
    }

    #[test]
    fn unknown_keys_and_values_out_of_range_are_named() {
        let text = include_str!("../configs/tiny.toml");
        let unknown = Config::parse(&format!("colour = 1\n{text}"), "x").unwrap_err().to_string();
        assert!(unknown.contains("colour"), "{unknown}");
        let mut config = Config::named("tiny").unwrap();
        config.method.temperature = f64::NAN;
        let nan = config.check().unwrap_err().to_string();
        assert!(nan.contains("method.temperature = NaN"), "{nan}");
    }
}
