//! Every published set from a made fixture of its layout, and every way in which one can be wrong.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::runs::save;
use common::{Draws, faces};
use dmue_edge::face::Landmarks;
use dmue_edge::face::align::{FaceCrop, FaceTemplate, align};
use dmue_edge::model::Colour;
use dmue_edge::photo::Photo;
use dmue_train::data::dataset::Source;
use dmue_train::data::expressions::EXPRESSIONS;
use dmue_train::data::sample::CropSpec;
use tempfile::TempDir;

const SPEC: CropSpec = CropSpec { size: 48, colour: Colour::Gray };

fn pixels(seed: u64, size: usize) -> Vec<u8> {
    faces::pixels(seed as usize % 3, 3, size, &mut Draws::new(seed))
}

fn picture(root: &Path, name: &str, seed: u64, size: usize) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    save(&path, &pixels(seed, size), size);
}

fn write(root: &Path, name: &str, text: impl AsRef<[u8]>) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn split(root: &Path, name: &str) -> PathBuf {
    format!("{}#{name}", root.display()).into()
}

fn open(path: &Path) -> Source {
    Source::open(path, SPEC, false).unwrap()
}

fn refusal(path: &Path) -> String {
    Source::open(path, SPEC, false).unwrap_err().to_string()
}

/// The class names of a source's faces in order.
fn labels(source: &Source) -> Vec<&str> {
    source.samples.iter().map(|sample| source.classes[sample.label].as_str()).collect()
}

fn assert_says(text: &str, parts: &[&str]) {
    parts.iter().for_each(|part| assert!(text.contains(part), "{part:?} is not in: {text}"));
}

const VOTES_HEADER: &str = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,\
    fear,contempt,unknown,NF";

fn ferplus() -> TempDir {
    let folder = TempDir::new().unwrap();
    let rows = [
        ("Training", "fer0000000.png", "8,0,0,1,1,0,0,0,0,0"),
        ("Training", "fer0000001.png", "0,0,0,0,1,9,0,0,0,0"),
        ("Training", "", "0,0,0,0,0,0,0,0,0,10"), // no face: no name
        ("PublicTest", "fer0000003.png", "5,5,0,0,0,0,0,0,0,0"),
        ("PublicTest", "fer0000004.png", "0,0,0,0,0,0,2,8,0,0"),
        ("PrivateTest", "fer0000005.png", "0,0,10,0,0,0,0,0,0,0"),
    ];
    let (mut votes, mut images) = (VOTES_HEADER.to_owned(), "emotion,pixels,Usage".to_owned());
    for (seed, (usage, name, counts)) in rows.into_iter().enumerate() {
        votes += &format!("\n{usage},{name},{counts}");
        let text: Vec<_> = pixels(seed as u64, 48).iter().map(u8::to_string).collect();
        images += &format!("\n0,{},{usage}", text.join(" "));
    }
    write(folder.path(), "fer2013new.csv", votes);
    write(folder.path(), "fer2013.csv", images);
    folder
}

#[test]
fn ferplus_joins_votes_and_faces_row_by_row() {
    let folder = ferplus();
    let train = open(&split(folder.path(), "train"));
    assert_eq!(train.classes, EXPRESSIONS);
    assert_eq!(labels(&train), ["neutral", "disgust"]);
    assert_eq!(train.samples[1].crop.pixels, pixels(1, 48), "the faces of the same row");
    assert_eq!(
        (train.samples[1].name.as_str(), train.samples[1].original),
        ("fer0000001.png", [48; 2])
    );
    assert_says(&train.summary, &["2 faces of 8 classes, 1 without a majority"]);
    assert_eq!(labels(&open(&split(folder.path(), "val"))), ["contempt"]);
    let file = folder.path().join("fer2013new.csv");
    assert_eq!(labels(&open(&split(&file, "test"))), ["surprise"], "by the file's own name");
}

