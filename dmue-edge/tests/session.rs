//! Sessions on made streams: the astronaut's portrait moving over a scene.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;
use std::time::Duration;

use dmue_edge::abstain::Threshold;
use dmue_edge::engine::Engine;
use dmue_edge::face::FaceBox;
use dmue_edge::face::detector::DetectorOptions;
use dmue_edge::face::follower::Follower;
use dmue_edge::frame::{FrameView, PixelFormat};
use dmue_edge::model::file::{ModelFile, write};
use dmue_edge::session::SessionError;
use dmue_edge::{Answer, Error, Kernels, Photo, Session, SessionOptions, SessionResult};
use image::RgbImage;
use image::imageops::{FilterType, crop_imm, overlay, resize};

const ASTRONAUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/images/astronaut.png");
const WIDTH: u32 = 480;
const HEIGHT: u32 = 240;

/// One look at the whole frame is enough here, and a seventh of the default's time.
fn engine() -> Option<Arc<Engine>> {
    let mut detector = DetectorOptions::default();
    detector.levels = 1;
    let Some(_) = Engine::default_model() else {
        eprintln!("skipped: this build carries no model");
        return None;
    };
    Some(Arc::new(Engine::builder().detector(detector).build().unwrap()))
}

fn session(engine: &Arc<Engine>) -> Session {
    Session::new(Arc::clone(engine), SessionOptions::default()).unwrap()
}

/// The head of the portrait, 200x200 pixels with a face of about 90.
fn head() -> RgbImage {
    let pixels = Photo::open(ASTRONAUT).unwrap().into_pixels();
    crop_imm(&pixels, 125, 0, 200, 200).to_image()
}

/// A scene with a head at each of these positions.
fn scene(heads: &[(i64, i64)]) -> RgbImage {
    let mut scene = RgbImage::from_pixel(WIDTH, HEIGHT, image::Rgb([120, 130, 110]));
    heads.iter().for_each(|(x, y)| overlay(&mut scene, &head(), *x, *y));
    scene
}

fn process(session: &mut Session, scene: &RgbImage, milliseconds: u64) -> SessionResult {
    try_process(session, scene, milliseconds).unwrap()
}

fn try_process(
    session: &mut Session,
    scene: &RgbImage,
    milliseconds: u64,
) -> Result<SessionResult, Error> {
    let (width, height) = scene.dimensions();
    let frame =
        FrameView::new(scene.as_raw(), width, height, width as usize * 3, PixelFormat::Rgb24);
    session.process(&frame.unwrap(), Duration::from_millis(milliseconds))
}

fn ids(result: &SessionResult) -> Vec<u64> {
    result.faces.iter().map(|face| face.track_id).collect()
}

#[test]
fn a_session_may_move_to_another_thread() {
    fn movable<T: Send>() {}
    movable::<Session>();
}

#[test]
fn a_moving_face_keeps_its_id_and_is_searched_for_on_keyframes_only() {
    let Some(engine) = engine() else { return };
    let mut session = session(&engine);
    for step in 0..20_u64 {
        let x = step as i64 * 12;
        let result = process(&mut session, &scene(&[(x, 20)]), step * 66);
        assert_eq!(ids(&result), [1], "step {step}");
        assert_eq!(result.searched, step == 0 || step == 16, "a keyframe each second: {step}");
        let face = &result.faces[0];
        let middle = face.face.bounding_box.x + face.face.bounding_box.width / 2.0;
        assert!((middle - x as f32 - 99.0).abs() < 12.0, "step {step}: {middle}");
        assert_eq!(face.age, Duration::from_millis(step * 66));
        assert_eq!(face.prediction.face, Some(face.face));
        assert_eq!(face.answer, Answer::Label(face.prediction.class_index));
        assert_eq!(face.steadied, Answer::Label(face.prediction.class_index), "step {step}");
        assert_eq!(face.window_score, face.prediction.score, "no window by default");
        let total: f32 = face.steadied_probabilities.iter().sum();
        assert!((total - 1.0).abs() < 1e-5);
    }
}

