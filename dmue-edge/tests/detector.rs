//! The embedded face detector on real pictures.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;

use dmue_edge::Error;
use dmue_edge::face::Face;
use dmue_edge::face::detector::{Detector, DetectorOptions};
use dmue_edge::frame::{FrameView, PixelFormat};
use dmue_edge::photo::Photo;
use image::imageops::{FilterType, overlay, resize};

const ASTRONAUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/images/astronaut.png");
const PHOTOS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/photos");

fn detector() -> Detector {
    Detector::new(DetectorOptions::default()).unwrap()
}

fn only_face(faces: &[Face]) -> Face {
    assert_eq!(faces.len(), 1, "{faces:?}");
    faces[0]
}

/// Read off the picture by eye; a quarter of the distance between the eyes is near enough.
#[test]
fn the_astronauts_landmarks_are_where_they_are() {
    let photo = Photo::open(ASTRONAUT).unwrap();
    let face = only_face(&detector().detect(&photo.view().unwrap()).unwrap());
    let marks = face.landmarks;
    for (found, seen) in [
        (marks.right_eye, [202.0, 102.0]),
        (marks.left_eye, [246.0, 102.0]),
        (marks.nose, [224.0, 125.0]),
        (marks.mouth, [223.0, 147.0]),
    ] {
        let off = (found[0] - seen[0]).hypot(found[1] - seen[1]);
        assert!(off < 11.0, "{found:?} is {off} pixels from {seen:?}");
    }
}

/// Another place, size, stride and pixel format: the face moves with the picture.
#[test]
fn a_moved_and_shrunk_face_is_found_where_it_went() {
    let astronaut = Photo::open(ASTRONAUT).unwrap();
    let before = only_face(&detector().detect(&astronaut.view().unwrap()).unwrap());
    let small = resize(&astronaut.into_pixels(), 384, 384, FilterType::Triangle);
    let mut scene = image::RgbImage::from_pixel(640, 480, image::Rgb([120, 130, 110]));
    overlay(&mut scene, &small, 230, 70);
    let stride = 640 * 4 + 12;
    let mut bytes = vec![0; stride * 480];
    for (x, y, pixel) in scene.enumerate_pixels() {
        let [r, g, b] = pixel.0;
        let start = y as usize * stride + x as usize * 4;
        bytes[start..start + 4].copy_from_slice(&[b, g, r, 255]);
    }
    let frame = FrameView::new(&bytes, 640, 480, stride, PixelFormat::Bgra32).unwrap();
    let after = only_face(&detector().detect(&frame).unwrap());
    for (old, new) in [
        (before.landmarks.right_eye, after.landmarks.right_eye),
        (before.landmarks.left_eye, after.landmarks.left_eye),
        (before.landmarks.mouth, after.landmarks.mouth),
    ] {
        let expected = [230.0 + old[0] * 0.75, 70.0 + old[1] * 0.75];
        let off = (new[0] - expected[0]).hypot(new[1] - expected[1]);
        assert!(off < 6.0, "{new:?} is {off} pixels from {expected:?}");
    }
}

/// Counted by eye: everybody in the pictures faces the camera.
#[test]
fn everybody_in_the_group_photos_is_found_once() {
    if !Path::new(PHOTOS).is_dir() {
        eprintln!("skipped: {PHOTOS} is not there");
        return;
    }
    let detector = detector();
    for (name, people) in [("uf1", 19), ("uf2", 26), ("uf3", 16), ("dmue_test1", 1)] {
        let photo = Photo::open(format!("{PHOTOS}/{name}.jpg")).unwrap();
        let faces = detector.detect(&photo.view().unwrap()).unwrap();
        assert_eq!(faces.len(), people, "{name}");
    }
}

#[test]
fn options_are_honoured_and_checked() {
    let photo = Photo::open(ASTRONAUT).unwrap();
    let frame = photo.view().unwrap();
    type Change = fn(&mut DetectorOptions);
    let with = |change: Change| {
        let mut options = DetectorOptions::default();
        change(&mut options);
        Detector::new(options)
    };
    assert!(with(|o| o.minimum_score = 0.999).unwrap().detect(&frame).unwrap().is_empty());
    assert!(with(|o| o.minimum_face = 200.0).unwrap().detect(&frame).unwrap().is_empty());
    assert_eq!(with(|o| o.levels = 1).unwrap().detect(&frame).unwrap().len(), 1);
    let one = with(|o| (o.minimum_score, o.overlap, o.maximum_faces) = (0.1, 1.0, 1));
    assert_eq!(one.unwrap().detect(&frame).unwrap().len(), 1);
    let changes: [(&str, Change); 6] = [
        ("minimum_score", |o| o.minimum_score = f32::NAN),
        ("minimum_score", |o| o.minimum_score = 1.01),
        ("overlap", |o| o.overlap = 0.0),
        ("minimum_face", |o| o.minimum_face = -1.0),
        ("maximum_faces", |o| o.maximum_faces = 0),
        ("levels", |o| o.levels = 0),
    ];
    for (name, change) in changes {
        let error = with(change).err().unwrap();
        assert!(matches!(&error, Error::Detector(d) if d.name == name), "{error}");
    }
}

#[test]
fn tiny_flat_and_long_frames_have_no_faces() {
    let detector = detector();
    for (width, height) in [(1, 1), (2000, 1), (1, 2000), (700, 300)] {
        let bytes = vec![128; width * height];
        let frame =
            FrameView::new(&bytes, width as u32, height as u32, width, PixelFormat::Gray8).unwrap();
        assert!(detector.detect(&frame).unwrap().is_empty(), "{width}x{height}");
    }
}
