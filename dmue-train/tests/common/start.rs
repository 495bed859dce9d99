//! Networks to start from weights.

use std::collections::BTreeMap;
use std::path::Path;

use dmue_train::config::Config;
use dmue_train::model::dmue::Dmue;
use dmue_train::model::pretrained::{Report, initialise};
use dmue_train::model::spec::Backbone;
use dmue_train::train::run::network;
use tch::{Device, Tensor, nn};

pub type Tensors = BTreeMap<String, Tensor>;

pub fn write(tensors: &Tensors, file: &Path) {
    let pairs: Vec<_> = tensors.iter().collect();
    Tensor::write_safetensors(&pairs, file).unwrap();
}

pub struct Network {
    pub store: nn::VarStore,
    pub model: Dmue,
    pub backbone: Backbone,
    pub classes: Vec<String>,
}

impl Network {
    pub fn new(name: &str, channels: i64, size: i64, width: f64, classes: &[&str]) -> Self {
        tch::set_num_threads(1);
        let mut config = Config::named(name).unwrap();
        config.model.channels = channels;
        config.model.size = size;
        config.model.width = width;
        let (store, model) = network(&config, classes.len(), Device::Cpu).unwrap();
        let backbone = Backbone::of(&config.model).unwrap();
        let classes = classes.iter().map(ToString::to_string).collect();
        Self { store, model, backbone, classes }
    }

    pub fn start(&self, file: &Path) -> dmue_train::Result<Report> {
        initialise(file, &self.backbone, &self.classes, &self.store)
    }

    pub fn variable(&self, name: &str) -> Tensor {
        self.store.variables()[name].detach()
    }
}

/// Refusals must leave no doubt about what they name.
pub fn refusal(network: &Network, file: &Path) -> String {
    let error = network.start(file).unwrap_err().to_string();
    assert!(error.contains(&file.display().to_string()), "{error}");
    error
}

pub const TWO: [&str; 2] = ["calm", "moved"];

pub fn range(value: &Tensor) -> f64 {
    (value.max() - value.min()).double_value(&[])
}
