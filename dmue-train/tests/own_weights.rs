//! Starts from a shipped model and from our own checkpoints.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::path::PathBuf;

use common::start::{Network, TWO, Tensors, range, refusal, write};
use common::{Draws, difference, faces};
use dmue_edge::model::Model;
use dmue_train::config::Config;
use dmue_train::data::dataset::Dataset;
use dmue_train::train::checkpoint::{self, Position};
use dmue_train::train::folder::{RunFolder, RunInfo};
use dmue_train::train::optimiser::Optimiser;
use dmue_train::train::run::{Paths, RunData, fit};
use tch::{Device, Kind, Tensor, nn};

/// Made faces, normalised.
fn images(count: usize, size: usize) -> Tensor {
    let mut draws = Draws::new(3);
    let pixels: Vec<f32> = (0..count)
        .flat_map(|index| faces::pixels(index % 8, 8, size, &mut draws))
        .map(|value| f32::from(value) / 127.5 - 1.)
        .collect();
    Tensor::from_slice(&pixels).view([count as i64, 1, size as i64, size as i64])
}

fn shipped() -> PathBuf {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../dmue-edge/models/edge.dmue.onnx").into()
}

/// Logits `[n, C]` and feature `[n, D]` of a file through the edge.
fn edge_outputs(model: &Model, images: &Tensor) -> (Tensor, Tensor) {
    let rows = (0..images.size()[0]).map(|row| {
        let face: Vec<f32> = Vec::try_from(images.get(row).flatten(0, -1)).unwrap();
        let inference = model.infer_tensor(&face).unwrap();
        (Tensor::from_slice(&inference.logits), Tensor::from_slice(&inference.feature))
    });
    let (logits, features): (Vec<_>, Vec<_>) = rows.unzip();
    (Tensor::stack(&logits, 0), Tensor::stack(&features, 0))
}

#[test]
fn the_shipped_model_goes_on_as_the_file_ends() {
    let model = Model::open(shipped()).unwrap();
    let classes: Vec<&str> = model.manifest().classes.iter().map(String::as_str).collect();
    let side = model.manifest().input.size;
    let network = Network::new("edge", 1, side.into(), 1., &classes);
    let report = network.start(&shipped()).unwrap();
    assert!(report.folded && report.head, "{report}");
    let images = images(64, side as usize);
    let (logits, feature) = edge_outputs(&model, &images);
    for calibrated in [false, true] {
        if calibrated {
            network.model.calibrate(&images, report.head);
        }
        let found = network.model.forward_target(&images);
        assert!(difference(&found.feature, &feature) < 1e-4 * range(&feature), "{calibrated}");
        // The file answers for natural class shares, a constant of each class.
        let apart = &found.logits - &logits;
        let constant = apart.mean_dim([0i64].as_slice(), true, Kind::Float).expand_as(&apart);
        assert!(difference(&apart, &constant) < 1e-4 * range(&logits), "{calibrated}");
    }
    // Training normalises by the batch: without calibration it would begin somewhere else.
    let training = network.model.forward_train(&images).features;
    let target = training.select(1, network.model.classes());
    assert!(difference(&target, &feature) < 1e-3 * range(&feature));
    assert!(training.select(1, 0).equal(&target), "branches begin alike");
}

#[test]
fn the_shipped_model_serves_other_classes_without_its_heads() {
    let model = Model::open(shipped()).unwrap();
    let side = model.manifest().input.size;
    let network = Network::new("edge", 1, side.into(), 1., &TWO);
    let before = network.variable("heads.target").copy();
    let report = network.start(&shipped()).unwrap();
    assert!(!report.head && report.folded);
    assert!(report.to_string().contains("heads.target: is for the classes neutral"), "{report}");
    assert!(network.variable("heads.target").equal(&before));
    let images = images(4, side as usize);
    let (_, feature) = edge_outputs(&model, &images);
    let found = network.model.forward_target(&images).feature;
    assert!(difference(&found, &feature) < 1e-4 * range(&feature));
}

