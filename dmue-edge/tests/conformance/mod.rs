//! Golden answers of the embedded model, written once and replayed through every door.
//!
//! `DMUE_BLESS=1 cargo test --workspace --test rust_api` writes `golden.json` anew, through the Rust
//! door; needed whenever the embedded model changes.

use std::path::{Path, PathBuf};

use super::WORKSPACE;
use dmue_edge::face::{FaceBox, Landmarks};
use dmue_edge::{Engine, Photo, PixelFormat};
use serde::{Deserialize, Serialize};

/// From [`WORKSPACE`].
const GOLDEN: &str = "dmue-edge/tests/conformance/golden.json";

/// Looks at a frame that every door is asked for: one is enough for the astronaut.
pub const DETECTOR_LEVELS: u32 = 1;

/// Kernels for other processors round differently; a fifth of a per cent is less than a reader notices.
const TOLERANCE: f32 = 2e-3;
/// The same for boxes, in pixels.
const PIXELS: f32 = 0.5;

/// What is asked about a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Question {
    /// Every face of it.
    Predict,
    /// It is a face.
    Crop,
    /// The face in this box.
    Box(FaceBox),
    /// The face with these landmarks.
    Landmarks(Landmarks),
}

/// One question about one picture.
pub struct Case {
    pub name: String,
    pub question: Question,
    pub picture: Picture,
}

/// A picture in one buffer, its rows padded with bytes that nobody may read.
pub struct Picture {
    pub format: PixelFormat,
    pub width: u32,
    pub height: u32,
    pub stride: usize,
    pub bytes: Vec<u8>,
}

/// One face as every door reports it.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
pub struct Answer {
    pub class_index: usize,
    pub score: f32,
    pub alpha: f32,
    /// Left, top, width, height in frame pixels; zeros where none was looked for and none given.
    pub bounding_box: [f32; 4],
    pub probabilities: Vec<f32>,
}

#[derive(Deserialize, Serialize)]
struct Golden {
    model_bytes: usize,
    cases: Vec<GoldenCase>,
}

#[derive(Deserialize, Serialize)]
struct GoldenCase {
    name: String,
    answers: Vec<Answer>,
}

/// Every question, the same for every door.
pub fn cases() -> Vec<Case> {
    let photo = astronaut();
    let astronaut = photo.view().unwrap();
    let (width, height) = (astronaut.width(), astronaut.height());
    let portrait = |format| Picture::new(format, width, height, |x, y| astronaut.rgb(x, y));
    let mut cases = Vec::new();
    let mut add = |name: String, question, picture| cases.push(Case { name, question, picture });
    for format in PixelFormat::ALL {
        add(format!("astronaut, {format:?}"), Question::Predict, portrait(format));
        // Odd sides: the last column and row have a colour of their own.
        let made = Picture::new(format, 61, 53, synthetic);
        add(format!("made crop, {format:?}"), Question::Crop, made);
    }
    let nobody = Picture::new(PixelFormat::Rgb24, 320, 200, synthetic);
    add("nobody".into(), Question::Predict, nobody);
    let face = FaceBox { x: 165.0, y: 55.0, width: 118.0, height: 110.0 };
    add("box".into(), Question::Box(face), portrait(PixelFormat::Bgr24));
    // Read off the picture by eye; the ears are not used.
    let landmarks = Landmarks {
        right_eye: [202.0, 102.0],
        left_eye: [246.0, 102.0],
        nose: [224.0, 125.0],
        mouth: [223.0, 147.0],
        right_ear: [0.0; 2],
        left_ear: [0.0; 2],
    };
    add("landmarks".into(), Question::Landmarks(landmarks), portrait(PixelFormat::Rgba32));
    cases
}

/// Compares a door's answers, in the order of [`cases`], with the golden ones.
pub fn check(door: &str, answers: &[Vec<Answer>]) {
    let golden = std::fs::read_to_string(golden_file()).expect(GOLDEN);
    let golden: Golden = serde_json::from_str(&golden).unwrap();
    let embedded = Engine::default_model().map_or(0, <[u8]>::len);
    let hint = "run `DMUE_BLESS=1 cargo test --workspace --test rust_api` after a change of model";
    assert_eq!(golden.model_bytes, embedded, "golden.json is of another model: {hint}");
    assert_eq!(golden.cases.len(), answers.len(), "other cases than golden.json's: {hint}");
    for (golden, answers) in golden.cases.iter().zip(answers) {
        let close = golden.answers.len() == answers.len()
            && golden
                .answers
                .iter()
                .zip(answers)
                .all(|(golden, answer)| golden.is_close_to(answer));
        let (name, expected) = (&golden.name, &golden.answers);
        assert!(close, "{name} through {door}: {answers:?}, not {expected:?}; {hint}");
    }
}

/// Writes `golden.json` if `DMUE_BLESS` is set.
pub fn bless(cases: &[Case], answers: &[Vec<Answer>]) {
    if std::env::var_os("DMUE_BLESS").is_none() {
        return;
    }
    let cases = cases
        .iter()
        .zip(answers)
        .map(|(case, answers)| GoldenCase { name: case.name.clone(), answers: answers.clone() });
    let model_bytes = Engine::default_model().map_or(0, <[u8]>::len);
    let golden = Golden { model_bytes, cases: cases.collect() };
    let text = serde_json::to_string_pretty(&golden).unwrap() + "\n";
    std::fs::write(golden_file(), text).unwrap();
}

fn golden_file() -> PathBuf {
    Path::new(WORKSPACE).join(GOLDEN)
}

