//! The switches behind the ablations: configs of one line, LD-A and the baselines against loops in
//! f64, flipped labels, and short runs of each.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use common::faces;
use common::formulas::{self, Batch, Expected};
use common::{Draws, Matrix, assert_close, labels, tensor2, tensor3, values};
use dmue_train::config::{Config, Latent, Method, Objective};
use dmue_train::data::dataset::Dataset;
use dmue_train::data::sampler::Sampler;
use dmue_train::export::export;
use dmue_train::losses::auxiliary::auxiliary_of_all;
use dmue_train::losses::criterion::{LossTerms, Targets, terms};
use dmue_train::losses::latent::{latent_of_all, negative};
use dmue_train::model::dmue::{BranchStatistics, Dmue, TrainOutputs};
use dmue_train::model::spec::Backbone;
use dmue_train::train::checkpoint;
use dmue_train::train::folder::{RunFolder, RunInfo};
use dmue_train::train::run::{Paths, RunData, fit, network};
use tch::{Device, Kind, Tensor, nn};
use toml::{Table, Value};

/// tch has one generator for all threads.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    let guard = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    tch::set_num_threads(1);
    guard
}

fn ablations() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/ablations")
}

/// Every setting of a config by its dotted key.
fn settings(file: &Path) -> Vec<(String, Value)> {
    let table: Table = Config::read(file).unwrap().to_toml().unwrap().parse().unwrap();
    let mut flat = vec![];
    for (key, value) in table {
        match value {
            Value::Table(section) => flat
                .extend(section.into_iter().map(|(name, value)| (format!("{key}.{name}"), value))),
            value => flat.push((key, value)),
        }
    }
    flat.sort_by(|a, b| a.0.cmp(&b.0));
    flat
}

fn file_of_base(file: &Path) -> PathBuf {
    let table: Table = std::fs::read_to_string(file).unwrap().parse().unwrap();
    file.with_file_name(table["base"].as_str().unwrap())
}

#[test]
fn every_ablation_differs_from_its_base_in_at_most_one_setting() {
    let mut seen = 0;
    for entry in std::fs::read_dir(ablations()).unwrap() {
        let file = entry.unwrap().path();
        if file.file_name().unwrap() == "base.toml" {
            continue;
        }
        let (own, base) = (settings(&file), settings(&file_of_base(&file)));
        let keys =
            |all: &[(String, Value)]| all.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>();
        assert_eq!(keys(&own), keys(&base));
        let changed: Vec<_> = own.iter().zip(&base).filter(|(own, base)| own.1 != base.1).collect();
        let expected = usize::from(!file.ends_with("dmue.toml"));
        assert_eq!(changed.len(), expected, "{}: {changed:?}", file.display());
        seen += 1;
    }
    assert!(seen >= 10, "only {seen} ablations");
}

#[test]
fn a_config_overlays_its_base_section_by_section() {
    let files = tempfile::tempdir().unwrap();
    let path = |name: &str| files.path().join(name);
    std::fs::write(path("base.toml"), include_str!("../configs/tiny.toml")).unwrap();
    std::fs::write(path("a.toml"), "base = \"base.toml\"\nepochs = 7\n[method]\nomega = 0.25\n")
        .unwrap();
    std::fs::write(path("b.toml"), "base = \"a.toml\"\n[method]\nobjective = \"ce\"\n").unwrap();
    let config = Config::read(&path("b.toml")).unwrap();
    assert_eq!((config.epochs, config.method.omega), (7, 0.25));
    assert_eq!((config.method.objective, config.method.gamma), (Objective::Ce, 1000.));

    let refused = |name: &str, text: &str| {
        std::fs::write(path(name), text).unwrap();
        Config::read(&path(name)).unwrap_err().to_string()
    };
    let circle = refused("circle.toml", "base = \"circle.toml\"");
    assert!(circle.contains("circle"), "{circle}");
    let number = refused("number.toml", "base = 3");
    assert!(number.contains("base = 3"), "{number}");
    let absent = refused("lost.toml", "base = \"nowhere.toml\"");
    assert!(absent.contains("nowhere.toml"), "{absent}");
    let unknown = refused("unknown.toml", "base = \"base.toml\"\n[method]\nomga = 1.0");
    assert!(unknown.contains("omga") && unknown.contains("unknown.toml"), "{unknown}");
    let together = refused("reserved.toml", "base = \"base.toml\"\n[data]\nreserved = 1");
    assert!(together.contains("data.reserved = 1"), "{together}");
    let votes = "base = \"base.toml\"\n[data]\nflip_labels = 0.2\n[method]\ncrowd = 0.5";
    let votes = refused("votes.toml", votes);
    assert!(votes.contains("data.flip_labels = 0.2"), "{votes}");
}

