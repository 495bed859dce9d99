//! Abstention and window with the model that ships, on real faces that it has not learned from.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use dmue_edge::Engine;
use dmue_edge::abstain::calibrate;
use dmue_edge::model::Model;
use dmue_edge::window::{Window, WindowOptions};
use dmue_train::calibrate::{ERROR_RATES, thresholds};
use dmue_train::data::dataset::Source;
use dmue_train::eval::{answers, crop_spec};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// Frames a second.
const RATE: f64 = 15.0;

const VALIDATION: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/ferplus_valid.parquet");

/// The model and the distinct faces, read once.
fn model_and_faces() -> Option<&'static (Model, Source)> {
    static READ: LazyLock<Option<(Model, Source)>> = LazyLock::new(read);
    READ.as_ref()
}

fn read() -> Option<(Model, Source)> {
    let Some(bytes) = Engine::default_model().filter(|_| Path::new(VALIDATION).exists()) else {
        eprintln!("skipped: no model in this build, or no {VALIDATION}");
        return None;
    };
    let model = Model::from_bytes(bytes).unwrap();
    let mut source = Source::open(Path::new(VALIDATION), crop_spec(&model), false).unwrap();
    source.drop_duplicates();
    Some((model, source))
}

/// Calibrated on one half of the faces, tested on the other, again and again. The half that is tested
/// differs by chance too: hence a confidence of 0.99 for 95 % of the draws.
#[test]
fn the_promised_rate_holds_on_other_faces() {
    let Some((model, source)) = model_and_faces() else { return };
    let answers = answers(model, source).unwrap();
    let mut faces: Vec<(f32, bool)> =
        answers.iter().map(|answer| (answer.score, answer.right())).collect();
    let mut generator = ChaCha8Rng::seed_from_u64(1);
    let (mut kept, mut draws) = ([0; 6], [0; 6]);
    for _ in 0..100 {
        faces.shuffle(&mut generator);
        let (calibration, test) = faces.split_at(faces.len() / 2);
        let (scores, right): (Vec<f32>, Vec<bool>) = calibration.iter().copied().unzip();
        for promise in calibrate(&scores, &right, &ERROR_RATES, 0.01).unwrap() {
            let index = ERROR_RATES.iter().position(|rate| *rate == promise.error_rate).unwrap();
            let given = test.iter().filter(|face| f64::from(face.0) >= promise.threshold);
            let (wrong, given) =
                given.fold((0, 0), |(wrong, given), face| (wrong + u32::from(!face.1), given + 1));
            draws[index] += 1;
            kept[index] += usize::from(f64::from(wrong) <= promise.error_rate * f64::from(given));
        }
    }
    eprintln!("rates {ERROR_RATES:?}: kept in {kept:?} of {draws:?} draws");
    assert!(draws.iter().sum::<usize>() > 200, "hardly any rate can be promised: {draws:?}");
    // A draw that promises nothing breaks nothing.
    for (kept, draws) in kept.into_iter().zip(draws) {
        assert!(draws - kept <= 5, "broken in {} of 100 draws", draws - kept);
    }
}

#[test]
fn thresholds_of_a_model_promise_rising_rates() {
    let Some((model, source)) = model_and_faces() else { return };
    let samples = source.samples[..1000].to_vec();
    let some = Source { samples, classes: source.classes.clone(), summary: String::new() };
    let promised = thresholds(model, some, 0.95).unwrap();
    assert!(!promised.is_empty());
    assert!(promised.windows(2).all(|pair| pair[0].threshold >= pair[1].threshold));
    assert!(promised.iter().all(|promise| promise.count == 1000 && promise.confidence == 0.95));
}

/// 300 frames of one misclassified face at 15 frames a second, through a window of 200.
#[test]
fn a_misclassified_face_does_not_talk_itself_up() {
    let Some((model, source)) = model_and_faces() else { return };
    let classes = &model.manifest().classes;
    let uncertainty = model.uncertainty();
    let prior = uncertainty.prior();
    let mut options = WindowOptions::default();
    options.frames = 200;
    let mut misclassified = 0;
    for sample in &source.samples[..200] {
        let answer = model.infer(&sample.crop).unwrap();
        let predicted = dmue_edge::uncertainty::predicted_class(&answer.logits);
        if classes[predicted] == source.classes[sample.label] {
            continue;
        }
        misclassified += 1;
        let mut window =
            Window::new(options.clone(), prior.classes(), prior.feature_size()).unwrap();
        for frame in 0..300 {
            let time = Duration::from_secs_f64(f64::from(frame) / RATE);
            window.expire(time);
            let sums = Some(window.sums());
            let score = uncertainty.confidence(&answer.feature, &answer.logits, sums).score;
            let rise = score - answer.score;
            assert!(rise <= 0.05, "{}: {rise} after {frame} frames", sample.name);
            window.push(&answer.feature, &answer.probabilities, time).unwrap();
        }
    }
    assert!(misclassified > 20, "{misclassified} misclassified faces are too few to tell");
}
