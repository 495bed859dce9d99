//! What a frame costs at several window sizes. `README.md` beside this file says how to run and read it.
#![allow(missing_docs, reason = "criterion's macros make public items")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot be set up may panic")]

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use dmue_edge::engine::Engine;
use dmue_edge::model::Model;
use dmue_edge::uncertainty::Prior;
use dmue_edge::window::{Window, WindowOptions};

/// Features to go through: more than the largest window holds.
const FEATURES: u32 = 4096;

criterion_group!(benches, frame);
criterion_main!(benches);

/// Score with the window, then push, every frame as news into a full window: the costliest frame.
fn frame(criterion: &mut Criterion) {
    let Some(bytes) = Engine::default_model() else {
        eprintln!("skipped: this build carries no model");
        return;
    };
    let model = Model::from_bytes(bytes).unwrap();
    let uncertainty = model.uncertainty();
    let frames = frames(uncertainty.prior());
    let mut group = criterion.benchmark_group("window");
    for size in [10, 100, 1000] {
        let mut window = full(size, &frames, uncertainty.prior());
        let mut next = frames.iter().cycle();
        group.bench_function(BenchmarkId::new("frames", size), |bencher| {
            bencher.iter(|| {
                let (feature, probabilities) = next.next().unwrap();
                window.expire(Duration::ZERO);
                let sums = Some(window.sums());
                let confidence = uncertainty.confidence(feature, probabilities, sums);
                window.push(feature, probabilities, Duration::ZERO).unwrap();
                confidence
            });
        });
    }
    group.finish();
}

fn full(size: usize, frames: &[(Vec<f32>, Vec<f32>)], prior: &Prior) -> Window {
    let mut options = WindowOptions::default();
    options.frames = size;
    options.news_interval = Duration::ZERO;
    let mut window = Window::new(options, prior.classes(), prior.feature_size()).unwrap();
    for (feature, probabilities) in frames.iter().take(size + 1) {
        window.push(feature, probabilities, Duration::ZERO).unwrap();
    }
    assert_eq!(window.len(), size);
    window
}

/// Made features `[D]` and probabilities `[C]`.
fn frames(prior: &Prior) -> Vec<(Vec<f32>, Vec<f32>)> {
    let value = |seed: u32| (seed.wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 24) as f32;
    let frame = |number: u32| {
        let feature = (0..prior.feature_size() as u32).map(|d| value(number * 1009 + d) - 0.5);
        let raw: Vec<f32> =
            (0..prior.classes() as u32).map(|c| value(number * 9973 + c) + 0.01).collect();
        let total: f32 = raw.iter().sum();
        (feature.collect(), raw.iter().map(|value| value / total).collect())
    };
    (0..FEATURES).map(frame).collect()
}