fn method() -> Method {
    Config::named("tiny").unwrap().method
}

/// LD-A's logits, `[C]``[N]``[C]`.
fn logits_of_all(batch: &Batch, draws: &mut Draws) -> Vec<Matrix> {
    let classes = batch.classes();
    (0..classes).map(|_| draws.matrix(batch.labels.len(), classes, 3.)).collect()
}

/// Section 2, LD-A: the mean of the softmaxes without the label's class, renormalised.
fn naive_latent_of_all(logits: &[Matrix], labels: &[usize]) -> Matrix {
    let mut rows = vec![];
    for (n, &y) in labels.iter().enumerate() {
        let mut row = vec![0.; logits.len()];
        for branch in logits {
            for (sum, p) in row.iter_mut().zip(formulas::softmax(&branch[n])) {
                *sum += p / logits.len() as f64;
            }
        }
        row[y] = 0.;
        let total: f64 = row.iter().sum();
        rows.push(row.iter().map(|share| share / total).collect());
    }
    rows
}

fn naive_auxiliary_of_all(logits: &[Matrix], labels: &[usize]) -> f64 {
    let mut sum = 0.;
    for branch in logits {
        for (row, &y) in branch.iter().zip(labels) {
            sum -= formulas::softmax(row)[y].ln() / labels.len() as f64;
        }
    }
    sum / logits.len() as f64
}

fn model(batch: &Batch, method: &Method) -> Dmue {
    let mut store = nn::VarStore::new(Device::Cpu);
    let backbone = Backbone::named("tiny", 1, 24).unwrap();
    let classes = batch.classes() as i64;
    let model = Dmue::with(&store.root(), &backbone, classes, 0., method.auxiliary());
    store.set_kind(Kind::Double);
    model
}

fn outputs(batch: &Batch, auxiliary: &[Matrix], mined: &[Matrix]) -> TrainOutputs {
    TrainOutputs {
        features: tensor3(&batch.features),
        target_logits: tensor2(&batch.target_logits),
        auxiliary_logits: tensor3(auxiliary),
        mined_logits: tensor3(mined),
    }
}

fn check_total(terms: &LossTerms, method: &Method, epoch: f64, expected: f64, what: &str) {
    assert_close(&values(&terms.total(method, epoch)), &[expected], 1e-10, what);
}

#[test]
fn latent_of_all_agrees_with_loops() {
    let _alone = alone();
    let method = Method { latent: Latent::All, uncertainty: false, ..method() };
    for seed in 0..40 {
        let (batch, mut draws) = (Batch::random(seed), Draws::new(500 + seed));
        let (auxiliary, mined) =
            (logits_of_all(&batch, &mut draws), logits_of_all(&batch, &mut draws));
        let labels_tensor = labels(&batch.labels);
        let latent = naive_latent_of_all(&mined, &batch.labels);
        let found = latent_of_all(&tensor3(&mined).set_requires_grad(true), &labels_tensor);
        assert!(!found.requires_grad());
        assert_close(&values(&found), &latent.concat(), 1e-10, "LD-A");
        let learnt = naive_auxiliary_of_all(&auxiliary, &batch.labels);
        let found = auxiliary_of_all(&tensor3(&auxiliary), &labels_tensor);
        assert_close(&values(&found), &[learnt], 1e-10, "L_aux of LD-A");

        let epoch = draws.whole(0, 5) as f64;
        let ones = vec![1.; batch.labels.len()];
        let rising = formulas::weighted_cross_entropy(&ones, &batch.target_logits, &batch.labels)
            + method.omega * formulas::soft(&batch.target_logits, &latent, &batch.labels)
            + method.gamma * formulas::similarity(&batch);
        let expected =
            formulas::up(epoch, method.beta) * rising + formulas::down(epoch, method.beta) * learnt;
        let targets = Targets { labels: &labels_tensor, shares: None, taught: None };
        let outputs = outputs(&batch, &auxiliary, &mined);
        let found = terms(&model(&batch, &method), &outputs, &targets, &method);
        check_total(&found, &method, epoch, expected, "total of LD-A, alpha = 1");
        assert_eq!(values(&found.alpha), [1.]);
    }
}

#[test]
fn switched_off_terms_do_not_move_the_total() {
    let _alone = alone();
    for seed in 0..20 {
        let batch = Batch::random(seed);
        let method = Method { omega: 0., gamma: 0., uncertainty: false, ..method() };
        let expected = Expected::of(&batch, &method, 3.);
        let ones = vec![1.; batch.labels.len()];
        let target = formulas::weighted_cross_entropy(&ones, &batch.target_logits, &batch.labels);
        let expected = formulas::up(3., method.beta) * target
            + formulas::down(3., method.beta) * expected.auxiliary;
        let labels = labels(&batch.labels);
        let outputs = outputs(&batch, &batch.auxiliary_logits, &batch.mined_logits);
        let targets = Targets { labels: &labels, shares: None, taught: None };
        let found = terms(&model(&batch, &method), &outputs, &targets, &method);
        check_total(&found, &method, 3., expected, "total without soft, sp and alpha");
    }
}