#[test]
fn what_is_wrong_with_ferplus_is_named() {
    let folder = ferplus();
    let root = folder.path();
    let train = split(root, "train");
    assert_says(&refusal(root), &["train, valid, test: name one", "#train"]);
    let votes = fs::read_to_string(root.join("fer2013new.csv")).unwrap();
    let images = fs::read_to_string(root.join("fer2013.csv")).unwrap();
    let cases: [(String, String, &[&str]); 7] = [
        (votes.replace(",8,0,0", ",8,x,0"), images.clone(), &["row 0: happiness is \"x\""]),
        (
            votes.replacen("Training", "Train", 1),
            images.clone(),
            &["row 0: Usage is \"Train\"", "fer2013.csv"],
        ),
        (votes.replace(",NF", ",none"), images.clone(), &["header", "must name", "and NF"]),
        (
            votes.lines().take(4).collect::<Vec<_>>().join("\n"),
            images.clone(),
            &["fer2013new.csv", "ends after 3 rows", "do not belong together"],
        ),
        (
            votes.clone(),
            images.replacen("0,", "0,7 ", 1),
            &["row 0: pixels holds 2305 values, must be 2304"],
        ),
        (votes.clone(), images.replacen("0,", "0,300 ", 1), &["row 0: pixels holds \"300\""]),
        (
            votes.clone(),
            images.replace("pixels", "image"),
            &["fer2013.csv: the header", "must name pixels and Usage"],
        ),
    ];
    for (votes, images, expected) in cases {
        write(root, "fer2013new.csv", &votes);
        write(root, "fer2013.csv", &images);
        assert_says(&refusal(&train), expected);
    }
    fs::remove_file(root.join("fer2013.csv")).unwrap();
    assert_says(&refusal(&train), &["fer2013.csv: is missing", "Kaggle"]);
    fs::rename(root.join("fer2013new.csv"), root.join("fer2013.csv")).unwrap();
    assert_says(&refusal(&train), &["fer2013new.csv: is missing", "microsoft/FERPlus"]);
}

fn raf_db() -> TempDir {
    let folder = TempDir::new().unwrap();
    let list: String = (1..=7).map(|label| format!("train_0000{label}.jpg {label}\n")).collect();
    write(folder.path(), "EmoLabel/list_patition_label.txt", list + "test_0001.jpg 4\n");
    for label in 1..=7 {
        picture(folder.path(), &format!("Image/aligned/train_0000{label}_aligned.jpg"), label, 100);
    }
    picture(folder.path(), "Image/aligned/test_0001_aligned.jpg", 9, 100);
    folder
}

#[test]
fn raf_db_is_read_by_its_list() {
    let folder = raf_db();
    let train = open(&split(folder.path(), "train"));
    assert_eq!(train.classes, EXPRESSIONS[..7]);
    let expected = ["surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral"];
    assert_eq!(labels(&train), expected);
    assert_eq!(train.samples[0].original, [100; 2]);
    assert_eq!(labels(&open(&split(folder.path(), "test"))), ["happiness"]);
    fs::remove_file(folder.path().join("Image/aligned/test_0001_aligned.jpg")).unwrap();
    picture(folder.path(), "Image/aligned/test_0001.png", 9, 48);
    assert_eq!(open(&split(folder.path(), "test")).samples[0].crop.pixels, pixels(9, 48));
}

#[test]
fn what_is_wrong_with_raf_db_is_named() {
    let folder = raf_db();
    let (root, train) = (folder.path(), split(folder.path(), "train"));
    assert_says(&refusal(root), &["train, test: name one"]);
    assert_says(&refusal(&split(root, "valid")), &["has no split valid, only train, test"]);
    let list = "EmoLabel/list_patition_label.txt";
    for (text, expected) in [
        ("train_00001.jpg 0", "row 0: label 0 of train_00001.jpg: must be 1 surprise"),
        ("train_00001.jpg 8", "row 0: label 8 of train_00001.jpg: must be 1 surprise"),
        ("train_00001.jpg", "\"train_00001.jpg\" is no line like"),
        ("img_00001.jpg 3", "must begin with train_ or test_"),
        ("train_00009.jpg 3", "train_00009_aligned.jpg: No such file"),
    ] {
        write(root, list, text);
        assert_says(&refusal(&train), &[expected]);
    }
    fs::remove_file(root.join(list)).unwrap();
    assert_says(&refusal(&train), &["RAF-DB", "lacks the list", "list_patition_label.txt"]);
    write(root, list, "");
    fs::remove_dir_all(root.join("Image")).unwrap();
    assert_says(&refusal(&train), &["lacks the folder of aligned faces", "Image/aligned"]);
}

const AFFECTNET_HEADER: &str = "subDirectory_filePath,face_x,face_y,face_width,face_height,\
    facial_landmarks,expression,valence,arousal";

/// Points of a face with the eyes at (70, 60) and (110, 60), nose (90, 85), mouth (90, 100).
fn points() -> String {
    let point = |index| match index {
        36..42 => "70;60",
        42..48 => "110;60",
        30 => "90;85",
        48.. => "90;100",
        _ => "50;50",
    };
    (0..68).map(point).collect::<Vec<_>>().join(";")
}

