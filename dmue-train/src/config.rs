//! The settings of a run: TOML, unknown keys refused, saved beside the weights.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::data::sampler::RESERVED;
use crate::error::{Error, Result};

mod augment;
mod base;
mod method;
mod optimiser;

pub use augment::Augment;
pub use method::{Latent, Method, Objective};
pub use optimiser::{Optimiser, Rule, Steps};

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
    /// tau: the exported model's logits have tau * log(share of the class) less than was learnt, for rare classes
    /// found more often at some cost of frequent ones; 1 answers as for equal shares.
    #[serde(default)]
    pub logit_adjustment: f64,
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

impl Data {
    /// What is added to the logits `[C]` of a network that learned from batches with the shares `sampled`, for
    /// the prior that the settings ask for; `natural` are the training set's shares.
    pub fn prior_shift(&self, natural: &[f64], sampled: &[f64]) -> Vec<f64> {
        let shift = |(natural, sampled): (&f64, &f64)| {
            let answered = if self.natural_prior { natural } else { sampled };
            (answered / sampled).ln() - self.logit_adjustment * answered.ln()
        };
        natural.iter().zip(sampled).map(shift).collect()
    }
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
        let table = base::merged(path, 0)?;
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
        within("data.logit_adjustment", self.data.logit_adjustment, 0., 1.)?;
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
        self.check_together()?;
        self.method.check()?;
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
        if self.method.crowd > 0. && flipped > 0. {
            return Err(Error::Config(format!(
                "data.flip_labels = {flipped}: must be 0 with method.crowd = {}: votes are not flipped",
                self.method.crowd
            )));
        }
        if self.augment.mixes() && self.method.auxiliary().is_some() {
            return Err(Error::Config(
                "augment.mixup and augment.cutmix must be 0 with method.objective = \"dmue\": its branches \
                 need faces of one class each"
                    .into(),
            ));
        }
        Ok(())
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
