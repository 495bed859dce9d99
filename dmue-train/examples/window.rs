//! Whether a window of frames finds errors better than each frame alone, and how far a misclassified
//! face can talk itself up. Streams of 50 faces for 2 s each, seen by a made camera.
//!
//! ```text
//! cargo run --release -p dmue-train --example window -- --data FACES.parquet
//! ```
//!
//! The data know no persons, so every face is a new one: what a window gains by getting used to a
//! person is not seen here.
#![allow(clippy::print_stdout, reason = "the figures are the program's output")]

mod made;

use std::time::Duration;

use dmue_edge::model::Model;
use dmue_edge::uncertainty::predicted_class;
use dmue_edge::window::{Window, WindowOptions};
use dmue_train::metrics::{Answer, auroc};
use made::{Frame, RATE, faces, streams};

type Failure = Box<dyn std::error::Error>;

const FACES_A_STREAM: usize = 50;
const FRAMES_A_FACE: usize = 2 * RATE;
/// Frames of the one face that is shown on and on.
const STEADY_FRAMES: usize = 300;

fn main() -> Result<(), Failure> {
    let (model, source) = faces()?;
    let faces = streams(&model, &source, FRAMES_A_FACE)?;
    println!(
        "{} faces for {} s each, {FACES_A_STREAM} a stream",
        faces.len(),
        FRAMES_A_FACE / RATE
    );
    println!(
        "{:>4} {:9} {:>18} {:>22} {:>24}",
        "W", "enters", "AUROC of errors", "against W = 0", "misclassified, rise"
    );
    for (name, interval) in
        [("news", WindowOptions::default().news_interval), ("all", Duration::ZERO)]
    {
        for frames in [10, 50, 200] {
            let mut options = WindowOptions::default();
            (options.frames, options.news_interval) = (frames, interval);
            report(&model, &faces, &options, name)?;
        }
    }
    Ok(())
}

fn report(
    model: &Model,
    faces: &[Vec<Frame>],
    options: &WindowOptions,
    name: &str,
) -> Result<(), Failure> {
    let (mut with, mut gains) = (Vec::new(), Vec::new());
    for stream in faces.chunks_exact(FACES_A_STREAM) {
        let frames: Vec<_> = stream.iter().flatten().collect();
        let scores = window_scores(model, &frames, options)?;
        let alone = frames.iter().map(|frame| frame.inference.score).collect();
        let (windowed, alone) = (area(&frames, scores), area(&frames, alone));
        with.push(windowed);
        gains.push(windowed - alone);
    }
    let (area, _) = mean_and_error(&with);
    let (gain, error) = mean_and_error(&gains);
    let (mean, largest) = rises(model, faces, options)?;
    println!(
        "{:4} {name:9} {area:18.4} {gain:+13.4} ± {error:.4} {:>12} mean {mean:+.3} max {largest:+.3}",
        options.frames, ""
    );
    Ok(())
}

/// The score of each frame with the window as it was before that frame.
fn window_scores(
    model: &Model,
    frames: &[&Frame],
    options: &WindowOptions,
) -> Result<Vec<f32>, Failure> {
    let uncertainty = model.uncertainty();
    let prior = uncertainty.prior();
    let mut window = Window::new(options.clone(), prior.classes(), prior.feature_size())?;
    let mut scores = Vec::with_capacity(frames.len());
    for (number, frame) in frames.iter().enumerate() {
        let time = Duration::from_secs_f64(number as f64 / RATE as f64);
        let inference = &frame.inference;
        window.expire(time);
        let sums = Some(window.sums());
        scores.push(uncertainty.confidence(&inference.feature, &inference.logits, sums).score);
        window.push(&inference.feature, &inference.probabilities, time)?;
    }
    Ok(scores)
}

fn area(frames: &[&Frame], scores: Vec<f32>) -> f64 {
    let answer = |(frame, score): (&&Frame, f32)| Answer {
        label: frame.label,
        logits: frame.inference.logits.clone(),
        probabilities: frame.inference.probabilities.clone(),
        score,
        alpha: frame.inference.alpha,
    };
    let answers: Vec<_> = frames.iter().zip(scores).map(answer).collect();
    auroc(&answers, |answer| answer.score)
}

/// For faces misclassified in all their frames, shown for 300 frames: how much higher the scores of the
/// last second are than without a window, mean and largest over the faces.
fn rises(
    model: &Model,
    faces: &[Vec<Frame>],
    options: &WindowOptions,
) -> Result<(f64, f64), Failure> {
    let wrong = |face: &&Vec<Frame>| {
        let first = predicted_class(&face[0].inference.logits);
        let steady = |frame: &Frame| predicted_class(&frame.inference.logits) == first;
        first != face[0].label && face.iter().all(steady)
    };
    let mut rises = Vec::new();
    for face in faces.iter().filter(wrong) {
        let frames: Vec<_> = face.iter().cycle().take(STEADY_FRAMES).collect();
        let scores = window_scores(model, &frames, options)?;
        let last = frames.iter().zip(&scores).skip(STEADY_FRAMES - RATE);
        let rise: f32 = last.map(|(frame, score)| score - frame.inference.score).sum();
        rises.push(f64::from(rise) / RATE as f64);
    }
    let largest = rises.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    Ok((mean_and_error(&rises).0, largest))
}

/// Mean, and the standard error of it.
fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
    (mean, (variance / count).sqrt())
}
