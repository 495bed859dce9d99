//! A report on short runs: what it compares, what it writes, what it refuses.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::path::{Path, PathBuf};

use common::faces;
use dmue_train::config::{Config, Latent, Objective};
use dmue_train::report::opened::Opened;
use dmue_train::report::page::write;
use dmue_train::report::recovery::{flipped, recovered};
use dmue_train::report::{Options, build};
use dmue_train::train::folder::{RunFolder, RunInfo};
use dmue_train::train::run::{Paths, RunData, fit};
use tch::Device;

struct Runs {
    files: tempfile::TempDir,
    info: RunInfo,
}

impl Runs {
    fn new() -> Self {
        tch::set_num_threads(1);
        let files = tempfile::tempdir().unwrap();
        let paths = Paths {
            data: files.path().join("train.parquet"),
            valid: files.path().join("valid.parquet"),
            skip_bad: false,
        };
        faces::vote_pack(&paths.data, 24, 1);
        faces::vote_pack(&paths.valid, 10, 2);
        let (command, commit) = ("test".into(), "unknown".into());
        Self { files, info: RunInfo { command, commit, licence: "made".into(), paths } }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    fn fit(&self, name: &str, change: impl Fn(&mut Config)) -> PathBuf {
        let mut config = Config::named("tiny").unwrap();
        (config.epochs, config.keep_every) = (4, 1);
        change(&mut config);
        let data = RunData::open(&self.info.paths, &config).unwrap();
        let folder = RunFolder::create(&self.path(name), &config, &self.info).unwrap();
        fit(&folder, &data, Device::Cpu, &|| false).unwrap();
        self.path(name)
    }
}

fn build_report(
    run: &Path,
    against: Vec<PathBuf>,
) -> dmue_train::Result<dmue_train::report::Report> {
    build(&Options { run: run.into(), against, resamples: 50 }, Device::Cpu)
}

// One test, because tch has one generator for all threads and the runs are shared.
#[test]
fn a_report_compares_draws_and_refuses() {
    let runs = Runs::new();
    let dmue = runs.fit("dmue", |_| ());
    let all = runs.fit("all", |config| config.method.latent = Latent::All);
    let plain = runs.fit("plain", |config| config.method.objective = Objective::Ce);
    let flip = runs.fit("flip", |config| config.data.flip_labels = 0.3);

    let report = build_report(&dmue, vec![all, plain.clone(), flip.clone()]).unwrap();
    let titles: Vec<_> = report.tables.iter().map(|table| table.title.as_str()).collect();
    assert_eq!(titles.len(), 4, "{titles:?}");
    for table in &report.tables {
        assert!(table.rows.iter().all(|row| row.len() == table.header.len()), "{}", table.title);
        assert!(!table.rows.iter().flatten().any(|cell| cell.contains("NaN")), "{table:?}");
    }
    let sources: Vec<_> = report.tables[1].rows.iter().map(|row| row[0].as_str()).collect();
    let expected = [
        "dmue: mined, LD-N",
        "dmue: softmax",
        "all: mined, LD-A",
        "all: softmax",
        "plain: softmax",
    ];
    assert_eq!(sources, expected);
    assert!(report.tables[1].note.contains("30 validation faces"), "{}", report.tables[1].note);
    let names: Vec<_> = report.figures.iter().map(|figure| &figure.name[..7]).collect();
    assert_eq!(names, ["figure1", "figure2", "figure3", "figure4", "figure5", "figure6"]);

    let out = runs.path("report");
    let bytes = write(&out, "Made <faces>", &report.tables, &report.figures).unwrap();
    let page = std::fs::read_to_string(out.join("index.html")).unwrap();
    assert_eq!(page.len(), bytes);
    assert_eq!(page.matches("data:image/png;base64,").count(), 12, "six figures in two themes");
    assert!(page.contains("Made &lt;faces&gt;") && !page.contains("http"), "not self-contained");
    for figure in &report.figures {
        let light = image::open(out.join(format!("{}.png", figure.name))).unwrap().to_rgb8();
        let dark = image::open(out.join(format!("{}.dark.png", figure.name))).unwrap().to_rgb8();
        assert_eq!(light.dimensions(), figure.content.size());
        assert_eq!((light.get_pixel(0, 0).0[0], dark.get_pixel(0, 0).0[0]), (255, 20));
        let inked = light.pixels().filter(|pixel| pixel.0 != [255; 3]).count();
        assert!(inked > 2000, "{} is empty: {inked} pixels drawn", figure.name);
    }
    let json = std::fs::read(out.join("report.json")).unwrap();
    assert_eq!(serde_json::from_slice::<Vec<serde_json::Value>>(&json).unwrap().len(), 4);

    mining_is_of_the_face_alone(&dmue);
    flipped_faces_are_found(&flip);
    a_run_without_branches_has_a_report(&plain);
    other_faces_are_refused(&runs, &dmue);
}

fn mining_is_of_the_face_alone(run: &Path) {
    let opened = Opened::open(run, Device::Cpu).unwrap();
    let valid = &opened.data.valid;
    let together = opened.mined(valid, &[3, 4, 5]).unwrap();
    let alone = opened.mined(valid, &[4]).unwrap();
    for (a, b) in together[1].iter().zip(&alone[0]) {
        assert!((a - b).abs() < 1e-5, "{together:?} {alone:?}");
    }
    assert_eq!(alone[0][valid.labels[4]], 0.);
    assert!((alone[0].iter().sum::<f64>() - 1.).abs() < 1e-5);
}

fn flipped_faces_are_found(run: &Path) {
    let opened = Opened::open(run, Device::Cpu).unwrap();
    let train = &opened.data.train;
    let indices = flipped(train);
    assert!(!indices.is_empty());
    let one_hot =
        |class: usize| (0..3).map(|c| f64::from(u8::from(c == class))).collect::<Vec<_>>();
    let right = indices.iter().map(|&index| one_hot(train.annotated[index])).collect();
    assert_eq!(recovered(train, &indices, &right), 1.);
    let wrong = indices.iter().map(|&index| one_hot(train.labels[index])).collect();
    assert_eq!(recovered(train, &indices, &wrong), 0.);
}

fn a_run_without_branches_has_a_report(run: &Path) {
    let report = build_report(run, vec![]).unwrap();
    let names: Vec<_> = report.figures.iter().map(|figure| &figure.name[..7]).collect();
    assert_eq!(names, ["figure1", "figure6"]);
    assert!(report.tables[2].rows.iter().all(|row| !row[0].contains("alpha")));
}

fn other_faces_are_refused(runs: &Runs, dmue: &Path) {
    let others = Runs::new();
    faces::vote_pack(&others.info.paths.valid, 7, 3);
    let other = others.fit("other", |_| ());
    let error = build_report(dmue, vec![other]).unwrap_err().to_string();
    assert!(error.contains("--against") && error.contains("same faces"), "{error}");
    let error = build_report(&runs.path("nowhere"), vec![]).unwrap_err().to_string();
    assert!(error.contains("nowhere"), "{error}");
}
