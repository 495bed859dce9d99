//! `dmue-train data inspect` and `data crop` as a user runs them.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::path::Path;

use common::runs::{program, refuse, save, succeed};
use common::{Draws, faces};
use dmue_edge::Engine;
use dmue_edge::model::Colour;
use dmue_edge::photo::Photo;
use dmue_train::data::dataset::Source;
use dmue_train::data::sample::CropSpec;
use tempfile::TempDir;

/// The settings of the default model.
const DEFAULT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/configs/recipe/again/edge.toml");
const ASTRONAUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/images/astronaut.png");

fn picture(root: &Path, name: &str, seed: u64, size: usize) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    save(&path, &faces::pixels(0, 3, size, &mut Draws::new(seed)), size);
}

#[test]
fn inspect_counts_classes_sizes_and_repeated_images() {
    let folder = TempDir::new().unwrap();
    for (name, seed, size) in [
        ("train/happy/1.png", 1, 48),
        ("train/happy/2.png", 2, 60),
        ("train/happy/3.png", 1, 48), // as 1
        ("train/sad/4.png", 2, 60),   // as 2, with another label
        ("valid/happy/5.png", 5, 48),
        ("valid/sad/6.png", 1, 48), // as 1, with another label
    ] {
        picture(folder.path(), name, seed, size);
    }
    let (set, sheet) = (folder.path().to_str().unwrap(), folder.path().join("sheet.png"));
    let mut command = program(&["data", "inspect", set]);
    let text = succeed(command.arg("--sheet").arg(&sheet));
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for expected in [
        "#train ",
        "happy 3 75.0 %",
        "sad 1 25.0 %",
        "image sizes: 48x48 (2), 60x60 (2)",
        "2 images (1 with another label) that stand earlier",
        "#valid: 1 images (1 with another label) that stand in",
        "4 strips of faces",
    ] {
        assert!(words.contains(expected), "{expected:?} is not in:\n{text}");
    }
    let drawn = image::open(&sheet).unwrap();
    assert_eq!((drawn.width(), drawn.height()), (16 * 66 + 2, 4 * 84));

    let train = format!("{set}#train");
    let other = folder.path().join("valid");
    let mut command = program(&["data", "inspect", &train, "--against"]);
    assert!(succeed(command.arg(other)).contains("1 images (1 with another label) that stand in"));
    fs::write(folder.path().join("valid/sad/6.png"), b"no picture").unwrap();
    let valid = format!("{set}#valid");
    let text = succeed(&mut program(&["data", "inspect", "--skip-bad", &valid]));
    assert!(text.contains("1 bad rows left out (the first is row 1: "), "{text}");
    let error = refuse(&mut program(&["data", "inspect", set, "--sheet", "sheet.gif"]));
    assert!(error.contains("--sheet sheet.gif: must end in .png"), "{error}");
}

#[test]
fn crop_cuts_faces_as_the_device_does_and_lists_what_it_did_not_find() {
    let folder = TempDir::new().unwrap();
    let photos = folder.path().join("photos");
    for class in ["happy", "smiling"] {
        fs::create_dir_all(photos.join(class)).unwrap();
        fs::copy(ASTRONAUT, photos.join(class).join("eileen.png")).unwrap();
    }
    picture(&photos, "happy/nobody.png", 3, 300);
    fs::write(photos.join("smiling/broken.jpg"), b"no picture").unwrap();
    let out = folder.path().join("crops");
    let mut command =
        program(&["data", "crop", photos.to_str().unwrap(), "--config", DEFAULT, "--out"]);
    let text = succeed(command.arg(&out));
    assert!(text.contains("4 photos: 2 crops") && text.contains("2 photos gave none"), "{text}");

    let list = fs::read_to_string(out.join("not_found.txt")).unwrap();
    let lines: Vec<&str> = list.lines().collect();
    assert_eq!(lines.len(), 2, "{list}");
    assert!(lines[0].ends_with("happy/nobody.png\tno face found"), "{list}");
    assert!(
        lines[1].contains("smiling/broken.jpg\t") && lines[1].contains("not an image"),
        "{list}"
    );
    assert_eq!(image::open(out.join("sheet.png")).unwrap().height(), 2 * 84);

    let spec = CropSpec { size: 56, colour: Colour::Gray };
    let source = Source::open(&out, spec, false).unwrap();
    assert_eq!(
        (source.classes.as_slice(), source.samples.len()),
        (["happy".to_owned(), "smiling".into()].as_slice(), 2)
    );
    let engine = Engine::builder().build().unwrap();
    let photo = Photo::open(ASTRONAUT).unwrap();
    let seen = engine.predict(&photo.view().unwrap()).unwrap();
    assert_eq!(source.samples[0].crop, seen.predictions[0].crop, "what the network will see");

    let mut again = program(&["data", "crop", photos.to_str().unwrap(), "--out"]);
    let error = refuse(again.arg(&out));
    assert!(error.contains("is not empty; choose a new folder"), "{error}");
    let nowhere = folder.path().join("none.jpg");
    let text =
        succeed(program(&["data", "crop", "--out"]).arg(folder.path().join("two")).arg(&nowhere));
    assert!(text.contains("1 photos gave none"), "{text}");
}

#[test]
fn eval_leaves_classes_that_the_model_does_not_know_out_when_asked_to() {
    let folder = TempDir::new().unwrap();
    for (seed, class) in ["happiness", "neutral", "bored"].into_iter().enumerate() {
        picture(folder.path(), &format!("{class}/1.png"), seed as u64, 48);
    }
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../dmue-edge/models/edge.dmue.onnx");
    let data = folder.path().to_str().unwrap();
    let error = refuse(&mut program(&["eval", "--model", model, "--data", data]));
    assert!(error.contains("the data has the class \"bored\""), "{error}");
    let arguments = ["eval", "--known-classes", "--model", model, "--data", data];
    assert!(succeed(&mut program(&arguments)).contains("faces 2 (0 duplicates left out)"));
}
