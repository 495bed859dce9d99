//! How often answers change although nobody does: photos seen by a shaking, noisy camera, through a
//! whole session. Every change of an answer is a fault here.
//!
//! ```text
//! cargo run --release --package dmue-examples --example flicker -- examples/images/astronaut.png
//! ```
#![allow(clippy::print_stdout, reason = "a program may print")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dmue_edge::{Answer, Engine, FrameView, Photo, PixelFormat, Session, SessionOptions};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Frames a second, and how many.
const RATE: u32 = 15;
const FRAMES: u32 = 20 * RATE;
/// The frame is smaller than the photo by this many pixels on each side, to shake in.
const MARGIN: u32 = 6;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Arc::new(Engine::builder().build()?);
    println!(
        "{:30} {:>5} {:>6} {:>24} {:>14}",
        "photo", "faces", "tracks", "changes/min raw, steady", "ms, searching"
    );
    for path in std::env::args_os().skip(1) {
        let photo = Photo::open(&path)?;
        let seen = watch(&engine, &photo)?;
        println!("{:30} {seen}", path.to_string_lossy());
    }
    Ok(())
}

/// What came of one photo.
#[derive(Default)]
struct Seen {
    /// Frames times faces.
    sightings: usize,
    raw_changes: usize,
    steadied_changes: usize,
    /// Last raw and steadied answer of each track.
    last: BTreeMap<u64, (Answer, Answer)>,
    /// Milliseconds of frames that were searched as a whole, and of the others.
    searched: Vec<f64>,
    followed: Vec<f64>,
}

fn watch(engine: &Arc<Engine>, photo: &Photo) -> Result<Seen, Box<dyn std::error::Error>> {
    let mut options = SessionOptions::default();
    options.tracking.maximum_faces = 100;
    let mut session = Session::new(Arc::clone(engine), options)?;
    let view = photo.view()?;
    let mut seen = Seen::default();
    for number in 0..FRAMES {
        let (bytes, width, height) = shoot(&view, number);
        let frame = FrameView::new(&bytes, width, height, width as usize * 3, PixelFormat::Rgb24)?;
        let start = Instant::now();
        let result = session.process(&frame, Duration::from_secs(1) * number / RATE)?;
        let took = start.elapsed().as_secs_f64() * 1e3;
        let times = if result.searched { &mut seen.searched } else { &mut seen.followed };
        times.push(took);
        for face in result.faces {
            let now = (face.answer, face.steadied);
            let before = seen.last.insert(face.track_id, now).unwrap_or(now);
            seen.raw_changes += usize::from(before.0 != now.0);
            seen.steadied_changes += usize::from(before.1 != now.1);
            seen.sightings += 1;
        }
    }
    Ok(seen)
}

/// One frame: shaken by up to 6 pixels, exposed by up to 25 % off, half of the frames blurred by their
/// neighbours, noise of up to 12 of 255.
fn shoot(photo: &FrameView<'_>, number: u32) -> (Vec<u8>, u32, u32) {
    let mut generator = ChaCha8Rng::seed_from_u64(u64::from(number));
    let width = photo.width().saturating_sub(2 * MARGIN).max(1);
    let height = photo.height().saturating_sub(2 * MARGIN).max(1);
    let shift = [0, 1].map(|_| generator.random_range(0..=2 * MARGIN));
    let time = number as f32 / RATE as f32;
    let gain = 1.0 + 0.25 * (0.6 * time).sin() + generator.random_range(-0.05..0.05);
    let reach = generator.random_range(0..=1);
    let mut bytes = Vec::with_capacity(width as usize * height as usize * 3);
    for y in 0..height {
        for x in 0..width {
            let (x, y) = (x + shift[0], y + shift[1]);
            let (one, two) = (photo.rgb(x, y), photo.rgb(x + reach, y + reach));
            let noise: f32 = generator.random_range(-12.0..12.0);
            bytes.extend([0, 1, 2].map(|c| {
                let mean = (f32::from(one[c]) + f32::from(two[c])) / 2.0;
                (mean * gain + noise).round() as u8
            }));
        }
    }
    (bytes, width, height)
}

impl std::fmt::Display for Seen {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let minutes = self.sightings as f64 / f64::from(60 * RATE);
        let faces = self.sightings as f64 / f64::from(FRAMES);
        let [raw, steadied] =
            [self.raw_changes, self.steadied_changes].map(|changes| changes as f64 / minutes);
        let mean = |times: &[f64]| times.iter().sum::<f64>() / times.len().max(1) as f64;
        let (followed, searched) = (mean(&self.followed), mean(&self.searched));
        let tracks = self.last.len();
        write!(
            out,
            "{faces:5.1} {tracks:6} {raw:15.1} {steadied:8.1} {followed:8.1} {searched:5.1}"
        )
    }
}
