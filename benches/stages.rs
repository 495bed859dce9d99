//! What each stage of a frame costs. `README.md` beside this file says how to run and read it.
#![allow(missing_docs, reason = "criterion's macros make public items")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot be set up may panic")]

use std::path::PathBuf;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use dmue_edge::engine::Engine;
use dmue_edge::face::align::align;
use dmue_edge::face::detector::{Detector, DetectorOptions};
use dmue_edge::frame::{FrameView, PixelFormat};
use dmue_edge::model::{Model, preprocess::normalise};
use dmue_edge::photo::Photo;

const ASTRONAUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/images/astronaut.png");
const WIDTH: u32 = 640;
const HEIGHT: u32 = 480;
/// Columns of the scene left of the portrait, which is 512 pixels wide: it stands in the middle.
const MARGIN: u32 = 64;

criterion_group!(benches, detector, stages_after_the_detector, whole_frame);
criterion_main!(benches);

/// One look at the whole frame (`levels` 1), and the tiles besides that are the default (2).
fn detector(criterion: &mut Criterion) {
    let pixels = scene();
    let frame = view(&pixels);
    let mut group = criterion.benchmark_group("detector 640x480");
    for levels in [1, 2] {
        let detector = Detector::new(options(levels)).unwrap();
        group.bench_function(BenchmarkId::new("levels", levels), |bencher| {
            bencher.iter(|| detector.detect(&frame));
        });
    }
    group.finish();
}

fn stages_after_the_detector(criterion: &mut Criterion) {
    let Some(model) = model() else { return };
    let pixels = scene();
    let frame = view(&pixels);
    let faces = Detector::new(options(1)).unwrap().detect(&frame).unwrap();
    let face = faces.first().expect("the astronaut's face");
    let input = &model.manifest().input;
    let align = || align(&frame, &face.landmarks, &input.template, input.size, input.colour);
    let crop = align();
    let answer = model.infer(&crop).unwrap();

    let mut group = criterion.benchmark_group(format!("model {}", model.manifest().name));
    group.bench_function("align", |bencher| bencher.iter(align));
    group.bench_function("normalise", |bencher| bencher.iter(|| normalise(&crop, input)));
    // Normalisation, network and uncertainty together.
    group.bench_function("infer", |bencher| bencher.iter(|| model.infer(&crop)));
    group.bench_function("uncertainty", |bencher| {
        bencher.iter(|| model.uncertainty().confidence(&answer.feature, &answer.logits, None));
    });
    group.finish();
}

/// Pixels in, expression and score out: what one face in a camera's picture costs.
fn whole_frame(criterion: &mut Criterion) {
    let Some(bytes) = model_bytes() else { return };
    let pixels = scene();
    let frame = view(&pixels);
    let mut group = criterion.benchmark_group("engine 640x480");
    for levels in [1, 2] {
        let builder = Engine::builder().model_bytes(bytes.clone()).detector(options(levels));
        let engine = builder.build().unwrap();
        assert_eq!(engine.predict(&frame).unwrap().predictions.len(), 1, "one face in the scene");
        group.bench_function(BenchmarkId::new("levels", levels), |bencher| {
            bencher.iter(|| engine.predict(&frame));
        });
    }
    group.finish();
}

fn options(levels: u32) -> DetectorOptions {
    let mut options = DetectorOptions::default();
    options.levels = levels;
    options
}

/// The astronaut's portrait as a camera's frame, RGB: its border pixels fill the sides.
fn scene() -> Vec<u8> {
    let photo = Photo::open(ASTRONAUT).unwrap();
    let portrait = photo.view().unwrap();
    let pixels = (0..HEIGHT).flat_map(|y| (0..WIDTH).map(move |x| (x, y)));
    pixels.flat_map(|(x, y)| portrait.rgb(x.saturating_sub(MARGIN), y)).collect()
}

fn view(pixels: &[u8]) -> FrameView<'_> {
    FrameView::new(pixels, WIDTH, HEIGHT, WIDTH as usize * 3, PixelFormat::Rgb24).unwrap()
}

fn model() -> Option<Model> {
    model_bytes().map(|bytes| Model::from_bytes(&bytes).unwrap())
}

/// The model file that `DMUE_MODEL` names, else the one that dmue-edge carries.
fn model_bytes() -> Option<Vec<u8>> {
    if let Some(path) = std::env::var_os("DMUE_MODEL").map(PathBuf::from) {
        let bytes = std::fs::read(&path);
        return Some(
            bytes.unwrap_or_else(|error| panic!("DMUE_MODEL {}: {error}", path.display())),
        );
    }
    let embedded = Engine::default_model();
    if embedded.is_none() {
        eprintln!("skipped: this build carries no model, and DMUE_MODEL names none");
    }
    embedded.map(<[u8]>::to_vec)
}
