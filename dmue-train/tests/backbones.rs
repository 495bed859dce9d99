//! The paper's backbones: their published sizes, and a run of each from fit to the edge.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use common::{Draws, difference, faces};
use dmue_edge::face::align::FaceTemplate;
use dmue_edge::model::file::write;
use dmue_edge::model::graph::assemble;
use dmue_edge::model::manifest::FORMAT_VERSION;
use dmue_edge::model::{Colour, InputSpec, Manifest, Model, TrainingInfo};
use dmue_edge::uncertainty::{
    PairwiseUncertainty, Prior, TwoLayerHead, alpha_inputs, score_inputs,
};
use dmue_train::config::{Augment, Config, Model as ModelConfig};
use dmue_train::export::network::subgraph;
use dmue_train::model::dmue::Dmue;
use dmue_train::model::spec::{Backbone, Convolution};
use dmue_train::train::checkpoint::{self, Position};
use dmue_train::train::epoch::{DEVIATION, MEAN, normalise};
use dmue_train::train::folder::{RunFolder, RunInfo};
use dmue_train::train::run::{Paths, RunData, fit, network};
use tch::{Device, Tensor, nn};

const IMAGENET: i64 = 1000;
const CLASSES: [&str; 3] = ["plain", "barred", "chequered"];
const PER_CLASS: usize = 12;
/// Of the range over the compared faces.
const TOLERANCE: f64 = 1e-4;
/// At momentum 0.1, 97 % of the running statistics are then the data's.
const PASSES: usize = 35;

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

/// Pictures of coarse and fine structure: it tells them apart where instance normalisation takes
/// brightness and contrast away.
fn make_faces(root: &Path, size: usize, seed: u64) -> PathBuf {
    let mut draws = Draws::new(seed);
    for (class, name) in CLASSES.into_iter().enumerate() {
        let folder = root.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        for index in 0..PER_CLASS {
            let pixel = |pixel: usize| {
                let (x, y) = (pixel % size, pixel / size);
                let is_bright = [true, x % 16 < 4, (x / 2 + y / 2) % 2 == 0][class];
                (if is_bright { 200. } else { 50. }) + draws.spread(50.)
            };
            let pixels: Vec<u8> = (0..size * size).map(pixel).map(|value| value as u8).collect();
            std::fs::write(folder.join(format!("{index}.png")), faces::png(&pixels, size)).unwrap();
        }
    }
    root.into()
}