/// Read off the portrait by eye; a quarter of the distance between the eyes is near enough.
#[test]
fn the_follower_finds_the_landmarks_near_the_last_box() {
    let follower = Follower::new(Kernels::default()).unwrap();
    for side in [60, 120, 200] {
        let scale = side as f32 / 200.0;
        let mut scene = RgbImage::from_pixel(WIDTH, HEIGHT, image::Rgb([120, 130, 110]));
        overlay(&mut scene, &resize(&head(), side, side, FilterType::Triangle), 150, 10);
        let frame =
            FrameView::new(scene.as_raw(), WIDTH, HEIGHT, WIDTH as usize * 3, PixelFormat::Rgb24)
                .unwrap();
        // The face of a moment ago, a tenth of its size to the left.
        let (x, y) = (150.0 + 45.0 * scale, 10.0 + 70.0 * scale);
        let last = FaceBox { x, y, width: 90.0 * scale, height: 90.0 * scale };
        let near = follower.look_near(&frame, &last).unwrap();
        let best = near.iter().max_by(|a, b| a.detection_score.total_cmp(&b.detection_score));
        let marks = best.expect("a candidate near the face").landmarks;
        for (found, seen) in [
            (marks.right_eye, [77.0, 102.0]),
            (marks.left_eye, [121.0, 102.0]),
            (marks.nose, [99.0, 125.0]),
            (marks.mouth, [98.0, 147.0]),
        ] {
            let (x, y) = (150.0 + scale * seen[0], 10.0 + scale * seen[1]);
            let off = (found[0] - x).hypot(found[1] - y);
            assert!(off < 11.0 * scale, "{side}: {found:?} is {off} pixels from ({x}, {y})");
        }
    }
}

#[test]
fn a_face_out_of_sight_is_found_again_in_time_and_new_later() {
    let Some(engine) = engine() else { return };
    let mut session = session(&engine);
    let (empty, face) = (scene(&[]), scene(&[(100, 20)]));
    assert_eq!(ids(&process(&mut session, &face, 0)), [1]);
    assert!(process(&mut session, &empty, 300).faces.is_empty());
    let back = process(&mut session, &face, 600);
    assert_eq!(ids(&back), [1]);
    assert_eq!(back.faces[0].age, Duration::from_millis(600));
    assert!(process(&mut session, &empty, 900).faces.is_empty());
    let late = process(&mut session, &face, 1601);
    assert_eq!(ids(&late), [2]);
    assert_eq!(late.faces[0].age, Duration::ZERO);
}

#[test]
fn time_that_goes_back_is_an_error_and_changes_nothing() {
    let Some(engine) = engine() else { return };
    let (mut disturbed, mut calm) = (session(&engine), session(&engine));
    let face = scene(&[(100, 20)]);
    for session in [&mut disturbed, &mut calm] {
        process(session, &face, 1000);
    }
    let error = try_process(&mut disturbed, &scene(&[]), 999).unwrap_err();
    let (last, given) = (Duration::from_millis(1000), Duration::from_millis(999));
    match &error {
        Error::Session(found) => assert_eq!(*found, SessionError::Timestamp { last, given }),
        other => panic!("{other}"),
    }
    let words = error.to_string();
    assert!(words.contains("999ms") && words.contains("1s"), "{words}");
    let after = |session| process(session, &scene(&[(110, 20)]), 1000).faces;
    assert_eq!(after(&mut disturbed), after(&mut calm), "and no time passed is no error");
}

#[test]
fn a_reset_session_is_a_new_stream_with_new_ids() {
    let Some(engine) = engine() else { return };
    let mut session = session(&engine);
    let face = scene(&[(100, 20)]);
    process(&mut session, &face, 5000);
    session.reset();
    let first = process(&mut session, &face, 0);
    assert_eq!(ids(&first), [2]);
    assert!(first.searched);
    assert_eq!(first.faces[0].age, Duration::ZERO);
}