fn affectnet_lists() -> TempDir {
    let folder = TempDir::new().unwrap();
    let points = points();
    let train = format!(
        "{AFFECTNET_HEADER}\n1/a.png,10,10,90,90,{points},6,0.1,0.2\n1/b.png,20,30,100,100,,1,0,0\n\
         2/c.png,NULL,NULL,NULL,NULL,NULL,10,-2,-2\n2/d.png,0,0,180,180,{points},7,0,0"
    );
    write(folder.path(), "training.csv", train);
    write(
        folder.path(),
        "validation.csv",
        format!("{AFFECTNET_HEADER}\n2/d.png,0,0,180,180,{points},0,0,0"),
    );
    for (seed, name) in ["1/a.png", "1/b.png", "2/d.png"].into_iter().enumerate() {
        picture(&folder.path().join("Manually_Annotated_Images"), name, seed as u64, 180);
    }
    folder
}

#[test]
fn affectnet_lists_are_cut_out_by_landmarks_or_box() {
    let folder = affectnet_lists();
    let train = open(&split(folder.path(), "train"));
    assert_eq!(labels(&train), ["anger", "happiness", "contempt"]);
    assert_says(&train.summary, &["1 labelled none, uncertain or no face and 0 bad"]);
    let images = folder.path().join("Manually_Annotated_Images");
    let photo = Photo::open(images.join("1/a.png")).unwrap();
    let landmarks = Landmarks {
        right_eye: [70., 60.],
        left_eye: [110., 60.],
        nose: [90., 85.],
        mouth: [90., 100.],
        right_ear: [50.; 2],
        left_ear: [50.; 2],
    };
    let view = photo.view().unwrap();
    let aligned = align(&view, &landmarks, &FaceTemplate::FERPLUS, 48, Colour::Gray);
    assert_eq!(train.samples[0].crop, aligned, "as the device would cut it");
    let part = TempDir::new().unwrap();
    let whole = image::open(images.join("1/b.png")).unwrap();
    whole.crop_imm(20, 30, 100, 100).save(part.path().join("part.png")).unwrap();
    let boxed = Photo::open(part.path().join("part.png")).unwrap();
    let boxed = FaceCrop::resized(&boxed.view().unwrap(), 48, Colour::Gray);
    assert_eq!(train.samples[1].crop, boxed, "the face box where there are no landmarks");
    assert_eq!(labels(&open(&folder.path().join("validation.csv"))), ["neutral"]);
}

#[test]
fn affectnet_of_seven_classes_leaves_contempt_out() {
    let folder = affectnet_lists();
    let seven: Vec<String> = EXPRESSIONS[..7].iter().map(|name| (*name).to_owned()).collect();
    let train = open(&split(folder.path(), "train")).select(&seven).unwrap();
    assert_eq!((labels(&train), train.classes.len()), (vec!["anger", "happiness"], 7));
    assert_says(&train.summary, &["1 of classes that data.classes does not name"]);
    let error = train.select(&["contempt".into()]).unwrap_err().to_string();
    assert_says(&error, &["\"contempt\" is no class of the data", "\"neutral\""]);
}

#[test]
fn what_is_wrong_with_affectnet_lists_is_named() {
    let folder = affectnet_lists();
    let (root, train) = (folder.path(), split(folder.path(), "train"));
    for (row, expected) in [
        ("1/a.png,0,0,9,9,,11,0,0", "1/a.png: expression is 11: must be 0 neutral"),
        ("1/a.png,0,0,9,9,,happy,0,0", "expression of 1/a.png is \"happy\""),
        ("1/a.png,0,0,9,9,1;2;3,1,0,0", "facial_landmarks holds 3 numbers, must be 136"),
        ("1/a.png,0,0,9,9,1;x,1,0,0", "facial_landmarks holds something that is no number"),
        ("1/a.png,500,0,9,9,,1,0,0", "the face box at [500, 0] of size [9, 9]"),
        ("1/a.png,0,0,-9,9,,1,0,0", "face_width is \"-9\""),
        ("3/none.png,0,0,9,9,,1,0,0", "3/none.png: No such file"),
    ] {
        write(root, "training.csv", format!("{AFFECTNET_HEADER}\n{row}"));
        let text = refusal(&train);
        assert_says(&text, &["training.csv: row 0: ", expected]);
    }
    write(root, "training.csv", AFFECTNET_HEADER.replace("expression", "emotion"));
    assert_says(&refusal(&train), &["header", "must name", "and expression"]);
    fs::rename(root.join("Manually_Annotated_Images"), root.join("photos")).unwrap();
    assert_says(&refusal(&train), &["training.csv: the photos", "Manually_Annotated_Images"]);
    fs::rename(root.join("photos"), root.join("Manually_Annotated_Images")).unwrap();
    fs::remove_file(root.join("training.csv")).unwrap();
    assert_says(&refusal(&train), &["has no split train, only valid"]);
    fs::remove_file(root.join("validation.csv")).unwrap();
    assert_says(&refusal(&train), &["AffectNet", "lacks its lists", "training.csv"]);
}

