//! `dmue predict --out`: the table says what `--json` says, whoever kills the run and however often.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use dmue_edge::engine::Engine;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use rand::RngExt;
use serde_json::Value;

const ASTRONAUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/images/astronaut.png");
const LANDMARKS: [&str; 6] = ["right_eye", "left_eye", "nose", "mouth", "right_ear", "left_ear"];

#[test]
fn rows_are_what_json_says() {
    if !has_model() || !Path::new(ASTRONAUT).is_file() {
        return eprintln!("skipped: no model in this build, or no examples/images");
    }
    let folder = tempfile::tempdir().unwrap();
    let images = folder.path().join("images");
    std::fs::create_dir_all(images.join("deep")).unwrap();
    std::fs::copy(ASTRONAUT, images.join("deep/person.png")).unwrap();
    pair(&images.join("pair.png"));
    plain(&images.join("none.png"), 90);
    std::fs::write(images.join("broken.jpg"), b"\xff\xd8\xff\xe0 cut short").unwrap();
    let out = folder.path().join("labels.parquet");
    let tolerated = ["--tolerated-error", "0.1"];
    let labelled = dmue(&out, &images, &tolerated);
    assert!(labelled.status.success(), "a broken image is a row: {}", stderr(&labelled));
    let said = stdout(&labelled);
    assert!(said.contains("4 images, 3 faces, 1 unreadable"), "{said}");
    let rows = read(&out);
    let paths: Vec<_> = rows.iter().map(|row| text(row, "path").unwrap()).collect();
    assert!(paths.is_sorted(), "{paths:?}");

    let json = Command::new(env!("CARGO_BIN_EXE_dmue"))
        .args(["predict", "--json", "--outputs"])
        .args(tolerated)
        .arg(&images)
        .output()
        .unwrap();
    let mut expected: BTreeMap<String, Value> = stdout(&json)
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|image| (image["file"].as_str().unwrap().to_owned(), image))
        .collect();
    for rows in rows.chunk_by(|a, b| text(a, "path") == text(b, "path")) {
        let image = expected.remove(&text(&rows[0], "path").unwrap()).unwrap();
        assert_image(rows, &image, &classes(&out));
    }
    assert!(expected.is_empty(), "not in the table: {expected:?}");
}

#[test]
fn a_run_that_was_killed_twice_ends_as_one_that_was_not() {
    if !has_model() {
        return eprintln!("skipped: no model in this build");
    }
    let (folder, images) = many_crops(700);
    let whole = folder.path().join("whole.parquet");
    assert!(dmue(&whole, &images, &["--cropped", "--jobs", "3"]).status.success());
    assert!(!parts_of(&whole).exists());

    let out = folder.path().join("labels.parquet");
    kill_with_parts(&out, &images, 1);
    let first = parts_of(&out).join("part-000000.parquet");
    let written = std::fs::metadata(&first).unwrap().modified().unwrap();
    kill_with_parts(&out, &images, 4);
    assert!(!out.exists(), "there is no output before it is whole");
    assert_eq!(std::fs::metadata(&first).unwrap().modified().unwrap(), written, "kept");
    let kept = std::fs::read_dir(parts_of(&out)).unwrap().count();
    assert!(kept > 4, "{kept}");
    let resumed = dmue(&out, &images, &["--cropped", "--jobs", "1"]);
    assert!(resumed.status.success(), "{}", stderr(&resumed));
    assert_eq!(std::fs::read(&out).unwrap(), std::fs::read(&whole).unwrap());
    assert_eq!(read(&out).len(), 700);
    assert!(!parts_of(&out).exists());
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().flatten().collect();
    assert_eq!(left.len(), 3, "images and two tables: {left:?}");
}

