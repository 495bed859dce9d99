//! A whole run on made faces: fit, stop, resume, export, eval, and what each refuses.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use dmue_edge::model::Model;
use dmue_train::config::{Config, Objective};
use dmue_train::data::dataset::Source;
use dmue_train::eval::{crop_spec, evaluate};
use dmue_train::export::export;
use dmue_train::train::checkpoint::{self, Position};
use dmue_train::train::folder::{RunFolder, RunInfo};
use dmue_train::train::run::{Paths, RunData, fit, network};
use image::{GrayImage, Luma};
use tch::{Device, Tensor};

const CLASSES: [&str; 3] = ["bright", "dark", "striped"];
const END: Position = Position { epochs: 3, steps: 0 };

/// 24 pictures of each class, told apart by how much of them is bright; `salt` makes sets distinct.
fn make_faces(root: &Path, salt: u32) -> PathBuf {
    for (class, name) in CLASSES.iter().enumerate() {
        let folder = root.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        for index in 0..24u32 {
            let picture = GrayImage::from_fn(24, 24, |x, y| {
                let noise = hash(x, y, index + 1000 * salt) % 61;
                let bright = [true, false, x % 6 < 3][class];
                Luma([(60 + noise + if bright { 120 } else { 0 }) as u8])
            });
            picture.save(folder.join(format!("{index:02}.png"))).unwrap();
        }
    }
    root.into()
}

fn hash(x: u32, y: u32, picture: u32) -> u32 {
    let mixed = x.wrapping_mul(73_856_093) ^ y.wrapping_mul(19_349_663);
    (mixed ^ picture.wrapping_mul(83_492_791)).wrapping_mul(2_654_435_761) >> 8
}

/// tch has one generator for all threads: one run at a time.
static ALONE: Mutex<()> = Mutex::new(());

struct Setup {
    _alone: MutexGuard<'static, ()>,
    _files: tempfile::TempDir,
    root: PathBuf,
    config: Config,
    info: RunInfo,
}

impl Setup {
    fn new() -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        tch::set_num_threads(1); // a tiny network loses more to waiting threads than it gains
        let files = tempfile::tempdir().unwrap();
        let root = files.path().to_owned();
        let paths = Paths {
            data: make_faces(&root.join("train"), 0),
            valid: make_faces(&root.join("valid"), 1),
            skip_bad: false,
        };
        let mut config = Config::named("tiny").unwrap();
        config.epochs = 3;
        let info = RunInfo {
            command: "test".into(),
            commit: "unknown".into(),
            licence: "made".into(),
            paths,
        };
        Self { _alone: alone, _files: files, root, config, info }
    }

    fn folder(&self, name: &str) -> RunFolder {
        RunFolder::create(&self.root.join(name), &self.config, &self.info).unwrap()
    }

    fn data(&self) -> RunData {
        RunData::open(&self.info.paths, &self.config).unwrap()
    }
}

fn tensors(folder: &RunFolder) -> Vec<(String, Tensor)> {
    let newest = checkpoint::newest(&folder.checkpoints()).unwrap();
    let mut tensors = Tensor::read_safetensors(newest).unwrap();
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    tensors
}

#[test]
fn a_run_stopped_again_and_again_ends_like_one_that_was_not() {
    stop_again_and_again(&Setup::new());
}

#[test]
fn so_does_one_that_mixes_degrades_and_averages() {
    let mut setup = Setup::new();
    setup.config.method.objective = Objective::Ce;
    setup.config.optimiser.average = 0.95;
    let augment = &mut setup.config.augment;
    (augment.mixup, augment.cutmix, augment.shrink, augment.jpeg) = (0.2, 0.5, 0.3, 0.3);
    stop_again_and_again(&setup);
}

fn stop_again_and_again(setup: &Setup) {
    let data = setup.data();
    let whole = setup.folder("whole");
    assert_eq!(fit(&whole, &data, Device::Cpu, &|| false).unwrap(), END);

    let parts = setup.folder("parts");
    let mut stops = vec![];
    loop {
        let asked = Cell::new(0);
        let second_step = || asked.replace(asked.get() + 1) == 1;
        match fit(&parts, &data, Device::Cpu, &second_step).unwrap() {
            END => break,
            position => stops.push(position),
        }
        assert!(stops.len() < 50, "no progress: {stops:?}");
    }
    assert!(stops.iter().any(|position| position.steps > 0), "only whole epochs: {stops:?}");
    for ((name, expected), (_, found)) in tensors(&whole).iter().zip(tensors(&parts)) {
        assert!(expected.equal(&found), "{name} differs");
    }
}

