//! How often labels change although nothing does, frame by frame and steadied, and how soon a
//! change of expression is followed. Faces of a data set, seen by a made camera (jitter, noise, blur,
//! exposure) at 15 frames a second.
//!
//! ```text
//! cargo run --release -p dmue-train --example steadiness -- --data FACES.parquet --faces 400
//! ```
#![allow(clippy::print_stdout, reason = "the figures are the program's output")]

mod made;

use std::time::Duration;

use dmue_edge::abstain::{Answer, answer, threshold_for};
use dmue_edge::steady::{Steadier, SteadyOptions};
use dmue_edge::uncertainty::predicted_class;
use dmue_train::calibrate::thresholds;
use made::{Frame, RATE, faces, streams};

/// Of each face.
const SECONDS: usize = 15;
/// Of each of two faces where the expression changes.
const BEFORE_CHANGE: usize = 4 * RATE;
/// Tolerated error rate where answers may be `Unsure`.
const ERROR_RATE: f64 = 0.1;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (model, source) = faces()?;
    let all = dmue_train::data::dataset::Source {
        classes: source.classes.clone(),
        samples: source.samples.clone(),
        summary: String::new(),
    };
    let promised = thresholds(&model, all, 0.95)?;
    let streams = streams(&model, &source, SECONDS * RATE)?;
    println!("{} faces, {SECONDS} s each at {RATE} frames a second", streams.len());
    println!(
        "{:28} {:>9} {:>9} {:>6}",
        "changes of the answer a minute", "raw", "steadied", "ratio"
    );
    report_flicker("labels only", &streams, 0.0)?;
    match threshold_for(&promised, ERROR_RATE) {
        Ok(promised) => report_flicker("unsure above 10 % errors", &streams, promised.threshold)?,
        Err(error) => println!("{error}"),
    }
    report_delays(&streams)
}

fn report_flicker(
    name: &str,
    streams: &[Vec<Frame>],
    threshold: f64,
) -> Result<(), Box<dyn std::error::Error>> {
    let (mut raw, mut steadied) = (0, 0);
    for stream in streams {
        raw += changes(&raw_answers(stream, threshold));
        steadied += changes(&steadied_answers(stream, threshold)?);
    }
    let minutes = (streams.len() * SECONDS) as f64 / 60.0;
    let [raw, steadied] = [raw, steadied].map(|changes| changes as f64 / minutes);
    println!("{name:30} {raw:9.1} {steadied:9.1} {:6.1}", raw / steadied);
    Ok(())
}

fn raw_answers(stream: &[Frame], threshold: f64) -> Vec<Answer> {
    let own = |frame: &Frame| {
        let inference = &frame.inference;
        answer(predicted_class(&inference.logits), inference.score, threshold)
    };
    stream.iter().map(own).collect()
}

fn steadied_answers<'a>(
    frames: impl IntoIterator<Item = &'a Frame>,
    threshold: f64,
) -> Result<Vec<Answer>, Box<dyn std::error::Error>> {
    let mut steadier = None;
    let mut answers = Vec::new();
    for (number, frame) in frames.into_iter().enumerate() {
        let inference = &frame.inference;
        let classes = inference.logits.len();
        let steadier = match &mut steadier {
            Some(steadier) => steadier,
            none => none.insert(Steadier::new(SteadyOptions::default(), classes, threshold)?),
        };
        let time = Duration::from_secs_f64(number as f64 / RATE as f64);
        answers.push(steadier.update(&inference.probabilities, inference.score, time)?.answer);
    }
    Ok(answers)
}

fn changes(answers: &[Answer]) -> usize {
    answers.windows(2).filter(|pair| pair[0] != pair[1]).count()
}

/// One clear expression after another: each labelled right in nine of ten of its own frames.
fn report_delays(streams: &[Vec<Frame>]) -> Result<(), Box<dyn std::error::Error>> {
    let clear = |stream: &&Vec<Frame>| {
        let right = |frame: &&Frame| predicted_class(&frame.inference.logits) == frame.label;
        stream.iter().filter(right).count() * 10 >= stream.len() * 9
    };
    let clear: Vec<_> = streams.iter().filter(clear).collect();
    let mut delays = Vec::new();
    for (before, after) in clear.iter().flat_map(|a| clear.iter().map(move |b| (a, b))) {
        if before[0].label != after[0].label && delays.len() < 5000 {
            delays.push(delay(before, after)?);
        }
    }
    delays.sort_by(f64::total_cmp);
    let quantile = |share: f64| delays[((delays.len() - 1) as f64 * share) as usize];
    let in_time = delays.iter().filter(|delay| **delay <= 300.0).count();
    println!(
        "{} changes of expression: followed after {:.0} ms (median), {:.0} ms (nine of ten); {:.1} % within 300 ms",
        delays.len(),
        quantile(0.5),
        quantile(0.9),
        100.0 * in_time as f64 / delays.len() as f64
    );
    Ok(())
}

/// Milliseconds from the last frame of the old expression to the first steadied answer that is the
/// new one; infinite if it never comes.
fn delay(before: &[Frame], after: &[Frame]) -> Result<f64, Box<dyn std::error::Error>> {
    let frames = before[..BEFORE_CHANGE].iter().chain(&after[..BEFORE_CHANGE]);
    let answers = steadied_answers(frames, 0.0)?;
    let followed =
        answers[BEFORE_CHANGE..].iter().position(|answer| *answer == Answer::Label(after[0].label));
    let frames = followed.map_or(f64::INFINITY, |position| (position + 1) as f64);
    Ok(1000.0 * frames / RATE as f64)
}