#[test]
fn a_killed_run_goes_on_with_its_own_options_only() {
    if !has_model() {
        return eprintln!("skipped: no model in this build");
    }
    let (folder, images) = many_crops(300);
    let out = folder.path().join("labels.parquet");
    kill_with_parts(&out, &images, 1);
    let refused = dmue(&out, &images, &["--cropped", "--levels", "1"]);
    assert_eq!(refused.status.code(), Some(1));
    let said = stderr(&refused);
    assert!(said.contains("levels") && said.contains("not 1"), "{said}");
    assert!(!said.contains("minimum-face"), "only what differs: {said}");
    let other_images = folder.path().join("other");
    std::fs::create_dir(&other_images).unwrap();
    plain(&other_images.join("a.png"), 1);
    let said = stderr(&dmue(&out, &other_images, &["--cropped"]));
    assert!(said.contains("paths") && said.contains("other"), "{said}");
    assert!(!out.exists());

    // Images that came later are not in it, and are said to be missing.
    plain(&images.join("later.png"), 1);
    let resumed = dmue(&out, &images, &["--cropped"]);
    assert!(resumed.status.success(), "{}", stderr(&resumed));
    assert!(stderr(&resumed).contains("no longer the 300"), "{}", stderr(&resumed));
    assert_eq!(read(&out).len(), 300);

    let again = dmue(&out, &images, &["--cropped"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).contains("--overwrite"), "{}", stderr(&again));
    kill_with_parts_and(&out, &images, 1, &["--overwrite"]);
    let other = dmue(&out, &images, &["--cropped", "--levels", "1", "--overwrite"]);
    assert!(other.status.success(), "{}", stderr(&other));
    assert_eq!(read(&out).len(), 301);
}

#[test]
fn only_one_process_writes_a_table() {
    if !has_model() {
        return eprintln!("skipped: no model in this build");
    }
    let (folder, images) = many_crops(300);
    let out = folder.path().join("labels.parquet");
    let mut first = start(&out, &images, &[]);
    wait_for_parts(&out, 1);
    let second = dmue(&out, &images, &["--cropped"]);
    assert!(first.wait().unwrap().success());
    assert!(stderr(&second).contains("another process"), "{}", stderr(&second));
    assert_eq!(read(&out).len(), 300);
}

#[test]
fn what_cannot_be_labelled_is_refused_before_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("labels.parquet");
    let refused = |out: &Path, images: &Path, arguments: &[&str], part: &str| {
        let refused = dmue(out, images, arguments);
        assert!(!refused.status.success());
        assert!(stderr(&refused).contains(part), "{part}: {}", stderr(&refused));
    };
    refused(&out, folder.path(), &["--json"], "--json");
    refused(&out, folder.path(), &["--jobs", "0"], "--jobs");
    if !has_model() {
        return;
    }
    refused(&out, &folder.path().join("missing"), &[], "missing: no such file");
    refused(&out, folder.path(), &[], "no images");
    refused(&out, folder.path(), &["--tolerated-error", "1.5"], "tolerated_error is 1.5");
    plain(&folder.path().join("a.png"), 1);
    refused(&folder.path().join("nowhere/labels.parquet"), folder.path(), &[], "nowhere");
    std::fs::create_dir(parts_of(&out)).unwrap();
    std::fs::write(parts_of(&out).join("holiday.txt"), b"").unwrap();
    refused(&out, folder.path(), &["--overwrite"], "holiday.txt");
    assert!(parts_of(&out).join("holiday.txt").is_file());
}

/// The rows of one image against its JSON object.
fn assert_image(rows: &[Row], image: &Value, classes: &[String]) {
    let empty = Vec::new();
    assert_eq!(text(&rows[0], "error").as_deref(), image["error"].as_str());
    let faces = image["faces"].as_array().unwrap_or(&empty);
    assert_eq!(rows.len(), faces.len().max(1));
    if faces.is_empty() {
        let given = rows[0].get_column_iter().filter(|(_, field)| **field != Field::Null);
        let given: Vec<_> = given.map(|(name, _)| name.as_str()).collect();
        assert!(["path", "error"].starts_with(&given), "{given:?}");
    }
    for (index, (row, face)) in rows.iter().zip(faces).enumerate() {
        assert_eq!(field(row, "face_index"), Field::Int(index as i32));
        assert_eq!(text(row, "label").as_deref(), face["label"].as_str());
        for name in ["score", "alpha", "detection_score"] {
            assert_number(row, name, &face[name]);
        }
        for name in ["x", "y", "width", "height"] {
            assert_number(row, &format!("box_{name}"), &face["box"][name]);
        }
        for name in LANDMARKS {
            assert_number(row, &format!("{name}_x"), &face["landmarks"][name][0]);
            assert_number(row, &format!("{name}_y"), &face["landmarks"][name][1]);
        }
        assert_eq!(field(row, "unsure"), Field::Bool(face["unsure"].as_bool().unwrap()));
        let Field::ListInternal(list) = field(row, "probabilities") else { panic!("no list") };
        let found: Vec<_> = list.elements().iter().map(number).collect();
        let expected: Vec<_> =
            classes.iter().map(|class| as_f32(&face["probabilities"][class])).collect();
        assert_eq!(found, expected);
        let Field::Int(class) = field(row, "class_index") else { panic!("no index") };
        assert_eq!(Some(classes[class as usize].as_str()), face["label"].as_str());
    }
}

