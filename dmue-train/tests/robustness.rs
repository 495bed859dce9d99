//! What the commands say, and leave behind, where something is wrong.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![cfg(unix)]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use common::runs::{Run, refuse, succeed, tensors};
use dmue_train::config::{Config, Rule};
use dmue_train::train::checkpoint;

/// The same command where no file may grow beyond a few kilobytes, as on a disk that is full.
fn on_a_full_disk(command: &Command) -> Command {
    let mut limited = Command::new("sh");
    limited.arg("-c").arg("trap '' XFSZ; ulimit -f 16; exec \"$@\"").arg("sh");
    limited.arg(command.get_program()).args(command.get_args()).env("OMP_NUM_THREADS", "1");
    limited
}

fn set_epochs(run: &Run, out: &str, epochs: usize) {
    let path = run.path(out).join("config.toml");
    let mut config = Config::read(&path).unwrap();
    config.epochs = epochs;
    fs::write(path, config.to_toml().unwrap()).unwrap();
}

#[test]
fn a_full_disk_leaves_the_last_checkpoint_and_the_model_file_before() {
    let run = Run::new(1);
    succeed(&mut run.fit("run"));
    set_epochs(&run, "run", 2);
    let newest = checkpoint::newest(&run.checkpoints("run")).unwrap();
    let before = fs::read(&newest).unwrap();

    let text = refuse(&mut on_a_full_disk(&run.resume("run")));
    assert!(text.contains("epoch-0002.safetensors: cannot be written: "), "{text}");
    assert!(text.contains("make room and go on with --resume"), "{text}");
    let files: Vec<_> = fs::read_dir(run.checkpoints("run")).unwrap().flatten().collect();
    assert_eq!(files.len(), 1, "{files:?}");
    assert_eq!(fs::read(&newest).unwrap(), before);

    let file = run.path("made.dmue.onnx");
    fs::write(&file, b"the file before").unwrap();
    let text = refuse(&mut on_a_full_disk(&run.export("run", &file)));
    assert!(text.contains("made.dmue.onnx"), "{text}");
    assert_eq!(fs::read(&file).unwrap(), b"the file before");

    succeed(&mut run.resume("run"));
    assert!(
        checkpoint::newest(&run.checkpoints("run")).unwrap().ends_with("epoch-0002.safetensors")
    );
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let run = Run::new(1);
    fs::write(run.path("file"), b"").unwrap();
    let text = refuse(&mut run.fit("file/run"));
    assert!(text.contains("file/run: ") && text.contains("choose a folder"), "{text}");

    let locked = run.path("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o555)).unwrap();
    if fs::write(locked.join("try"), b"").is_ok() {
        eprintln!("skipped: this user may write into read-only folders");
        return;
    }
    let text = refuse(&mut run.fit("locked/run"));
    assert!(text.contains("locked/run: ") && text.contains("choose a folder"), "{text}");
}

#[test]
fn a_loss_that_is_no_number_leaves_checkpoints_of_numbers() {
    let mut run = Run::new(40);
    run.config.optimiser.rule = Rule::Sgd;
    run.config.optimiser.body_rate = 10.;
    run.config.optimiser.head_rate = 10.;
    run.config.optimiser.weight_decay = 1.; // each step multiplies the weights by -9
    let text = refuse(&mut run.fit("run"));
    assert!(text.contains("the loss is ") && text.contains("in epoch "), "{text}");
    assert!(text.contains("optimiser.body_rate") && text.contains("config.toml"), "{text}");
    let newest = checkpoint::newest(&run.checkpoints("run")).unwrap();
    for (name, value) in tensors(&newest).iter().filter(|(name, _)| name.starts_with("weights.")) {
        assert_ne!(value.isfinite().all().int64_value(&[]), 0, "{name} in {}", newest.display());
    }
}

#[test]
fn a_class_without_enough_images_is_named() {
    for images in [0, 1] {
        let run = Run::new(1);
        let folder = run.path("train/gray");
        let mut files: Vec<_> = fs::read_dir(&folder).unwrap().flatten().collect();
        files.sort_by_key(fs::DirEntry::file_name);
        files[images..].iter().for_each(|file| fs::remove_file(file.path()).unwrap());
        let text = refuse(&mut run.fit("run"));
        assert!(text.contains("class \"gray\" has "), "{text}");
        assert!(text.contains("at least 2 are needed") && text.contains("data.classes"), "{text}");
    }
}

#[test]
fn settings_that_do_not_fit_the_data_are_named_with_what_would() {
    let mut run = Run::new(1);
    run.config.batch = 4;
    let text = refuse(&mut run.fit("run"));
    assert!(
        text.contains("batch = 4: must be at least 6 (2 images of each of 3 classes)"),
        "{text}"
    );

    run.config.batch = 16;
    run.config.data.classes = vec!["dark".into(), "black".into()];
    let text = refuse(&mut run.fit("run"));
    assert!(text.contains("\"black\" is no class of the data, which has [\"dark\""), "{text}");

    run.config.data.classes = vec!["light".into(), "dark".into()];
    let text = succeed(&mut run.fit("run"));
    assert!(text.contains("24 of classes that data.classes does not name"), "{text}");
}

#[test]
fn a_label_outside_the_classes_is_named_with_its_row() {
    let run = Run::new(1);
    let root = run.path("raf");
    fs::create_dir_all(root.join("aligned")).unwrap();
    fs::copy(run.path("valid/dark/00.png"), root.join("aligned/train_00002.png")).unwrap();
    fs::write(root.join("list_patition_label.txt"), "train_00002.jpg 5\ntrain_00001.jpg 9\n")
        .unwrap();
    let data = format!("{}#train", root.display());
    let mut command = common::runs::program(&["fit", "--data", &data, "--valid", &data]);
    command.arg("--out").arg(run.path("other"));
    let text = refuse(&mut command);
    assert!(text.contains("list_patition_label.txt: row 1: label 9 of train_00001.jpg"), "{text}");
    assert!(text.contains("must be 1 surprise") && text.contains("--skip-bad"), "{text}");
}
