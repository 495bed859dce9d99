//! The three kinds of data sets: good ones, and every bad row by file, row and reason.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use common::faces::{self, PACK_SCHEMA, PackRow, png, write_pack};
use common::{Draws, values};
use dmue_edge::model::Colour;
use dmue_train::Error;
use dmue_train::data::dataset::{Dataset, Source};
use dmue_train::data::sample::CropSpec;
use tch::Device;
use tempfile::TempDir;

const SIZE: usize = 12;
const SPEC: CropSpec = CropSpec { size: SIZE as u32, colour: Colour::Gray };
const ORDER: &str = "calm,happy,sad,unknown,NF";

fn image(seed: u64) -> Vec<u8> {
    png(&faces::pixels(seed as usize % 3, 3, SIZE, &mut Draws::new(seed)), SIZE)
}

fn row(seed: u64, votes: [i32; 5]) -> PackRow {
    PackRow {
        name: Some(format!("face{seed}")),
        image: Some(image(seed)),
        votes: Some(votes.into()),
    }
}

fn good_rows() -> Vec<PackRow> {
    vec![
        row(0, [6, 1, 0, 0, 0]),
        row(1, [0, 0, 9, 1, 0]),
        row(2, [4, 4, 0, 0, 0]), // a tie
        row(3, [2, 0, 0, 7, 0]), // unknown wins
        row(4, [0, 5, 1, 1, 1]),
    ]
}

fn pack(folder: &TempDir, rows: &[PackRow]) -> PathBuf {
    let file = folder.path().join("faces.parquet");
    write_pack(&file, PACK_SCHEMA, Some(ORDER), rows);
    file
}

fn refusal(path: &Path) -> String {
    Source::open(path, SPEC, false).unwrap_err().to_string()
}

#[test]
fn a_pack_gives_its_labelled_faces() {
    let folder = TempDir::new().unwrap();
    let source = Source::open(&pack(&folder, &good_rows()), SPEC, false).unwrap();
    assert_eq!(source.classes, ["calm", "happy", "sad"]);
    let found: Vec<_> = source.samples.iter().map(|s| (s.name.as_str(), s.label)).collect();
    assert_eq!(found, [("face0", 0), ("face1", 2), ("face4", 1)]);
    assert!(source.summary.contains("3 faces of 3 classes, 2 without a majority and 0 bad"));
    let pixels = faces::pixels(1, 3, SIZE, &mut Draws::new(1));
    assert_eq!(source.samples[1].crop.pixels, pixels, "at its own size a copy is exact");
}

#[test]
fn a_bad_row_of_a_pack_is_named_or_counted() {
    let good = row(1, [0, 9, 0, 0, 0]);
    let bad = [
        (PackRow { name: None, ..good.clone() }, "column name holds null"),
        (PackRow { image: None, ..good.clone() }, "image of face1 is null"),
        (PackRow { image: Some(vec![]), ..good.clone() }, "image of face1: "),
        (PackRow { image: Some(b"no picture".to_vec()), ..good.clone() }, "image of face1: "),
        (PackRow { image: Some(image(1)[..60].to_vec()), ..good.clone() }, "image of face1: "),
        (PackRow { votes: None, ..good.clone() }, "column votes holds null"),
        (PackRow { votes: Some(vec![]), ..good.clone() }, "votes has 0 counts, votes_order 5"),
        (PackRow { votes: Some(vec![3; 4]), ..good.clone() }, "votes has 4 counts, votes_order 5"),
    ];
    let folder = TempDir::new().unwrap();
    for (wrong, reason) in bad {
        let file = pack(&folder, &[row(0, [7, 0, 0, 0, 0]), wrong, good.clone()]);
        let error = Source::open(&file, SPEC, false).unwrap_err();
        assert!(matches!(error, Error::Row { row: 1, .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("faces.parquet: row 1: ") && text.contains(reason), "{text}");
        assert!(text.contains("--skip-bad"), "{text}");
        let skipped = Source::open(&file, SPEC, true).unwrap();
        assert_eq!(skipped.samples.len(), 2);
        assert!(skipped.summary.contains("1 bad rows left out"), "{}", skipped.summary);
    }
}

#[test]
fn what_is_no_pack_is_refused_as_a_whole() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("faces.parquet");
    write_pack(&file, PACK_SCHEMA, None, &good_rows());
    assert!(refusal(&file).contains("no votes_order"), "{}", refusal(&file));
    for order in ["", "calm,unknown,NF", "calm,happy,sad", "NF"] {
        write_pack(&file, PACK_SCHEMA, Some(order), &good_rows());
        let text = refusal(&file);
        assert!(text.contains(&format!("votes_order is \"{order}\"")), "{text}");
    }
    let short = "message schema { OPTIONAL INT32 index; OPTIONAL BYTE_ARRAY name (UTF8); }";
    write_pack(&file, short, Some(ORDER), &good_rows());
    assert!(refusal(&file).contains("row 0"), "{}", refusal(&file));
    fs::write(&file, b"PAR1 but nothing else").unwrap();
    assert!(refusal(&file).contains("faces.parquet: "), "{}", refusal(&file));
    let whole = fs::read(pack(&folder, &good_rows())).unwrap();
    fs::write(&file, &whole[..whole.len() - 20]).unwrap();
    assert!(refusal(&file).contains("faces.parquet: "), "{}", refusal(&file));
    let undecided = pack(&folder, &good_rows()[2..4]);
    assert!(refusal(&undecided).contains("no labelled face"), "{}", refusal(&undecided));
}

/// DIR/<class>/<name>.png
fn folder_set() -> TempDir {
    let folder = TempDir::new().unwrap();
    for (seed, name) in ["b/2.png", "a/1.png", "b/1.png", "a/.hidden"].into_iter().enumerate() {
        let file = folder.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, image(seed as u64)).unwrap();
    }
    folder
}

