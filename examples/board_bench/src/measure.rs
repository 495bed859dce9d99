//! A 640x480 frame with one face, again and again.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dmue_edge::{Engine, FrameView, Photo, PixelFormat, Session, SessionOptions};
use serde::Serialize;

/// The portrait: a face of about 100 pixels.
const PORTRAIT: &[u8] = include_bytes!("../../images/astronaut.png");
const WIDTH: u32 = 640;
const HEIGHT: u32 = 480;
/// Bytes of a row.
const ROW: usize = WIDTH as usize * 3;

pub struct Plan {
    pub frames: u32,
    pub threads: u32,
}

#[derive(Serialize)]
pub struct Measured {
    /// From opening the engine to its first answer, once.
    pub first_answer_ms: f64,
    pub stages: Vec<Stage>,
}

/// Milliseconds of one stage over all frames.
#[derive(Serialize)]
pub struct Stage {
    pub name: String,
    pub minimum: f64,
    pub median: f64,
    /// The 99th percentile.
    pub most: f64,
}

impl Stage {
    fn new(name: &str, mut milliseconds: Vec<f64>) -> Self {
        milliseconds.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let last = milliseconds.len().saturating_sub(1);
            milliseconds.get((share * last as f64).round() as usize).copied().unwrap_or(f64::NAN)
        };
        Self { name: name.to_owned(), minimum: at(0.0), median: at(0.5), most: at(0.99) }
    }
}

/// # Errors
/// The engine does not open, or finds no face where there is one.
pub fn run(plan: &Plan) -> Result<Measured, Box<dyn Error>> {
    let pixels = scene()?;
    let frame = FrameView::new(&pixels, WIDTH, HEIGHT, ROW, PixelFormat::Rgb24)?;
    let start = Instant::now();
    let engine = Arc::new(Engine::builder().threads(plan.threads as usize).build()?);
    if engine.predict(&frame)?.predictions.is_empty() {
        return Err("no face was found in the portrait: this build is broken".into());
    }
    let first_answer_ms = milliseconds(start.elapsed());
    let mut stages = pictures(&engine, &frame, plan)?;
    stages.extend(stream(&engine, &frame, plan)?);
    Ok(Measured { first_answer_ms, stages })
}

/// Each frame for itself, as photos are.
fn pictures(
    engine: &Engine,
    frame: &FrameView<'_>,
    plan: &Plan,
) -> Result<Vec<Stage>, Box<dyn Error>> {
    let (mut detect, mut align, mut classify, mut whole) = (vec![], vec![], vec![], vec![]);
    for index in 0..plan.frames + plan.frames / 10 {
        let start = Instant::now();
        let timings = engine.predict(frame)?.timings;
        if index < plan.frames / 10 {
            continue;
        }
        whole.push(milliseconds(start.elapsed()));
        detect.push(timings.detect_ms);
        align.push(timings.align_ms);
        classify.push(timings.classify_ms);
    }
    Ok(vec![
        Stage::new("picture: find faces", detect),
        Stage::new("picture: cut one face out", align),
        Stage::new("picture: expression and score", classify),
        Stage::new("picture: all", whole),
    ])
}

/// Frames of a camera, where a session follows the face between searches of the whole frame.
fn stream(
    engine: &Arc<Engine>,
    frame: &FrameView<'_>,
    plan: &Plan,
) -> Result<Vec<Stage>, Box<dyn Error>> {
    let mut session = Session::new(Arc::clone(engine), SessionOptions::default())?;
    let (mut searching, mut following) = (vec![], vec![]);
    for index in 0..plan.frames + plan.frames / 10 {
        let start = Instant::now();
        let searched = session.process(frame, Duration::from_millis(66) * index)?.searched;
        let took = milliseconds(start.elapsed());
        if index >= plan.frames / 10 {
            if searched { searching.push(took) } else { following.push(took) }
        }
    }
    Ok(vec![
        Stage::new("stream: frame that is searched", searching),
        Stage::new("stream: frame between searches", following),
    ])
}

/// The portrait's upper 480 rows in the middle of a gray frame of red, green, blue.
fn scene() -> Result<Vec<u8>, Box<dyn Error>> {
    let portrait = Photo::from_bytes(PORTRAIT)?.into_pixels();
    let margin = (WIDTH - portrait.width()) as usize / 2 * 3;
    let mut pixels = vec![128; ROW * HEIGHT as usize];
    let rows = portrait.as_raw().chunks_exact(portrait.width() as usize * 3);
    for (row, source) in pixels.chunks_exact_mut(ROW).zip(rows) {
        row[margin..margin + source.len()].copy_from_slice(source);
    }
    Ok(pixels)
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_times() {
        let stage = Stage::new("x", (0..=100).rev().map(f64::from).collect());
        assert_eq!((stage.minimum, stage.median, stage.most), (0.0, 50.0, 99.0));
    }
}
