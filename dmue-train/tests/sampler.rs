//! What every batch promises, whatever the set (method.md sections 4 and 4c).
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{HashMap, HashSet};

use dmue_train::data::sampler::{RESERVED, Sampler};
use proptest::prelude::*;

fn names(classes: usize) -> Vec<String> {
    (0..classes).map(|class| format!("class{class}")).collect()
}

/// Labels of a set with these class counts, classes interleaved.
fn labels(counts: &[usize]) -> Vec<usize> {
    let largest = counts.iter().copied().max().unwrap_or(0);
    let rounds = (0..largest).flat_map(|round| {
        counts.iter().enumerate().filter(move |(_, count)| round < **count).map(|(class, _)| class)
    });
    rounds.collect()
}

fn sampler(counts: &[usize], batch: usize, exponent: f64) -> Sampler {
    Sampler::new(&labels(counts), &names(counts.len()), batch, exponent).unwrap()
}

/// Class counts, a batch size that fits them, and an exponent.
fn sets() -> impl Strategy<Value = (Vec<usize>, usize, f64)> {
    proptest::collection::vec(2usize..40, 2..9).prop_flat_map(|counts| {
        let (least, most) = (RESERVED * counts.len(), counts.iter().sum::<usize>());
        (Just(counts), least..=most, 0f64..=1.)
    })
}

proptest! {
    #[test]
    fn every_batch_keeps_its_promises((counts, size, exponent) in sets(), seed: u64) {
        let labels = labels(&counts);
        let sampler = sampler(&counts, size, exponent);
        let batches = sampler.epoch(seed);
        prop_assert_eq!(batches.len(), labels.len() / size);
        prop_assert_eq!(batches.len(), sampler.steps());
        for batch in &batches {
            prop_assert_eq!(batch.len(), size);
            let mut times: HashMap<usize, usize> = HashMap::new();
            batch.iter().for_each(|&image| *times.entry(image).or_default() += 1);
            for (class, &count) in counts.iter().enumerate() {
                let of_class: Vec<usize> =
                    times.iter().filter(|(image, _)| labels[**image] == class).map(|(_, n)| *n).collect();
                prop_assert!(of_class.len() >= RESERVED);
                let drawn: usize = of_class.iter().sum();
                // Repeats only where the class has no further image.
                prop_assert_eq!(of_class.len(), drawn.min(count), "class {} of {}", class, count);
                let (least, most) = (of_class.iter().min(), of_class.iter().max());
                prop_assert!(most.zip(least).is_some_and(|(most, least)| most - least <= 1));
            }
        }
    }

    #[test]
    fn the_seed_alone_decides((counts, size, exponent) in sets(), seed: u64) {
        let first = sampler(&counts, size, exponent).epoch(seed);
        prop_assert_eq!(&first, &sampler(&counts, size, exponent).epoch(seed));
        // A batch of two dozen shuffled images is not drawn twice alike.
        prop_assume!(size >= 24);
        prop_assert_ne!(&first, &sampler(&counts, size, exponent).epoch(seed.wrapping_add(1)));
    }
}

/// The share of each class over many epochs against 2 reserved places plus the rest by weight.
fn check_shares(counts: &[usize], exponent: f64, weights: &[f64]) {
    let (size, epochs) = (30, 60);
    let labels = labels(counts);
    let sampler = sampler(counts, size, exponent);
    let mut drawn = vec![0f64; counts.len()];
    for batch in (0..epochs).flat_map(|seed| sampler.epoch(seed)) {
        batch.iter().for_each(|&image| drawn[labels[image]] += 1.);
    }
    let batches = epochs as f64 * sampler.steps() as f64;
    let free = (size - RESERVED * counts.len()) as f64;
    for (class, drawn) in drawn.iter().enumerate() {
        let share = weights[class] / weights.iter().sum::<f64>();
        let found = (drawn - RESERVED as f64 * batches) / (free * batches);
        // Five standard deviations of a binomial share.
        let limit = 5. * (share * (1. - share) / (free * batches)).sqrt();
        assert!(
            (found - share).abs() < limit,
            "class {class}: {found}, expected {share} +- {limit}"
        );
        let stated = sampler.shares()[class];
        let whole = (RESERVED as f64 + free * share) / size as f64;
        assert!((stated - whole).abs() < 1e-12, "class {class}: {stated} stated, {whole}");
    }
}

#[test]
fn exponent_0_is_natural_1_is_balanced_and_half_is_between() {
    let counts = [1000, 200, 40];
    check_shares(&counts, 0., &[1000., 200., 40.]);
    check_shares(&counts, 1., &[1., 1., 1.]);
    check_shares(&counts, 0.5, &[1000f64.sqrt(), 200f64.sqrt(), 40f64.sqrt()]);
}

#[test]
fn a_balanced_set_is_used_evenly() {
    let sampler = sampler(&[300, 300], 20, 0.);
    let used: HashSet<usize> = sampler.epoch(1).into_iter().flatten().collect();
    // About half of 600 draws each; a class drawn 300 times or more uses all of its images.
    assert!(used.len() > 540, "{}", used.len());
}

fn refusal(counts: &[usize], batch: usize) -> String {
    Sampler::new(&labels(counts), &names(counts.len()), batch, 0.).unwrap_err().to_string()
}

#[test]
fn sets_that_cannot_be_sampled_are_refused() {
    let none = refusal(&[5, 0, 5], 6);
    assert!(none.contains("\"class1\" has 0") && none.contains("at least 2"), "{none}");
    let one = refusal(&[5, 5, 1], 6);
    assert!(one.contains("\"class2\" has 1"), "{one}");
    let small = refusal(&[5, 5, 5], 5);
    assert!(small.contains("batch = 5") && small.contains("at least 6"), "{small}");
    let large = refusal(&[5, 5, 5], 16);
    assert!(large.contains("batch = 16") && large.contains("15"), "{large}");
    assert!(Sampler::new(&labels(&[5, 5, 5]), &names(3), 15, 0.).is_ok());
}