#[test]
fn several_faces_have_an_id_each_up_to_the_largest_number() {
    let Some(engine) = engine() else { return };
    let pair = scene(&[(20, 20), (260, 20)]);
    let mut session = session(&engine);
    for step in 0..4 {
        assert_eq!(ids(&process(&mut session, &pair, step * 66)), [1, 2]);
    }
    let mut options = SessionOptions::default();
    options.tracking.maximum_faces = 1;
    let mut one = Session::new(Arc::clone(&engine), options.clone()).unwrap();
    assert_eq!(ids(&process(&mut one, &pair, 0)), [1]);
    options.tracking.minimum_face = 150.0;
    let mut none = Session::new(engine, options).unwrap();
    assert!(process(&mut none, &pair, 0).faces.is_empty());
}

#[test]
fn a_window_changes_the_score_of_later_frames_only() {
    let Some(engine) = engine() else { return };
    let mut options = SessionOptions::default();
    options.window.frames = 50;
    options.window.news_interval = Duration::ZERO;
    let mut session = Session::new(engine, options).unwrap();
    let face = scene(&[(100, 20)]);
    for step in 0..6 {
        let result = process(&mut session, &face, step * 66);
        let face = &result.faces[0];
        assert!(face.news);
        let moved = face.window_score != face.prediction.score;
        assert_eq!(moved, step >= 2, "the frame before is the first that counts: {step}");
    }
}

#[test]
fn options_out_of_range_are_named() {
    let Some(engine) = engine() else { return };
    type Change = fn(&mut SessionOptions);
    let changes: [(&str, Change); 7] = [
        ("window.frames", |options| options.window.frames = usize::MAX),
        ("window.age", |options| options.window.age = Duration::ZERO),
        ("tracking.maximum_faces", |options| options.tracking.maximum_faces = 0),
        ("tracking.minimum_face", |options| options.tracking.minimum_face = f32::NAN),
        ("steady.margin", |options| options.steady.margin = 2.0),
        ("tolerated_error", |options| options.tolerated_error = Some(0.0)),
        ("tolerated_error", |options| options.tolerated_error = Some(f64::NAN)),
    ];
    for (expected, change) in changes {
        let mut options = SessionOptions::default();
        change(&mut options);
        match Session::new(Arc::clone(&engine), options) {
            Err(Error::Session(SessionError::Option { name, .. })) => assert_eq!(name, expected),
            Err(other) => panic!("{expected}: {other}"),
            Ok(_) => panic!("{expected} was accepted"),
        }
    }
}

/// The default model with thresholds of the test's own.
fn calibrated(thresholds: &[(f64, f64)]) -> Option<Arc<Engine>> {
    let mut file = ModelFile::parse(Engine::default_model()?).unwrap();
    file.manifest.abstention = thresholds
        .iter()
        .map(|&(error_rate, threshold)| Threshold {
            error_rate,
            threshold,
            coverage: 0.5,
            confidence: 0.95,
            count: 100,
        })
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("calibrated.dmue.onnx");
    write(&path, &file.into_proto().unwrap()).unwrap();
    Some(Arc::new(Engine::builder().model_file(path).build().unwrap()))
}

#[test]
fn the_tolerated_error_rate_decides_what_is_unsure() {
    let Some(engine) = calibrated(&[(0.05, 1.0), (0.2, 0.0)]) else { return };
    let face = scene(&[(100, 20)]);
    let tolerating = |rate| {
        let mut options = SessionOptions::default();
        options.tolerated_error = Some(rate);
        Session::new(Arc::clone(&engine), options)
    };
    for (rate, threshold, unsure) in [(0.05, 1.0, true), (0.1, 1.0, true), (0.3, 0.0, false)] {
        let mut session = tolerating(rate).unwrap();
        assert_eq!(session.threshold().unwrap().threshold, threshold);
        let face = process(&mut session, &face, 0).faces.remove(0);
        assert_eq!(face.answer == Answer::Unsure, unsure, "{rate}");
        assert_eq!(face.steadied == Answer::Unsure, unsure, "{rate}");
    }
    let Err(error) = tolerating(0.01) else { panic!("1 % was not promised") };
    assert!(matches!(error, Error::Session(SessionError::ErrorRate { .. })), "{error}");
    assert!(error.to_string().contains("0.01") && error.to_string().contains("0.05"), "{error}");
}