#[test]
fn baselines_are_plain_cross_entropy_of_labels_or_of_votes() {
    let _alone = alone();
    for seed in 0..20 {
        let batch = Batch::random(seed);
        let mut draws = Draws::new(seed);
        let crowd: Matrix = (0..batch.labels.len())
            .map(|_| formulas::softmax(&draws.row(batch.classes(), 2.)))
            .collect();
        let (labels, crowd_tensor) = (labels(&batch.labels), tensor2(&crowd));
        let outputs = outputs(&batch, &batch.auxiliary_logits, &batch.mined_logits);
        let ones = vec![1.; batch.labels.len()];
        let hard = formulas::weighted_cross_entropy(&ones, &batch.target_logits, &batch.labels);
        let mut soft = 0.;
        for (row, shares) in batch.target_logits.iter().zip(&crowd) {
            for (p, share) in formulas::softmax(row).iter().zip(shares) {
                soft -= share * p.ln() / crowd.len() as f64;
            }
        }
        for (crowd, expected) in [(None, hard), (Some(&crowd_tensor), soft)] {
            let method = Method { objective: Objective::Ce, ..method() };
            let targets = Targets { labels: &labels, shares: crowd, taught: None };
            let found = terms(&model(&batch, &method), &outputs, &targets, &method);
            check_total(&found, &method, 0., expected, "baseline");
            let others = [&found.soft, &found.similarity, &found.auxiliary];
            assert!(others.iter().all(|term| term.double_value(&[]) == 0.));
        }
    }
}

#[test]
fn shares_without_the_label_sum_to_one_even_where_the_label_has_all() {
    let shares = tensor2(&[vec![1., 0., 0.], vec![0.5, 0.3, 0.2]]);
    let found = negative(&shares, &labels(&[0, 1]));
    assert_close(&values(&found), &[0., 0.5, 0.5, 0.5 / 0.7, 0., 0.2 / 0.7], 1e-9, "negative");
}

#[test]
fn a_baseline_has_no_auxiliary_branch_and_the_same_target_network() {
    let _alone = alone();
    let mut config = Config::named("tiny").unwrap();
    let (full, _) = network(&config, 3, Device::Cpu).unwrap();
    config.method.objective = Objective::Ce;
    let (plain, model) = network(&config, 3, Device::Cpu).unwrap();
    let images = Tensor::randn([5, 1, 24, 24], (Kind::Float, Device::Cpu));
    let outputs = model.forward_train(&images);
    assert_eq!(outputs.features.size()[..2], [5, 1]);
    assert_eq!(outputs.mined_logits.size(), [0, 5, 0]);
    let (full, plain) = (full.variables(), plain.variables());
    assert!(!plain.contains_key("heads.auxiliary"));
    for (name, value) in &plain {
        let copies = if name.starts_with("branch") { 4 } else { 1 };
        assert_eq!(full[name].size()[0], copies * value.size()[0], "{name}");
    }
}

#[test]
fn mining_after_training_normalises_by_the_given_statistics() {
    let _alone = alone();
    let config = Config::named("tiny").unwrap();
    let (_store, model) = network(&config, 3, Device::Cpu).unwrap();
    let features = Tensor::randn([9, 3, 12], (Kind::Float, Device::Cpu));
    let whole = model.mined_logits(&features, &BranchStatistics::of(&features));
    assert_eq!(whole.size(), [3, 9, 2]);
    let part = model.mined_logits(&features.narrow(0, 4, 1), &BranchStatistics::of(&features));
    let apart = (part - whole.narrow(1, 4, 1)).abs().max().double_value(&[]);
    assert!(apart < 1e-6, "a face's answer depends on its neighbours: {apart}");
}

#[test]
fn flipped_labels_are_seeded_of_another_class_and_spread_evenly() {
    let clean = Dataset::new(&faces::source(4, 500, 4, 1)).unwrap();
    let flip = |seed| {
        let mut data = Dataset::new(&faces::source(4, 500, 4, 1)).unwrap();
        data.flip_labels(0.3, seed);
        data
    };
    let data = flip(7);
    assert_eq!(data.annotated, clean.labels);
    assert_eq!(data.labels, flip(7).labels);
    assert_ne!(data.labels, flip(8).labels);
    let mut steps = [0usize; 4];
    for (label, before) in data.labels.iter().zip(&data.annotated) {
        steps[(label + 4 - before) % 4] += 1;
    }
    let flipped: usize = steps[1..].iter().sum();
    assert!((540..660).contains(&flipped), "{flipped} of 2000 at 0.3"); // 3 deviations of 20.5
    assert!(steps[1..].iter().all(|&count| (150..250).contains(&count)), "{steps:?}");
}