#[test]
fn a_folder_gives_its_classes_in_alphabetical_order() {
    let folder = folder_set();
    let source = Source::open(folder.path(), SPEC, false).unwrap();
    assert_eq!(source.classes, ["a", "b"]);
    let label_of = |end: &str| {
        let mut found = source.samples.iter().filter(|sample| sample.name.ends_with(end));
        found.next().map(|sample| sample.label)
    };
    assert_eq!(source.samples.len(), 3);
    assert_eq!(
        (label_of("a/1.png"), label_of("b/1.png"), label_of("b/2.png")),
        (Some(0), Some(1), Some(1))
    );
}

#[test]
fn a_bad_file_of_a_folder_is_named_or_counted() {
    let folder = folder_set();
    fs::write(folder.path().join("b/1.png"), b"no picture").unwrap();
    let text = refusal(folder.path());
    assert!(text.contains("row 1: ") && text.contains("b/1.png: "), "{text}");
    let skipped = Source::open(folder.path(), SPEC, true).unwrap();
    assert_eq!(skipped.samples.len(), 2);
    assert!(skipped.summary.contains("1 bad rows"), "{}", skipped.summary);
    fs::remove_dir_all(folder.path().join("b")).unwrap();
    assert!(refusal(folder.path()).contains("1 class folders, at least 2"));
}

/// A list beside the images of [`folder_set`].
fn list(folder: &TempDir, text: &str) -> PathBuf {
    let file = folder.path().join("list.csv");
    fs::write(&file, text).unwrap();
    file
}

#[test]
fn a_list_gives_its_rows_with_classes_in_alphabetical_order() {
    let folder = folder_set();
    let file = list(&folder, "label,path\nsad, b/1.png\nhappy,a/1.png\n\"sad\",\"b/2.png\"\n");
    let source = Source::open(&file, SPEC, false).unwrap();
    assert_eq!(source.classes, ["happy", "sad"]);
    assert_eq!(source.samples.iter().map(|sample| sample.label).collect::<Vec<_>>(), [1, 0, 1]);
}

#[test]
fn a_bad_row_of_a_list_is_named_or_counted() {
    let folder = folder_set();
    fs::write(folder.path().join("broken.png"), b"no picture").unwrap();
    for (line, reason) in [
        ("b/none.png,sad", "b/none.png: "),
        ("broken.png,sad", "broken.png: "),
        ("b/2.png,", "label of b/2.png is empty"),
        ("b/2.png", "fields"),
        ("b/2.png,sad,more", "fields"),
    ] {
        let file = list(&folder, &format!("path,label\na/1.png,happy\n{line}\nb/1.png,sad\n"));
        let error = Source::open(&file, SPEC, false).unwrap_err();
        assert!(matches!(error, Error::Row { row: 1, .. }), "{line}: {error:?}");
        let text = error.to_string();
        assert!(text.contains("list.csv: row 1: ") && text.contains(reason), "{text}");
        assert_eq!(Source::open(&file, SPEC, true).unwrap().samples.len(), 2);
    }
    let text = refusal(&list(&folder, "file,class\na/1.png,happy\n"));
    assert!(text.contains("\"file,class\"") && text.contains("path and label"), "{text}");
    assert!(refusal(&list(&folder, "path,label\n")).contains("no labelled face"));
    let one = refusal(&list(&folder, "path,label\na/1.png,happy\n"));
    assert!(one.contains("1 class") && one.contains("at least 2"), "{one}");
}