/// What `numpy.save` writes for a text of one character.
fn npy(code: char) -> Vec<u8> {
    let header = format!("{:117}\n", "{'descr': '<U1', 'fortran_order': False, 'shape': (), }");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend((code as u32).to_le_bytes());
    bytes
}

fn affectnet_arrays() -> TempDir {
    let folder = TempDir::new().unwrap();
    for (id, code) in [(7, '2'), (12, '6'), (100, '8')] {
        write(folder.path(), &format!("train_set/annotations/{id}_exp.npy"), npy(code));
        write(folder.path(), &format!("train_set/annotations/{id}_lnd.npy"), b"not looked at");
        picture(folder.path(), &format!("train_set/images/{id}.jpg"), id, 96);
    }
    write(folder.path(), "val_set/annotations/0_exp.npy", npy('4'));
    picture(folder.path(), "val_set/images/0.jpg", 3, 96);
    folder
}

#[test]
fn affectnet_arrays_give_a_label_per_image() {
    let folder = affectnet_arrays();
    let train = open(&split(folder.path(), "train"));
    assert_eq!(labels(&train), ["anger", "sadness"], "12_exp.npy before 7_exp.npy");
    assert!(train.samples[0].name.ends_with("images/12.jpg"));
    assert_says(&train.summary, &["1 labelled none, uncertain or no face"]);
    assert_eq!(labels(&open(&split(folder.path(), "valid"))), ["fear"]);
    assert_eq!(labels(&open(&folder.path().join("val_set"))), ["fear"]);
}

#[test]
fn what_is_wrong_with_affectnet_arrays_is_named() {
    let folder = affectnet_arrays();
    let (root, train) = (folder.path(), split(folder.path(), "train"));
    let annotation = "train_set/annotations/7_exp.npy";
    for (bytes, expected) in [
        (npy('9')[..30].to_vec(), "7_exp.npy: is no .npy file, or is cut short"),
        (npy('x'), "7_exp.npy: its value of type <U1 is no whole number"),
        (Vec::new(), "7_exp.npy: is no .npy file"),
    ] {
        write(root, annotation, bytes);
        assert_says(&refusal(&train), &["row 2: ", expected]);
    }
    write(root, annotation, npy('1'));
    fs::remove_file(root.join("train_set/images/7.jpg")).unwrap();
    assert_says(&refusal(&train), &["images/7.jpg: No such file"]);
    fs::remove_dir_all(root.join("train_set/annotations")).unwrap();
    assert_says(&refusal(&train), &["train_set: ", "lacks the folder annotations"]);
}

#[test]
fn sfew_is_read_from_its_class_folders_with_or_without_a_folder_between() {
    let folder = TempDir::new().unwrap();
    let names = ["Angry", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise"];
    for (seed, name) in names.into_iter().enumerate() {
        picture(
            folder.path(),
            &format!("Train/Train_Aligned_Faces/{name}/1.png"),
            seed as u64,
            143,
        );
        picture(folder.path(), &format!("Val/{name}/1.png"), 10 + seed as u64, 143);
    }
    let expected = ["anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise"];
    for name in ["train", "valid"] {
        let source = open(&split(folder.path(), name));
        assert_eq!(source.classes, EXPRESSIONS[..7]);
        assert_eq!(labels(&source), expected);
    }
    assert_says(&refusal(folder.path()), &["holds the splits train, valid: name one"]);
    fs::remove_dir_all(folder.path().join("Val/Angry")).unwrap();
    assert_eq!(
        open(&split(folder.path(), "valid")).classes[0],
        "Disgust",
        "no longer SFEW's seven"
    );
}

#[test]
fn splits_of_a_set_without_splits_are_refused() {
    let folder = TempDir::new().unwrap();
    picture(folder.path(), "happy/1.png", 1, 48);
    picture(folder.path(), "sad/1.png", 2, 48);
    assert_says(
        &refusal(&split(folder.path(), "train")),
        &["not divided into splits: leave #train out"],
    );
    assert_says(&refusal(&split(folder.path(), "dev")), &["#dev names no split", "#valid"]);
    let empty = TempDir::new().unwrap();
    assert_says(&refusal(empty.path()), &["0 class folders", "DATA.md"]);
}