#[test]
fn a_run_learns_exports_and_measures() {
    let mut setup = Setup::new();
    setup.config.epochs = 50;
    setup.config.model.dropout = 0.;
    let data = setup.data();
    let folder = setup.folder("run");
    fit(&folder, &data, Device::Cpu, &|| false).unwrap();
    let file = setup.root.join("made.dmue.onnx");
    let report = export(&folder, &file, Device::Cpu).unwrap();
    assert!(report.parity.logits <= 1e-4 && report.parity.score <= 1e-4, "{report:?}");

    let model = Model::open(&file).unwrap();
    assert_eq!(model.manifest().classes, CLASSES);
    assert_eq!(model.manifest().training.licence, "made");
    let valid = Source::open(&setup.info.paths.valid, crop_spec(&model), false).unwrap();
    let evaluation = evaluate(&model, valid).unwrap();
    assert!(evaluation.accuracy > 90., "{evaluation}");
    assert_eq!(evaluation.confusion.iter().flatten().sum::<usize>(), evaluation.faces);
}

#[test]
fn a_run_learns_from_a_teacher_what_the_labels_hide() {
    let mut setup = Setup::new();
    setup.config.epochs = 30;
    setup.config.model.dropout = 0.;
    let teacher = setup.root.join("teacher.dmue.onnx");
    let folder = setup.folder("teacher");
    fit(&folder, &setup.data(), Device::Cpu, &|| false).unwrap();
    export(&folder, &teacher, Device::Cpu).unwrap();

    // Most of the labels are wrong, and the teacher is of another size.
    setup.config.method.objective = Objective::Ce;
    setup.config.data.flip_labels = 0.7;
    setup.config.model.size = 48;
    let accuracy = |name: &str, setup: &Setup| {
        let folder = setup.folder(name);
        let data = setup.data();
        fit(&folder, &data, Device::Cpu, &|| false).unwrap();
        let log = std::fs::read_to_string(folder.log()).unwrap();
        let last: serde_json::Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
        last["valid_accuracy"].as_f64().unwrap()
    };
    let alone = accuracy("alone", &setup);
    setup.config.method.teachers = vec![teacher.clone()];
    setup.config.method.teacher_weight = 10.;
    let taught = accuracy("taught", &setup);
    assert!(taught > 0.9 && alone < 0.7, "{taught} with a teacher, {alone} without");

    setup.config.data.classes = vec!["dark".into(), "bright".into(), "striped".into()];
    let error = fit(&setup.folder("other"), &setup.data(), Device::Cpu, &|| false).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("teacher.dmue.onnx") && error.contains("data.classes"), "{error}");
}

#[test]
fn a_folder_that_holds_a_run_is_not_overwritten() {
    let setup = Setup::new();
    let folder = setup.folder("run");
    fit(&folder, &setup.data(), Device::Cpu, &|| true).unwrap();
    let root = setup.root.join("run");
    let error = RunFolder::create(&root, &setup.config, &setup.info).unwrap_err().to_string();
    assert!(error.contains("holds a run already") && error.contains("--resume"), "{error}");
}

#[test]
fn a_damaged_or_foreign_checkpoint_is_named() {
    let setup = Setup::new();
    let folder = setup.folder("run");
    fit(&folder, &setup.data(), Device::Cpu, &|| true).unwrap();
    let newest = checkpoint::newest(&folder.checkpoints()).unwrap();
    let bytes = std::fs::read(&newest).unwrap();

    std::fs::write(&newest, &bytes[..bytes.len() / 2]).unwrap();
    let error = fit(&folder, &setup.data(), Device::Cpu, &|| false).unwrap_err().to_string();
    assert!(error.contains("no readable checkpoint"), "{error}");

    std::fs::write(&newest, &bytes).unwrap();
    let mut other = setup.config.clone();
    other.model.channels = 3;
    let (mut store, _) = network(&other, CLASSES.len(), Device::Cpu).unwrap();
    let error = checkpoint::load(&newest, &mut store, None).unwrap_err().to_string();
    assert!(error.contains("stem.conv.weight is"), "{error}");
}

#[test]
fn a_loss_that_is_no_number_leaves_the_last_checkpoint() {
    let mut setup = Setup::new();
    setup.config.optimiser.body_rate = 10.;
    setup.config.optimiser.head_rate = 10.;
    setup.config.optimiser.weight_decay = 1.; // each step multiplies the weights by -9
    setup.config.optimiser.rule = dmue_train::config::Rule::Sgd;
    setup.config.epochs = 40;
    let folder = setup.folder("run");
    let error = fit(&folder, &setup.data(), Device::Cpu, &|| false).unwrap_err().to_string();
    assert!(error.contains("the loss is") && error.contains("body_rate"), "{error}");
    let newest = checkpoint::newest(&folder.checkpoints()).unwrap();
    assert!(Tensor::read_safetensors(newest).is_ok());
}

#[test]
fn classes_that_differ_between_training_and_validation_are_refused() {
    let setup = Setup::new();
    std::fs::rename(setup.root.join("valid/dark"), setup.root.join("valid/dim")).unwrap();
    let error = RunData::open(&setup.info.paths, &setup.config).unwrap_err().to_string();
    assert!(error.contains("dim") && error.contains("dark"), "{error}");
}