#[test]
fn a_path_of_no_known_kind_is_refused() {
    let folder = TempDir::new().unwrap();
    let missing = folder.path().join("none.parquet");
    let error = refusal(&missing);
    assert!(error.contains("none.parquet: ") && error.contains("o such file"), "{error}");
    let text = folder.path().join("faces.txt");
    fs::write(&text, "").unwrap();
    assert!(refusal(&text).contains("must be a .parquet pack"), "{}", refusal(&text));
}

#[test]
fn duplicates_are_left_out() {
    let mut source = faces::source(3, 4, SIZE, 1);
    let copies: Vec<_> = source.samples[2..5].to_vec();
    source.samples.extend(copies.clone());
    assert_eq!(source.drop_duplicates(), 3);
    assert_eq!((source.samples.len(), source.drop_duplicates()), (12, 0));
    assert_eq!(source.drop_known(&copies), 3);
    let names: HashSet<&str> = source.samples.iter().map(|sample| sample.name.as_str()).collect();
    assert!(copies.iter().all(|copy| !names.contains(copy.name.as_str())));
}

#[test]
fn holding_out_is_repeatable_disjoint_and_of_the_share_that_was_asked_for() {
    let names = |source: &Source| -> HashSet<String> {
        source.samples.iter().map(|sample| sample.name.clone()).collect()
    };
    let split = |seed| faces::source(4, 250, SIZE, 1).hold_out(0.1, seed);
    let ((kept, out), (again, _)) = (split(7), split(7));
    assert_eq!(names(&kept), names(&again));
    assert!(names(&kept).is_disjoint(&names(&out)));
    assert_eq!(kept.samples.len() + out.samples.len(), 1000);
    // Four standard deviations of a share of 0.1 of 1000.
    assert!((62..138).contains(&out.samples.len()), "{}", out.samples.len());
    assert_ne!(names(&kept), names(&split(8).0));
    // The same face falls on the same side in a smaller set.
    let mut part = faces::source(4, 250, SIZE, 1);
    part.samples.truncate(500);
    let (kept_part, out_part) = part.hold_out(0.1, 7);
    assert!(names(&kept_part).is_subset(&names(&kept)) && names(&out_part).is_subset(&names(&out)));
    // And at another size.
    assert_eq!(names(&faces::source(4, 250, SIZE / 2, 1).hold_out(0.1, 7).1), names(&out));
}

#[test]
fn a_batch_holds_the_asked_images_as_shares_of_white() {
    let source = faces::source(3, 2, SIZE, 1);
    let data = Dataset::new(&source).unwrap();
    assert_eq!((data.len(), data.counts()), (6, vec![2, 2, 2]));
    let (images, labels) = data.batch(&[4, 1], Device::Cpu);
    assert_eq!(images.size(), [2, 1, SIZE as i64, SIZE as i64]);
    assert_eq!(values(&labels), [1., 1.]);
    let expected = source.samples[4].crop.pixels.iter().map(|&pixel| f64::from(pixel) / 255.);
    common::assert_close(&values(&images.get(0)), &expected.collect::<Vec<_>>(), 1e-6, "pixels");
}

#[test]
fn colour_comes_out_channel_by_channel() {
    let folder = folder_set();
    let red = image::RgbImage::from_pixel(20, 16, image::Rgb([200, 100, 50]));
    red.save(folder.path().join("a/1.png")).unwrap();
    let spec = CropSpec { size: 8, colour: Colour::Rgb };
    let data = Dataset::new(&Source::open(folder.path(), spec, false).unwrap()).unwrap();
    let (images, _) = data.batch(&[0], Device::Cpu);
    assert_eq!(images.size(), [1, 3, 8, 8]);
    for (channel, value) in [200., 100., 50.].into_iter().enumerate() {
        let plane = values(&(images.get(0).get(channel as i64) * 255.));
        common::assert_close(&plane, &[value; 64], 1e-5, "plane");
    }
}

#[test]
fn ferplus_gives_the_faces_that_its_majority_rule_leaves() {
    let shared = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data"));
    for (name, labelled, rows) in
        [("ferplus_valid.parquet", 3396, 3579), ("ferplus_train.parquet", 26940, 28561)]
    {
        let file = shared.join(name);
        if !file.exists() {
            eprintln!("skipped: {} is not here", file.display());
            continue;
        }
        // Labels do not hang on the size; a small one is quicker.
        let spec = CropSpec { size: 8, colour: Colour::Gray };
        let source = Source::open(&file, spec, false).unwrap();
        assert_eq!(source.samples.len(), labelled, "{name}");
        let left_out = format!("{} without a majority and 0 bad", rows - labelled);
        assert!(source.summary.contains(&left_out), "{}", source.summary);
        assert_eq!(source.classes.len(), 8);
        assert_eq!(source.classes[0], "neutral");
    }
}