/// The portrait that the project carries.
pub fn astronaut() -> Photo {
    Photo::open(Path::new(WORKSPACE).join("examples/images/astronaut.png")).unwrap()
}

/// Whether this build carries a model; says so if it does not.
pub fn has_model() -> bool {
    let has = Engine::default_model().is_some();
    if !has {
        eprintln!("skipped: this build carries no model");
    }
    has
}

impl Answer {
    fn is_close_to(&self, other: &Self) -> bool {
        let near = |a: f32, b: f32, tolerance: f32| (a - b).abs() <= tolerance;
        let numbers = |of: &Self| {
            let mut numbers = of.probabilities.clone();
            numbers.extend([of.score, of.alpha]);
            numbers
        };
        let (mine, others) = (numbers(self), numbers(other));
        self.class_index == other.class_index
            && mine.len() == others.len()
            && mine.iter().zip(others).all(|(a, b)| near(*a, b, TOLERANCE))
            && self.bounding_box.iter().zip(other.bounding_box).all(|(a, b)| near(*a, b, PIXELS))
    }
}

impl Picture {
    /// `pixel` gives red, green and blue at column x, row y.
    pub fn new(
        format: PixelFormat,
        width: u32,
        height: u32,
        pixel: impl Fn(u32, u32) -> [u8; 3],
    ) -> Self {
        // Even, so that NV12's pairs fit; more than a row needs, so that padding exists.
        let stride = format.row_bytes(0, width).next_multiple_of(2) + 6;
        Self::with_stride(format, width, height, stride, pixel)
    }

    /// The same without padding.
    pub fn unpadded(
        format: PixelFormat,
        width: u32,
        height: u32,
        pixel: impl Fn(u32, u32) -> [u8; 3],
    ) -> Self {
        Self::with_stride(format, width, height, format.row_bytes(0, width), pixel)
    }

    fn with_stride(
        format: PixelFormat,
        width: u32,
        height: u32,
        stride: usize,
        pixel: impl Fn(u32, u32) -> [u8; 3],
    ) -> Self {
        let mut bytes = Vec::new();
        for plane in 0..format.planes() {
            let stride = format.plane_stride(plane, stride);
            for row in 0..format.rows(plane, height) {
                let start = bytes.len();
                write_row(&mut bytes, format, plane, row, width, &pixel);
                bytes.resize(start + stride, 0xa5);
            }
        }
        Self { format, width, height, stride, bytes }
    }
}

fn write_row(
    bytes: &mut Vec<u8>,
    format: PixelFormat,
    plane: usize,
    row: u32,
    width: u32,
    pixel: &impl Fn(u32, u32) -> [u8; 3],
) {
    let pairs = (0..width).step_by(2);
    let yuv = |x: u32, y: u32| encode(pixel(x, y));
    match (format, plane) {
        (PixelFormat::Gray8, _) => {
            bytes.extend((0..width).map(|x| luma(pixel(x, row)).round() as u8));
        }
        (PixelFormat::Rgb24, _) => bytes.extend((0..width).flat_map(|x| pixel(x, row))),
        (PixelFormat::Bgr24, _) => bytes.extend((0..width).flat_map(|x| reversed(pixel(x, row)))),
        (PixelFormat::Rgba32, _) => {
            bytes.extend((0..width).flat_map(|x| with_alpha(pixel(x, row))));
        }
        (PixelFormat::Bgra32, _) => {
            bytes.extend((0..width).flat_map(|x| with_alpha(reversed(pixel(x, row)))));
        }
        (PixelFormat::Nv12 | PixelFormat::I420, 0) => {
            bytes.extend((0..width).map(|x| yuv(x, row)[0]));
        }
        (PixelFormat::Nv12, _) => bytes.extend(pairs.flat_map(|x| {
            let [_, u, v] = yuv(x, row * 2);
            [u, v]
        })),
        (PixelFormat::I420, _) => bytes.extend(pairs.map(|x| yuv(x, row * 2)[plane])),
        (PixelFormat::Yuyv, _) => bytes.extend(pairs.flat_map(|x| {
            let [y, u, v] = yuv(x, row);
            [y, u, yuv(x + u32::from(x + 1 < width), row)[0], v]
        })),
        (other, _) => panic!("no encoder for {other:?}"),
    }
}

fn luma([r, g, b]: [u8; 3]) -> f32 {
    0.299 * f32::from(r) + 0.587 * f32::from(g) + 0.114 * f32::from(b)
}

/// ITU-R BT.601, limited range.
fn encode(rgb: [u8; 3]) -> [u8; 3] {
    let y = luma(rgb);
    let u = (f32::from(rgb[2]) - y) / 1.772;
    let v = (f32::from(rgb[0]) - y) / 1.402;
    [16.0 + y * 219.0 / 255.0, 128.0 + u * 224.0 / 255.0, 128.0 + v * 224.0 / 255.0]
        .map(|value| value.round() as u8)
}

fn reversed([a, b, c]: [u8; 3]) -> [u8; 3] {
    [c, b, a]
}

/// The fourth byte must not matter, so it differs from pixel to pixel.
fn with_alpha([a, b, c]: [u8; 3]) -> [u8; 4] {
    [a, b, c, a ^ b]
}

/// Waves of different lengths, nothing that looks like a face.
fn synthetic(x: u32, y: u32) -> [u8; 3] {
    let (x, y) = (x as f32, y as f32);
    [(x * 0.11).sin() + (y * 0.07).cos(), (x * 0.05 + y * 0.13).sin() * 2.0, (y * 0.09).sin() - 0.5]
        .map(|wave| (wave * 60.0 + 128.0).clamp(0.0, 255.0) as u8)
}