fn assert_number(row: &Row, name: &str, expected: &Value) {
    assert_eq!(number(&field(row, name)), as_f32(expected), "{name}");
}

fn as_f32(value: &Value) -> f32 {
    value.as_f64().unwrap() as f32
}

fn number(field: &Field) -> f32 {
    let Field::Float(number) = field else { panic!("{field} is no number") };
    *number
}

fn field(row: &Row, name: &str) -> Field {
    row.get_column_iter().find(|(column, _)| *column == name).unwrap().1.clone()
}

fn text(row: &Row, name: &str) -> Option<String> {
    match field(row, name) {
        Field::Str(text) => Some(text),
        _ => None,
    }
}

fn read(file: &Path) -> Vec<Row> {
    let reader = SerializedFileReader::new(File::open(file).unwrap()).unwrap();
    reader.get_row_iter(None).unwrap().map(Result::unwrap).collect()
}

fn classes(file: &Path) -> Vec<String> {
    let reader = SerializedFileReader::new(File::open(file).unwrap()).unwrap();
    let notes = reader.metadata().file_metadata().key_value_metadata().unwrap();
    let classes = notes.iter().find(|note| note.key == "classes").unwrap();
    serde_json::from_str(classes.value.as_deref().unwrap()).unwrap()
}

/// Runs to the end.
fn dmue(out: &Path, images: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dmue"))
        .args(["predict", "--out"])
        .args([out, images])
        .args(arguments)
        .output()
        .unwrap()
}

fn start(out: &Path, images: &Path, arguments: &[&str]) -> std::process::Child {
    Command::new(env!("CARGO_BIN_EXE_dmue"))
        .args(["predict", "--cropped", "--jobs", "1", "--out"])
        .args([out, images])
        .args(arguments)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Kills (SIGKILL) a run some random time after it has kept `count` parts.
fn kill_with_parts(out: &Path, images: &Path, count: usize) {
    kill_with_parts_and(out, images, count, &[]);
}

fn kill_with_parts_and(out: &Path, images: &Path, count: usize, arguments: &[&str]) {
    let mut child = start(out, images, arguments);
    wait_for_parts(out, count);
    std::thread::sleep(Duration::from_micros(rand::rng().random_range(0..20_000)));
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success(), "the run was over before it was killed");
}

fn wait_for_parts(out: &Path, count: usize) {
    let start = Instant::now();
    let is_part = |entry: &std::fs::DirEntry| {
        let name = entry.file_name().into_string().unwrap();
        name.starts_with("part-") && name.ends_with(".parquet")
    };
    loop {
        let entries = std::fs::read_dir(parts_of(out)).into_iter().flatten().flatten();
        if entries.filter(is_part).count() >= count {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(120), "no {count} parts in two minutes");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn parts_of(out: &Path) -> PathBuf {
    format!("{}.parts", out.display()).into()
}

/// Small pictures that are answered as crops, each another shade.
fn many_crops(count: u32) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let images = folder.path().join("images");
    std::fs::create_dir(&images).unwrap();
    for index in 0..count {
        plain(&images.join(format!("{index:04}.png")), (index % 251) as u8);
    }
    (folder, images)
}

fn plain(path: &Path, shade: u8) {
    let paint = |x: u32, _| image::Luma([shade.wrapping_add(2 * x as u8)]);
    image::GrayImage::from_fn(48, 48, paint).save(path).unwrap();
}

/// The astronaut beside a smaller copy: two faces.
fn pair(path: &Path) {
    let person = image::open(ASTRONAUT).unwrap();
    let smaller = person.resize_exact(384, 384, image::imageops::FilterType::Triangle);
    let mut both = image::RgbImage::new(896, 512);
    image::imageops::overlay(&mut both, &person.to_rgb8(), 0, 0);
    image::imageops::overlay(&mut both, &smaller.to_rgb8(), 512, 64);
    both.save(path).unwrap();
}

fn has_model() -> bool {
    Engine::default_model().is_some()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}
