//! The `dmue` command as a user runs it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use dmue_edge::engine::Engine;

const ASTRONAUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/images/astronaut.png");

fn dmue(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dmue")).args(arguments).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A gray picture without any face.
fn faceless(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    image::RgbImage::from_pixel(300, 200, image::Rgb([90; 3])).save(&path).unwrap();
    path
}

/// These tests run the embedded model.
fn has_model() -> bool {
    let has = Engine::default_model().is_some();
    if !has {
        eprintln!("skipped: this build carries no model");
    }
    has
}

#[test]
fn the_astronaut_smiles() {
    if !has_model() {
        return;
    }
    let output = dmue(&["predict", ASTRONAUT]);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stdout(&output);
    for part in ["1 face", "happiness", "(score ", "█", "detect", "classify"] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
    assert!(!text.contains('\x1b'), "no colours into a pipe");
    assert_eq!(stderr(&output), "", "no progress bar for one file or without a terminal");
}

#[test]
fn json_has_the_documented_fields() {
    if !has_model() {
        return;
    }
    let output = dmue(&["predict", "--json", ASTRONAUT]);
    let text = stdout(&output);
    assert_eq!(text.lines().count(), 1);
    let image: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&image["width"], &image["file"]), (&512.into(), &ASTRONAUT.into()));
    let face = &image["faces"][0];
    assert_eq!(face["label"], "happiness");
    let probabilities = face["probabilities"].as_object().unwrap();
    let sum: f64 = probabilities.values().map(|p| p.as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-4, "{sum}");
    let best = probabilities.values().map(|p| p.as_f64().unwrap()).fold(0.0, f64::max);
    assert_eq!(probabilities["happiness"].as_f64().unwrap(), best);
    for field in ["score", "detection_score"] {
        let value = face[field].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&value), "{field} is {value}");
    }
    // The astronaut's face is about 90 pixels wide, left of the middle, with eyes at row 110.
    let number = |value: &serde_json::Value| value.as_f64().unwrap();
    let (x, width) = (number(&face["box"]["x"]), number(&face["box"]["width"]));
    assert!((150.0..210.0).contains(&x) && (70.0..140.0).contains(&width), "{x} {width}");
    let eyes = [&face["landmarks"]["right_eye"], &face["landmarks"]["left_eye"]];
    assert!(number(&eyes[0][0]) < number(&eyes[1][0]), "the person's right is the picture's left");
    assert!(eyes.iter().all(|eye| (95.0..125.0).contains(&number(&eye[1]))), "{eyes:?}");
    for stage in ["decode", "detect", "align", "classify"] {
        assert!(number(&image["timings_ms"][stage]) > 0.0, "{stage}");
    }
}

#[test]
fn the_networks_outputs_come_only_when_asked_for() {
    if !has_model() {
        return;
    }
    let face = |options: &[&str]| {
        let text = stdout(&dmue(&[&["predict", ASTRONAUT, "--json"], options].concat()));
        serde_json::from_str::<serde_json::Value>(&text).unwrap()["faces"][0].clone()
    };
    let plain = face(&[]);
    let mut whole = face(&["--outputs"]);
    assert_eq!(whole["logits"].as_array().unwrap().len(), 8);
    assert!(whole["feature"].as_array().unwrap().len() > 8);
    assert!((0.0..=1.0).contains(&whole["alpha"].as_f64().unwrap()));
    let fields = whole.as_object_mut().unwrap();
    fields.retain(|name, _| !["logits", "feature", "alpha"].contains(&name.as_str()));
    assert_eq!(whole, plain);
}

#[test]
fn no_face_is_an_answer_and_a_bad_file_is_not() {
    if !has_model() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let plain = faceless(folder.path(), "plain.png");
    let output = dmue(&["predict", plain.to_str().unwrap()]);
    assert!(output.status.success());
    assert!(stdout(&output).contains("no face found"), "{}", stdout(&output));

    std::fs::write(folder.path().join("broken.jpg"), b"\xff\xd8\xff\xe0 cut short").unwrap();
    std::fs::write(folder.path().join("notes.txt"), b"not looked at").unwrap();
    let output = dmue(&["predict", "--json", folder.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("broken.jpg"), "{}", stderr(&output));
    let lines: Vec<serde_json::Value> =
        stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2, "sorted: broken.jpg, then plain.png, which is still done");
    assert!(lines[0]["error"].as_str().unwrap().contains("broken.jpg"));
    assert_eq!(lines[1]["faces"], serde_json::json!([]));
}

#[test]
fn pictures_are_written_beside_the_answer() {
    if !has_model() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (drawn, crops) = (folder.path().join("drawn"), folder.path().join("crops"));
    let output = dmue(&[
        "predict",
        "--annotate",
        drawn.to_str().unwrap(),
        "--dump-crops",
        crops.to_str().unwrap(),
        ASTRONAUT,
    ]);
    assert!(output.status.success(), "{}", stderr(&output));
    let annotated = image::open(drawn.join("astronaut-annotated.png")).unwrap().into_rgb8();
    let original = image::open(ASTRONAUT).unwrap().into_rgb8();
    assert_eq!(annotated.dimensions(), original.dimensions());
    assert_ne!(annotated, original);
    let crop = image::open(crops.join("astronaut-face1.png")).unwrap();
    assert_eq!(crop.width(), crop.height());

    // What the network saw is answered alike when it is handed over as a crop.
    let crop = crops.join("astronaut-face1.png");
    let output = dmue(&["predict", "--json", "--cropped", crop.to_str().unwrap()]);
    let image: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(image["faces"][0]["label"], "happiness");
    assert_eq!(image["faces"][0]["box"], serde_json::Value::Null);
}

#[test]
fn a_missing_model_and_a_bad_option_are_named() {
    let output = dmue(&["predict", "--model", "/nowhere/any.dmue.onnx", ASTRONAUT]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("/nowhere/any.dmue.onnx"), "{}", stderr(&output));
    if has_model() {
        let output = dmue(&["predict", "--minimum-detection-score", "1.5", ASTRONAUT]);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("minimum_score is 1.5"), "{}", stderr(&output));
    }
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    if !has_model() {
        return;
    }
    let mut child = Command::new(env!("CARGO_BIN_EXE_dmue"))
        .args(["predict", ASTRONAUT, ASTRONAUT])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(stderr(&output), "");

    let mut child = Command::new(env!("CARGO_BIN_EXE_dmue"))
        .args(["predict", "/nowhere/missing.png", ASTRONAUT])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stderr.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("astronaut.png"), "{}", stdout(&output));
}