#[test]
fn without_reserved_images_batches_follow_the_class_shares() {
    let labels: Vec<usize> = (0..400).map(|index| usize::from(index % 20 == 0)).collect();
    let names = ["often".to_owned(), "seldom".to_owned()];
    let sampler = Sampler::new(&labels, &names, 20, 0.).unwrap();
    assert_close(
        &sampler.shares(),
        &[(2. + 16. * 0.95) / 20., (2. + 16. * 0.05) / 20.],
        1e-12,
        "two",
    );
    let sampler = sampler.reserving(0).unwrap();
    assert_close(&sampler.shares(), &[0.95, 0.05], 1e-12, "none");
    let epoch = sampler.epoch(1);
    assert!(epoch.iter().any(|batch| batch.iter().all(|&index| labels[index] == 0)));
    let error = sampler.reserving(11).unwrap_err().to_string();
    assert!(error.contains("data.reserved = 11") && error.contains("at most 10"), "{error}");
}

#[test]
fn every_switch_trains_and_exports() {
    let _alone = alone();
    let files = tempfile::tempdir().unwrap();
    let paths = Paths {
        data: files.path().join("train.parquet"),
        valid: files.path().join("valid.parquet"),
        skip_bad: false,
    };
    faces::vote_pack(&paths.data, 20, 1);
    faces::vote_pack(&paths.valid, 8, 2);
    let info =
        RunInfo { command: "test".into(), commit: "unknown".into(), licence: "made".into(), paths };
    let base = || {
        let mut config = Config::named("tiny").unwrap();
        // Cosines of a network that has hardly learned are too close together to compare scores.
        (config.epochs, config.keep_every) = (20, 10);
        config
    };
    let change = |change: fn(&mut Config)| {
        let mut config = base();
        change(&mut config);
        config
    };
    let all = change(|config| config.method.latent = Latent::All);
    let votes = change(|config| {
        config.method.objective = Objective::Ce;
        config.method.crowd = 1.;
    });
    let natural = change(|config| {
        config.method.objective = Objective::Ce;
        config.data.reserved = 0;
        config.data.natural_prior = true;
    });
    let flipped = change(|config| config.data.flip_labels = 0.2);
    for (name, config) in [("all", all), ("votes", votes), ("natural", natural), ("flip", flipped)]
    {
        let data = RunData::open(&info.paths, &config).unwrap();
        assert_eq!(data.valid.labels, data.valid.annotated, "validation labels stay");
        assert_eq!(data.train.labels != data.train.annotated, name == "flip");
        let crowd = data.train.crowd(&[0], Device::Cpu).unwrap();
        let label = data.train.annotated[0] as i64;
        let own = f64::from(data.train.votes.as_ref().unwrap()[0][label as usize]);
        let expected = if own == 6. { 6. / 8. } else { 4. / 7. };
        assert_close(&[crowd.double_value(&[0, label])], &[expected], 1e-6, "share of the label");
        let folder = RunFolder::create(&files.path().join(name), &config, &info).unwrap();
        fit(&folder, &data, Device::Cpu, &|| false).unwrap();
        let kept = checkpoint::list(&folder.checkpoints()).unwrap().0;
        let kept: Vec<_> = kept.iter().map(|file| file.file_stem().unwrap()).collect();
        assert_eq!(kept, ["epoch-0010", "epoch-0019", "epoch-0020"]);
        export(&folder, &files.path().join(format!("{name}.dmue.onnx")), Device::Cpu).unwrap();
    }
}

#[test]
fn learning_votes_needs_votes() {
    let _alone = alone();
    let files = tempfile::tempdir().unwrap();
    let mut config = Config::named("tiny").unwrap();
    config.method.crowd = 0.5;
    let data = || Dataset::new(&faces::source(3, 16, 24, 1)).unwrap();
    let data = RunData { train: data(), held_out: data(), valid: data(), summary: vec![] };
    let paths = Paths { data: "made".into(), valid: "made".into(), skip_bad: false };
    let info =
        RunInfo { command: "test".into(), commit: "unknown".into(), licence: "made".into(), paths };
    let folder = RunFolder::create(files.path(), &config, &info).unwrap();
    let error = fit(&folder, &data, Device::Cpu, &|| false).unwrap_err().to_string();
    assert!(error.contains("method.crowd = 0.5") && error.contains("have no votes"), "{error}");
}