/// Every variable drawn anew.
fn randomise(store: &nn::VarStore) {
    tch::no_grad(|| {
        for (name, mut value) in store.variables() {
            let drawn = value.rand_like() + if name.ends_with("running_var") { 0.5 } else { -0.5 };
            value.copy_(&drawn);
        }
    });
}

#[test]
fn a_checkpoint_hands_on_its_target_branch_and_heads_of_the_same_number_of_classes() {
    let files = tempfile::tempdir().unwrap();
    let trained = Network::new("tiny", 1, 24, 1., &["a", "b", "c"]);
    randomise(&trained.store);
    let settings = Config::named("tiny").unwrap().optimiser;
    let optimiser = Optimiser::new(&trained.store, &settings);
    checkpoint::save(files.path(), &trained.store, &optimiser, Position::default(), 0).unwrap();
    let file = checkpoint::newest(files.path()).unwrap();
    let images = images(4, 24);
    let expected = trained.model.forward_target(&images);

    let same = Network::new("tiny", 1, 24, 1., &["a", "b", "c"]);
    let report = same.start(&file).unwrap();
    assert!(report.head && !report.folded, "{report}");
    let found = same.model.forward_target(&images);
    assert!(found.feature.equal(&expected.feature) && found.logits.equal(&expected.logits));
    assert!(report.to_string().contains("heads.auxiliary: belongs to the auxiliary"), "{report}");

    let other = Network::new("tiny", 1, 24, 1., &["a", "b", "c", "d", "e"]);
    let report = other.start(&file).unwrap();
    assert!(report.to_string().contains("heads.target: is for 3 classes"), "{report}");
    assert!(report.to_string().contains("uncertainty.b2: is for 3 classes"), "{report}");
    assert!(other.model.forward_target(&images).feature.equal(&expected.feature));
    let branches = other.variable("branch.block0.conv1.weight");
    let target = branches.narrow(0, 5 * 12, 12);
    assert!((0..5).all(|copy| branches.narrow(0, copy * 12, 12).equal(&target)));
}

/// Rates of 0, so that the first checkpoint still holds what was taken.
#[test]
fn a_run_starts_from_what_its_settings_name() {
    let files = tempfile::tempdir().unwrap();
    let names = ["class0", "class1", "class2"];
    let trained = Network::new("tiny", 1, 24, 1., &names);
    randomise(&trained.store);
    let file = files.path().join("start.safetensors");
    write(&trained.store.variables().into_iter().collect(), &file);

    let set = |seed| Dataset::new(&faces::source(3, 8, 24, seed)).unwrap();
    let data = RunData { train: set(1), held_out: set(2), valid: set(3), summary: vec![] };
    let mut config = Config::named("tiny").unwrap();
    config.model.init = Some(file);
    let rates = &mut config.optimiser;
    (rates.body_rate, rates.head_rate, rates.uncertainty_rate) = (0., 0., 0.);
    let [command, commit, licence] = ["test"; 3].map(String::from);
    let paths = Paths { data: "made".into(), valid: "made".into(), skip_bad: false };
    let info = RunInfo { command, commit, licence, paths };
    let folder = RunFolder::create(&files.path().join("run"), &config, &info).unwrap();
    fit(&folder, &data, Device::Cpu, &|| true).unwrap();
    let newest = checkpoint::newest(&folder.checkpoints()).unwrap();
    let found: Tensors = Tensor::read_safetensors(newest).unwrap().into_iter().collect();
    for name in ["stem.conv.weight", "heads.target", "uncertainty.w1"] {
        assert!(found[&format!("weights.{name}")].equal(&trained.variable(name)), "{name}");
    }

    config.model.init = Some(files.path().join("gone.pt"));
    let folder = RunFolder::create(&files.path().join("other"), &config, &info).unwrap();
    let error = fit(&folder, &data, Device::Cpu, &|| true).unwrap_err().to_string();
    assert!(error.contains("gone.pt"), "{error}");
    assert!(!folder.checkpoints().exists());
}

#[test]
fn the_shipped_model_does_not_fit_another_backbone() {
    let network = Network::new("resnet18", 1, 48, 1., &TWO);
    let error = refusal(&network, &shipped());
    assert!(error.contains("nothing in it fits") && error.contains("resnet18"), "{error}");
}
