//! The whole method learns 16 faces by heart: sampler, variation, network, every loss term,
//! optimiser.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::faces;
use dmue_train::config::{Augment, Config};
use dmue_train::data::augment::augment;
use dmue_train::data::dataset::Dataset;
use dmue_train::data::sampler::Sampler;
use dmue_train::losses::criterion::{Targets, terms};
use dmue_train::model::dmue::Dmue;
use dmue_train::train::epoch::normalise;
use dmue_train::train::optimiser::Optimiser;
use dmue_train::train::run::network;
use tch::{Device, Tensor};

const CLASSES: usize = 4;
const STEPS: usize = 120;

/// The `tiny` settings without what keeps a network from learning by heart.
fn config() -> Config {
    let mut config = Config::named("tiny").unwrap();
    config.batch = 16;
    config.epochs = STEPS;
    config.model.dropout = 0.;
    config.optimiser.weight_decay = 0.;
    config.optimiser.body_rate = 1e-2;
    config.optimiser.head_rate = 1e-2;
    config.method.beta = 10.;
    config.augment = Augment::OFF;
    config
}

/// One step an epoch, as `batch` is the whole set; returns the terms of each step.
fn train(
    config: &Config,
    data: &Dataset,
    model: &Dmue,
    optimiser: &mut Optimiser,
) -> Vec<[f64; 6]> {
    let exponent = config.data.class_exponent;
    let sampler = Sampler::new(&data.labels, &data.classes, config.batch, exponent).unwrap();
    let mut history = vec![];
    for epoch in 0..config.epochs {
        for indices in sampler.epoch(epoch as u64) {
            let (images, labels) = data.batch(&indices, Device::Cpu);
            let images = normalise(&augment(&images, &[], &config.augment, epoch as u64));
            let outputs = model.forward_train(&images);
            let targets = Targets { labels: &labels, shares: None, taught: None };
            let terms = terms(model, &outputs, &targets, &config.method);
            let total = terms.total(&config.method, epoch as f64);
            history.push(terms.values().map(|(_, value)| value));
            optimiser.step(&total, epoch as f64, config.epochs as f64);
        }
    }
    history
}

fn all(data: &Dataset) -> (Tensor, Tensor) {
    let (images, labels) = data.batch(&(0..data.len()).collect::<Vec<_>>(), Device::Cpu);
    (normalise(&images), labels)
}

#[test]
fn sixteen_faces_are_learnt_by_heart() {
    tch::set_num_threads(1); // so small a network loses more by waiting than by computing
    let config = config();
    let data = Dataset::new(&faces::source(CLASSES, 4, 24, 1)).unwrap();
    assert_eq!(data.counts(), [4; CLASSES]);
    let (store, model) = network(&config, CLASSES, Device::Cpu).unwrap();
    let mut optimiser = Optimiser::new(&store, &config.optimiser);
    let history = train(&config, &data, &model, &mut optimiser);

    let (images, labels) = all(&data);
    let output = model.forward_target(&images);
    let right = output.logits.argmax(1, false).eq_tensor(&labels).sum(tch::Kind::Int64);
    let entropy = output.logits.cross_entropy_for_logits(&labels).double_value(&[]);
    let [first, .., last] = history.as_slice() else { panic!("no step was made") };
    eprintln!("first {first:.4?}\nlast  {last:.4?}\ninference {entropy:.5}");
    assert_eq!(right.int64_value(&[]), data.len() as i64);
    assert!(entropy < 0.02, "cross entropy of the target branch at inference: {entropy}");
    let [target, _, similarity, auxiliary, _, _] = *last;
    assert!((first[0] - (CLASSES as f64).ln()).abs() < 0.1, "does not begin at chance: {first:?}");
    assert!(target < 0.05, "L_wce ends at {target}");
    assert!(auxiliary < 0.05, "L_aux ends at {auxiliary}");
    assert!(similarity < first[2].max(1e-4), "L_sp went from {} to {similarity}", first[2]);
}
