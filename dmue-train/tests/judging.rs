//! `dmue-train compare`, `stress` and `calibrate` as a user runs them, with the model that ships and made faces.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::runs::{program, refuse, save, succeed};
use common::{Draws, faces};
use dmue_edge::model::Model;
use tempfile::TempDir;

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../dmue-edge/models/edge.dmue.onnx");
const ASTRONAUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/images/astronaut.png");

/// Class folders with twelve made faces under names that the model knows.
fn data(folder: &TempDir) -> PathBuf {
    let root = folder.path().join("faces");
    for (class, name) in ["neutral", "happiness", "contempt"].into_iter().enumerate() {
        fs::create_dir_all(root.join(name)).unwrap();
        for number in 0..4 {
            let pixels = faces::pixels(class, 3, 48, &mut Draws::new((10 * class + number) as u64));
            save(&root.join(name).join(format!("{number}.png")), &pixels, 48);
        }
    }
    root
}

/// Our own file described as anybody's plain ONNX.
fn described(folder: &TempDir, extra: &str) -> PathBuf {
    let list = folder.path().join("others.toml");
    let model = Model::open(MODEL).unwrap();
    let (classes, size) = (&model.manifest().classes, model.manifest().input.size);
    let text = format!(
        "[[model]]\nname = \"plain\"\nfile = \"{MODEL}\"\nclasses = {classes:?}\nsize = {size}\ncolour = \"gray\"\n\
         mean = 0.5\nstd = 0.5\nlogits = true\n{extra}"
    );
    fs::write(&list, text).unwrap();
    list
}

fn cells<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let row = text.lines().find(|line| line.starts_with(&format!("| {name} |"))).unwrap();
    row.split('|').map(str::trim).collect()
}

#[test]
fn a_file_and_the_same_network_as_plain_onnx_give_one_result() {
    let folder = TempDir::new().unwrap();
    let manifest = Model::open(MODEL).unwrap().manifest().clone();
    let list = described(&folder, "");
    let mut command = program(&["compare", "--model", MODEL, "--others"]);
    let out = folder.path().join("page");
    let text = succeed(command.arg(&list).arg("--data").arg(data(&folder)).arg("--out").arg(&out));
    let (ours, plain) = (cells(&text, &manifest.name), cells(&text, "plain"));
    // name, KiB, accuracies, recall; ECE and AURC are the same where the temperature is 1
    let same = if manifest.temperature == 1. { 8 } else { 6 };
    assert_eq!(ours[2..same], plain[2..same], "{text}");
    assert_eq!(plain[8], "-", "a plain classifier has no score: {text}");
    assert!(text.contains("12 distinct faces"), "{text}");
    for measure in ["score", "1 - max softmax", "entropy", "energy", "feature-centroid distance"] {
        assert_eq!(cells(&text, measure).len(), 9, "{text}");
    }
    for file in ["index.html", "report.json", "compare.png", "compare.dark.png"] {
        assert!(out.join(file).exists(), "{file}");
    }
}

#[test]
fn descriptions_that_cannot_be_true_are_refused_by_name() {
    let folder = TempDir::new().unwrap();
    let faces = data(&folder);
    let list = described(&folder, "");
    let text = fs::read_to_string(&list).unwrap();
    for (from, to, word) in [
        ("std = 0.5", "std = 0.0", "std = 0"),
        ("size = ", "side = ", "side"),
        ("[\"neutral\", ", "[", "gives 8 values, 7"),
        (MODEL, "nowhere.onnx", "nowhere.onnx"),
    ] {
        fs::write(&list, text.replacen(from, to, 1)).unwrap();
        let mut command = program(&["compare", "--others"]);
        let error = refuse(command.arg(&list).arg("--data").arg(&faces));
        assert!(error.contains(word), "{word}: {error}");
    }
    let mut command = program(&["compare", "--data"]);
    assert!(refuse(command.arg(&faces)).contains("nothing to compare"));
}

#[test]
fn stress_has_a_row_for_everything_that_a_score_must_fall_for() {
    let folder = TempDir::new().unwrap();
    let mut command = program(&["stress", "--model", MODEL, "--data"]);
    let out = folder.path().join("page");
    let command = command.arg(data(&folder)).args(["--photos", ASTRONAUT]).arg("--out").arg(&out);
    let text = succeed(command);
    for name in ["blur", "noise", "darkness", "occlusion", "rotation", "downscaling"] {
        assert_eq!(cells(&text, name).len(), 10, "{text}");
    }
    assert!(text.contains("| parts of the photos without a face | 12 |"), "{text}");
    assert_eq!(cells(&text, "300").len(), 9, "{text}");
    assert!(out.join("corruption.png").exists());
}

#[test]
fn calibrate_writes_what_it_fitted_and_says_what_it_brought() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("calibrated.dmue.onnx");
    let mut command = program(&["calibrate", "--model", MODEL, "--data"]);
    let text = succeed(command.arg(data(&folder)).arg("--out").arg(&out));
    assert!(text.contains("faces that were not fitted") && text.contains("ECE"), "{text}");
    let calibrated = Model::open(&out).unwrap();
    let word = format!("temperature {:.3}", calibrated.manifest().temperature);
    assert!(text.contains(&word), "{word}: {text}");
    let mut command = program(&["calibrate", "--check", "1.0", "--model", MODEL, "--data"]);
    let command = command.arg(folder.path().join("faces")).arg("--out").arg(&out);
    assert!(refuse(command).contains("--check 1"));
    assert!(Path::new(&out).exists());
}

#[test]
fn rescore_writes_another_score_and_takes_the_thresholds_away() {
    let folder = TempDir::new().unwrap();
    let (faces, out) = (data(&folder), folder.path().join("rescored.dmue.onnx"));
    let command = |data: &Path, out: &Path| {
        let mut command = program(&["rescore", "--model", MODEL, "--data"]);
        command.arg(data).arg("--out").arg(out);
        command
    };
    succeed(&mut command(&faces, &out));
    let [before, after] = [Path::new(MODEL), &out].map(|file| Model::open(file).unwrap());
    assert!(after.uncertainty().takes_feature() && after.manifest().abstention.is_empty());
    assert_ne!(before.uncertainty().score_head(), after.uncertainty().score_head());
    assert_eq!(before.uncertainty().prior(), after.uncertainty().prior());
    assert_eq!(before.manifest().temperature, after.manifest().temperature);
    assert!(refuse(&mut command(&faces, &folder.path().join("other.onnx"))).contains(".dmue.onnx"));
    fs::rename(faces.join("contempt"), faces.join("envy")).unwrap();
    assert!(refuse(&mut command(&faces, &out)).contains("envy"));
}