fn config(name: &str, [channels, size]: [i64; 2]) -> Config {
    let mut config = Config::named(name).unwrap();
    config.epochs = 1;
    config.batch = 8;
    config.data.held_out = 0.3;
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

/// A run's files for one backbone.
struct Setup {
    root: PathBuf,
    config: Config,
    info: RunInfo,
    data: RunData,
}

impl Setup {
    fn new(root: &Path, config: Config) -> Self {
        let size = config.model.size as usize;
        let paths = Paths {
            data: make_faces(&root.join("train"), size, 1),
            valid: make_faces(&root.join("valid"), size, 2),
            skip_bad: false,
        };
        let data = RunData::open(&paths, &config).unwrap();
        let [command, commit, licence] = ["test", "unknown", "made"].map(String::from);
        let info = RunInfo { command, commit, licence, paths };
        Self { root: root.into(), config, info, data }
    }

    fn folder(&self, name: &str) -> RunFolder {
        RunFolder::create(&self.root.join(name), &self.config, &self.info).unwrap()
    }

    fn fit(&self, folder: &RunFolder, stop: bool) -> Position {
        fit(folder, &self.data, Device::Cpu, &|| stop).unwrap()
    }

    /// The newest checkpoint's network, its running statistics moved on without the weights: after a
    /// few steps a deep network's feature hardly differs from face to face, and parity of what hardly
    /// moves says nothing.
    fn warmed_up(&self, folder: &RunFolder) -> (nn::VarStore, Dmue) {
        let (mut store, model) = network(&self.config, CLASSES.len(), Device::Cpu).unwrap();
        let file = checkpoint::newest(&folder.checkpoints()).unwrap();
        checkpoint::load(&file, &mut store, None).unwrap();
        let faces: Vec<usize> = (0..self.data.train.len()).collect();
        let images = normalise(&self.data.train.batch(&faces, Device::Cpu).0);
        for _ in 0..PASSES {
            tch::no_grad(|| model.forward_train(&images));
        }
        (store, model)
    }

    /// Writes the network, reads it back through the edge and compares what both make of the
    /// validation faces. The uncertainty behind it is none: after so few steps all cosines are nearly
    /// equal, and their scaling to 0..1 would make of the network's rounding what it likes.
    fn check_file(&self, folder: &RunFolder) {
        let (store, model) = self.warmed_up(folder);
        let backbone = Backbone::of(&self.config.model).unwrap();
        let nodes = subgraph(&backbone, &store.variables().into_iter().collect(), &model);
        let uncertainty = no_uncertainty(CLASSES.len(), backbone.feature() as usize);
        let proto = assemble(nodes, &uncertainty, &self.manifest()).unwrap();
        let file = self.root.join("made.dmue.onnx");
        write(&file, &proto).unwrap();

        let edge = Model::open(&file).unwrap();
        let faces: Vec<usize> = (0..self.data.valid.len()).collect();
        let images = normalise(&self.data.valid.batch(&faces, Device::Cpu).0);
        let expected = model.forward_target(&images);
        let found = faces.iter().map(|&face| {
            let face: Vec<f32> = Vec::try_from(images.get(face as i64).flatten(0, -1)).unwrap();
            let inference = edge.infer_tensor(&face).unwrap();
            (Tensor::from_slice(&inference.logits), Tensor::from_slice(&inference.feature))
        });
        let (logits, features): (Vec<_>, Vec<_>) = found.unzip();
        let pairs = [("logits", expected.logits, logits), ("feature", expected.feature, features)];
        for (name, expected, found) in pairs {
            let range = (expected.max() - expected.min()).double_value(&[]);
            let apart = difference(&expected, &Tensor::stack(&found, 0)) / range;
            let input = backbone.input;
            eprintln!("{}, {input:?}: {name} differ by {apart:.1e} of {range:.1e}", backbone.name);
            assert!(apart <= TOLERANCE, "{}, {input:?}: {name} by {apart}", backbone.name);
        }
    }

    fn manifest(&self) -> Manifest {
        let ModelConfig { channels, size, .. } = self.config.model;
        let colour = if channels == 1 { Colour::Gray } else { Colour::Rgb };
        let [mean, std] = [MEAN, DEVIATION].map(|value| vec![value as f32; channels as usize]);
        let template = FaceTemplate::FERPLUS;
        let [data, licence, command, commit] = ["made"; 4].map(String::from);
        let metrics = BTreeMap::new();
        Manifest {
            format_version: FORMAT_VERSION,
            name: "made".into(),
            classes: CLASSES.map(String::from).to_vec(),
            input: InputSpec { size: size as u32, colour, mean, std, template },
            training: TrainingInfo { data, licence, command, commit, seed: 1, metrics },
            temperature: 1.,
            abstention: vec![],
        }
    }
}

fn no_uncertainty(classes: usize, feature: usize) -> PairwiseUncertainty {
    let prior = Prior::new(vec![0.5; classes * feature], 1., classes, feature).unwrap();
    let head = |inputs: usize| {
        TwoLayerHead::new(inputs, vec![0.; inputs], vec![0.], 0.25, vec![0.], 0.).unwrap()
    };
    PairwiseUncertainty::new(prior, head(score_inputs(classes)), head(alpha_inputs(classes)))
        .unwrap()
}

/// Fits a small input in one go and in two parts, which must end alike; then, with the published
/// stem, one step on a large input. Both are read back by the edge.
fn check_runs(name: &str, small: [i64; 2], large: [i64; 2]) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    tch::set_num_threads(1);
    let files = tempfile::tempdir().unwrap();
    let setup = Setup::new(&files.path().join("small"), config(name, small));
    let end = Position { epochs: setup.config.epochs, steps: 0 };
    let (whole, parts) = (setup.folder("whole"), setup.folder("parts"));
    assert_eq!(setup.fit(&whole, false), end);
    assert_eq!(setup.fit(&parts, true), Position { epochs: 0, steps: 1 });
    assert_eq!(setup.fit(&parts, false), end);
    for ((key, expected), (_, found)) in newest(&whole).iter().zip(newest(&parts)) {
        assert!(expected.equal(&found), "{name}: {key} differs after --resume");
    }
    setup.check_file(&whole);

    let setup = Setup::new(&files.path().join("large"), config(name, large));
    let folder = setup.folder("run");
    setup.fit(&folder, true);
    setup.check_file(&folder);
}

#[test]
fn resnet18_runs() {
    check_runs("resnet18", [1, 32], [3, 100]);
}

#[test]
fn resnet50_ibn_runs() {
    check_runs("resnet50_ibn", [3, 32], [1, 100]);
}

#[test]
fn mobilenet_v2_runs() {
    check_runs("mobilenet_v2", [1, 40], [3, 100]);
}

#[test]
fn shufflenet_v1_runs() {
    check_runs("shufflenet_v1", [3, 35], [1, 100]);
}
