//! The paper's backbones: their published sizes, and a whole run of each from fit to export.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use common::{Draws, faces};
use dmue_edge::model::Model;
use dmue_train::config::{Augment, Config, Model as ModelConfig};
use dmue_train::export::export;
use dmue_train::model::spec::{Backbone, Convolution};
use dmue_train::train::checkpoint::{self, Position};
use dmue_train::train::folder::{RunFolder, RunInfo};
use dmue_train::train::run::{Paths, RunData, fit};
use tch::{Device, Tensor};

const IMAGENET: i64 = 1000;
const CLASSES: usize = 3;
const PER_CLASS: usize = 16;

/// A published network: parameters and multiply-adds with its 1000-class head at 224x224x3.
struct Published {
    name: &'static str,
    parameters: f64,
    /// Half of the last digit that the source gives.
    parameters_within: f64,
    multiply_adds: f64,
    multiply_adds_within: f64,
}

/// torchvision's documentation gives parameters to the last digit and multiply-adds in units of
/// 1e7 (ResNet-18, ResNet-50 as instance normalisation has as many parameters, MobileNetV2). The
/// ShuffleNet paper gives 524 M multiply-adds for g = 3 at 2x in its table 5, and the repository of
/// its authors (megvii-model/ShuffleNet-Series) 5.4 M parameters.
const PUBLISHED: [Published; 4] = [
    Published {
        name: "resnet18",
        parameters: 11_689_512.,
        parameters_within: 0.,
        multiply_adds: 1.81e9,
        multiply_adds_within: 5e6,
    },
    Published {
        name: "resnet50_ibn",
        parameters: 25_557_032.,
        parameters_within: 0.,
        multiply_adds: 4.09e9,
        multiply_adds_within: 5e6,
    },
    Published {
        name: "mobilenet_v2",
        parameters: 3_504_872.,
        parameters_within: 0.,
        multiply_adds: 0.30e9,
        multiply_adds_within: 5e6,
    },
    Published {
        name: "shufflenet_v1",
        parameters: 5.4e6,
        parameters_within: 5e4,
        multiply_adds: 524e6,
        multiply_adds_within: 5e6,
    },
];

/// Kernels, and scale and shift of every normalised channel.
fn plain_parameters(backbone: &Backbone) -> i64 {
    backbone.convolutions().map(|spec| spec.weights() + 2 * spec.output).sum()
}

#[test]
fn sizes_are_the_published_ones() {
    for published in PUBLISHED {
        let backbone = Backbone::named(published.name, 3, 224).unwrap();
        let bias = if published.name == "shufflenet_v1" { 0 } else { IMAGENET };
        let weights = backbone.feature() * IMAGENET;
        let parameters = plain_parameters(&backbone) + weights + bias;
        let multiply_adds = backbone.multiply_adds() + weights;
        eprintln!("{}: {parameters} parameters, {multiply_adds} multiply-adds", published.name);
        let off = (parameters as f64 - published.parameters).abs();
        assert!(off <= published.parameters_within, "{}: {parameters}", published.name);
        let off = (multiply_adds as f64 - published.multiply_adds).abs();
        assert!(off <= published.multiply_adds_within, "{}: {multiply_adds}", published.name);
    }
}

#[test]
fn each_is_split_before_the_stages_that_the_paper_copies() {
    let splits = [
        ("resnet18", "branch.layer4.0.conv1", 256, 512),
        ("resnet50_ibn", "branch.layer4.0.conv1", 1024, 2048),
        ("mobilenet_v2", "branch.features.14.expand", 96, 1280),
        ("shufflenet_v1", "branch.stage4.0.compress", 960, 1920),
    ];
    for (name, first, input, feature) in splits {
        let backbone = Backbone::named(name, 1, 48).unwrap();
        let in_branch = |spec: &&Convolution| spec.name.starts_with("branch");
        let spec = backbone.convolutions().find(in_branch).unwrap();
        assert_eq!((spec.name.as_str(), spec.input), (first, input));
        assert_eq!(backbone.feature(), feature, "{name}");
    }
}

