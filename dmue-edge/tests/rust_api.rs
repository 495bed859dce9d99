//! The Rust door: golden answers, and what integrators ask of an engine.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[allow(dead_code, reason = "each door uses its own part")]
mod conformance;

use std::sync::{Arc, Mutex};

use conformance::{Answer, Case, DETECTOR_LEVELS, Question, astronaut, has_model};
use dmue_edge::engine::EngineBuilder;
use dmue_edge::face::detector::DetectorOptions;
use dmue_edge::{Engine, Error, FrameView, Kernels, KnownFace, LogLevel, Prediction};

const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

fn builder() -> EngineBuilder {
    let mut options = DetectorOptions::default();
    options.levels = DETECTOR_LEVELS;
    Engine::builder().detector(options)
}

#[test]
fn golden_answers() {
    if !has_model() {
        return;
    }
    let engine = builder().build().unwrap();
    let cases = conformance::cases();
    let answers: Vec<_> = cases.iter().map(|case| answer(&engine, case)).collect();
    conformance::bless(&cases, &answers);
    conformance::check("Rust", &answers);
    for (case, answers) in cases.iter().zip(&answers) {
        if case.name.starts_with("astronaut") {
            // One face, and the colour order does not change what it shows.
            assert_eq!(answers.len(), 1, "{}", case.name);
            assert_eq!(engine.model().manifest().classes[answers[0].class_index], "happiness");
        }
    }
}

fn answer(engine: &Engine, case: &Case) -> Vec<Answer> {
    let picture = &case.picture;
    let frame = FrameView::new(
        &picture.bytes,
        picture.width,
        picture.height,
        picture.stride,
        picture.format,
    )
    .unwrap();
    let (result, given) = match case.question {
        Question::Predict => (engine.predict(&frame), None),
        Question::Crop => (engine.predict_crops(&[frame]), None),
        Question::Box(face) => (engine.predict_faces(&frame, &[KnownFace::Box(face)]), Some(face)),
        Question::Landmarks(landmarks) => {
            (engine.predict_faces(&frame, &[KnownFace::Landmarks(landmarks)]), None)
        }
    };
    let predictions = result.unwrap().predictions.into_iter();
    let answer = |prediction: Prediction| {
        let face = prediction.face.map(|face| face.bounding_box).or(given);
        Answer {
            class_index: prediction.class_index,
            score: prediction.score,
            alpha: prediction.alpha,
            bounding_box: face.map_or([0.0; 4], |b| [b.x, b.y, b.width, b.height]),
            probabilities: prediction.probabilities,
        }
    };
    predictions.map(answer).collect()
}

#[test]
fn threads_and_the_detectors_own_landmarks_change_no_answer() {
    if !has_model() {
        return;
    }
    let photo = astronaut();
    let frame = photo.view().unwrap();
    let alone = Engine::builder().build().unwrap().predict(&frame).unwrap().predictions;
    let together = Engine::builder().threads(3).build().unwrap();
    assert_eq!(together.predict(&frame).unwrap().predictions, alone);

    let face = alone[0].face.unwrap();
    let known = [KnownFace::Landmarks(face.landmarks), KnownFace::Box(face.bounding_box)];
    let answers = together.predict_faces(&frame, &known).unwrap().predictions;
    assert_eq!(answers.len(), 2, "one answer for each, in order");
    assert_eq!(answers[0].probabilities, alone[0].probabilities);
    assert_eq!(answers[0].face, None);
    assert_ne!(answers[1].crop, alone[0].crop, "the box frames it in another way");
}

#[test]
fn crops_are_answered_in_their_order() {
    if !has_model() {
        return;
    }
    let engine = builder().threads(2).build().unwrap();
    let cases = conformance::cases();
    let crops: Vec<_> = cases.iter().map(|case| &case.picture).take(7).collect();
    let views: Vec<_> = crops
        .iter()
        .map(|p| FrameView::new(&p.bytes, p.width, p.height, p.stride, p.format).unwrap())
        .collect();
    let together = engine.predict_crops(&views).unwrap().predictions;
    let alone = views.iter().flat_map(|view| engine.predict_crop(view).unwrap().predictions);
    assert_eq!(together, alone.collect::<Vec<_>>());
    assert!(engine.predict_crops(&[]).unwrap().predictions.is_empty());
}

#[test]
fn messages_go_to_the_callers_function() {
    if !has_model() {
        return;
    }
    let messages = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&messages);
    let mut options = DetectorOptions::default();
    (options.levels, options.maximum_faces) = (1, 1);
    let engine = Engine::builder()
        .detector(options)
        .log(move |level, message| sink.lock().unwrap().push((level, message.to_owned())))
        .build()
        .unwrap();
    let photo = astronaut();
    engine.predict(&photo.view().unwrap()).unwrap();
    let messages = messages.lock().unwrap();
    let levels: Vec<_> = messages.iter().map(|(level, _)| *level).collect();
    assert_eq!(levels, [LogLevel::Info, LogLevel::Debug, LogLevel::Warning], "{messages:?}");
    assert!(messages[0].1.contains(&engine.model().manifest().name), "{messages:?}");
    assert!(messages[2].1.contains("maximum_faces"), "{messages:?}");
}

#[test]
fn a_face_that_cannot_be_is_refused_by_its_index() {
    if !has_model() {
        return;
    }
    let engine = builder().build().unwrap();
    let photo = astronaut();
    let good = dmue_edge::face::FaceBox { x: 0.0, y: 0.0, width: 9.0, height: 9.0 };
    let bad = dmue_edge::face::FaceBox { width: f32::NAN, ..good };
    let known = [KnownFace::Box(good), KnownFace::Box(bad)];
    let error = engine.predict_faces(&photo.view().unwrap(), &known).unwrap_err();
    assert!(matches!(&error, Error::KnownFace(known) if known.index == 1), "{error}");
}

#[test]
fn tract_alone_answers_the_same() {
    if !has_model() {
        return;
    }
    let photo = astronaut();
    let answer = |kernels| {
        let engine = builder().kernels(kernels).build().unwrap();
        engine.predict(&photo.view().unwrap()).unwrap().predictions.remove(0)
    };
    let (ours, tract) = (answer(Kernels::Own), answer(Kernels::Tract));
    assert_eq!(ours.label, tract.label);
    for (ours, tract) in ours.logits.iter().zip(&tract.logits) {
        assert!((ours - tract).abs() <= 1e-3 * tract.abs().max(10.), "{ours}, tract {tract}");
    }
}