/// tch has one generator for all threads: one run at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn make_faces(root: &Path, size: usize, seed: u64) -> PathBuf {
    let mut draws = Draws::new(seed);
    for class in 0..CLASSES {
        let folder = root.join(format!("class{class}"));
        std::fs::create_dir_all(&folder).unwrap();
        for index in 0..PER_CLASS {
            let pixels = faces::pixels(class, CLASSES, size, &mut draws);
            std::fs::write(folder.join(format!("{index}.png")), faces::png(&pixels, size)).unwrap();
        }
    }
    root.into()
}

fn config(name: &str, channels: i64, size: i64) -> Config {
    let mut config = Config::named(name).unwrap();
    // Far enough that features differ from face to face: the score's inputs are scaled by their range.
    config.epochs = 4;
    config.batch = 12;
    config.optimiser.body_rate = 5e-3;
    config.optimiser.head_rate = 1e-2;
    config.method.beta = 1.;
    config.augment = Augment::OFF;
    config.model = ModelConfig { channels, size, width: 0.125, ..config.model };
    config
}

fn newest(folder: &RunFolder) -> Vec<(String, Tensor)> {
    let mut tensors =
        Tensor::read_safetensors(checkpoint::newest(&folder.checkpoints()).unwrap()).unwrap();
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    tensors
}

/// Fits in one go and in two parts, which must end alike, exports (which compares with the edge) and
/// opens the file.
fn check_run(name: &str, channels: i64, size: i64) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    tch::set_num_threads(1);
    let files = tempfile::tempdir().unwrap();
    let root = files.path();
    let paths = Paths {
        data: make_faces(&root.join("train"), size as usize, 1),
        valid: make_faces(&root.join("valid"), size as usize, 2),
        skip_bad: false,
    };
    let config = config(name, channels, size);
    let info =
        RunInfo { command: "test".into(), commit: "unknown".into(), licence: "made".into(), paths };
    let data = RunData::open(&info.paths, &config).unwrap();

    let whole = RunFolder::create(&root.join("whole"), &config, &info).unwrap();
    let end = Position { epochs: config.epochs, steps: 0 };
    assert_eq!(fit(&whole, &data, Device::Cpu, &|| false).unwrap(), end);
    let parts = RunFolder::create(&root.join("parts"), &config, &info).unwrap();
    let stopped = fit(&parts, &data, Device::Cpu, &|| true).unwrap();
    assert_eq!(stopped, Position { epochs: 0, steps: 1 });
    assert_eq!(fit(&parts, &data, Device::Cpu, &|| false).unwrap(), end);
    for ((key, expected), (_, found)) in newest(&whole).iter().zip(newest(&parts)) {
        assert!(expected.equal(&found), "{name}: {key} differs after --resume");
    }

    let file = root.join("made.dmue.onnx");
    let report = export(&whole, &file, Device::Cpu).unwrap();
    eprintln!("{name} {channels}x{size}x{size}: {:?}", report.parity);
    let model = Model::open(&file).unwrap();
    assert_eq!(model.manifest().input.shape(), [channels, size, size].map(|dim| dim as usize));
}

#[test]
fn resnet18_runs() {
    check_run("resnet18", 1, 32);
    check_run("resnet18", 3, 100);
}

#[test]
fn resnet50_ibn_runs() {
    check_run("resnet50_ibn", 3, 32);
    check_run("resnet50_ibn", 1, 100);
}

#[test]
fn mobilenet_v2_runs() {
    check_run("mobilenet_v2", 1, 40);
    check_run("mobilenet_v2", 3, 100);
}

#[test]
fn shufflenet_v1_runs() {
    check_run("shufflenet_v1", 3, 35);
    check_run("shufflenet_v1", 1, 100);
}
