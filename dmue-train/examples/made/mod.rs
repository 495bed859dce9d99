//! Made streams: what a camera does to a face that holds still.

use std::f32::consts::TAU;
use std::path::{Path, PathBuf};

use dmue_edge::face::align::FaceCrop;
use dmue_edge::model::{Inference, Model};
use dmue_train::data::dataset::Source;
use dmue_train::eval::crop_spec;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Frames a second.
pub const RATE: usize = 15;

/// The same values on every machine.
pub type Generator = ChaCha8Rng;

/// A frame's answer and whether its label is the face's.
pub struct Frame {
    /// What the network says.
    pub inference: Inference,
    /// The face's label, in the model's order.
    pub label: usize,
}

/// `--model FILE --data FACES --faces N`, all of them if not given, in a drawn order.
pub fn faces() -> Result<(Model, Source), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (mut model, mut data, mut count) = (None, PathBuf::from("ferplus_valid.parquet"), None);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or(format!("{name} needs a value"))?;
        match name.as_str() {
            "--model" => model = Some(Model::open(value)?),
            "--data" => data = value.into(),
            "--faces" => count = Some(value.parse()?),
            _ => return Err(format!("{name}: only --model, --data and --faces are known").into()),
        }
    }
    let model = match (model, dmue_edge::Engine::default_model()) {
        (Some(model), _) => model,
        (None, Some(bytes)) => Model::from_bytes(bytes)?,
        (None, None) => return Err("this build carries no model: name one with --model".into()),
    };
    let source = drawn(&model, &data, count.unwrap_or(usize::MAX))?;
    Ok((model, source))
}

fn drawn(model: &Model, data: &Path, count: usize) -> dmue_train::Result<Source> {
    let mut source = Source::open(data, crop_spec(model), false)?;
    source.drop_duplicates();
    source.samples.shuffle(&mut Generator::seed_from_u64(0));
    source.samples.truncate(count);
    Ok(source)
}

/// One camera: jitter of the crop, blur, exposure and noise that change from frame to frame.
pub struct Camera {
    generator: Generator,
    /// Where blur and exposure begin, 0..tau.
    phase: f32,
}

impl Camera {
    /// A camera whose every frame follows from `seed`.
    pub fn new(seed: u64) -> Self {
        let mut generator = Generator::seed_from_u64(seed);
        let phase = generator.random_range(0.0..TAU);
        Self { generator, phase }
    }

    /// The face as it is seen `time` seconds on. Standard deviations: 2 degrees, 3 % of the size, 2 %
    /// of the side; blur up to 0.8 pixels; exposure up to 25 % off; noise 6 of 255.
    pub fn see(&mut self, face: &FaceCrop, time: f32) -> FaceCrop {
        let shaken = self.shake(face);
        let swing = (0.5 + 0.5 * (0.9 * time + self.phase).sin() + 0.15 * self.normal()).max(0.0);
        let blurred = blur(&shaken, 0.8 * swing);
        let gain = 1.0 + 0.25 * (0.6 * time + 2.0 * self.phase).sin() + 0.03 * self.normal();
        let expose = |value: &u8| (f32::from(*value) * gain + 6.0 * self.normal()).round() as u8;
        FaceCrop { pixels: blurred.pixels.iter().map(expose).collect(), ..blurred }
    }

    fn shake(&mut self, face: &FaceCrop) -> FaceCrop {
        let size = face.size as f32;
        let angle = (2.0 * self.normal()).to_radians();
        let scale = 1.0 + 0.03 * self.normal();
        let (cos, sin) = (scale * angle.cos(), scale * angle.sin());
        let shift = [0.02 * size * self.normal(), 0.02 * size * self.normal()];
        let mut pixels = Vec::with_capacity(face.pixels.len());
        for y in 0..face.size {
            for x in 0..face.size {
                let (x, y) = (x as f32 - size / 2.0, y as f32 - size / 2.0);
                let x_from = cos * x - sin * y + size / 2.0 + shift[0];
                let y_from = sin * x + cos * y + size / 2.0 + shift[1];
                pixels.extend((0..face.channels).map(|c| interpolated(face, x_from, y_from, c)));
            }
        }
        FaceCrop { pixels, ..*face }
    }

    /// Standard normal (Box and Muller).
    fn normal(&mut self) -> f32 {
        let radius = (-2.0 * self.generator.random_range(1e-6_f32..1.0).ln()).sqrt();
        radius * (TAU * self.generator.random_range(0.0..1.0_f32)).cos()
    }
}

fn interpolated(face: &FaceCrop, x: f32, y: f32, channel: u32) -> u8 {
    let last = face.size - 1;
    let (x, y) = (x.clamp(0.0, last as f32), y.clamp(0.0, last as f32));
    let (left, top) = (x as u32, y as u32);
    let at = |x: u32, y: u32| {
        let index = (y.min(last) * face.size + x.min(last)) * face.channels + channel;
        f32::from(face.pixels[index as usize])
    };
    let row = |y| at(left, y) + (at(left + 1, y) - at(left, y)) * (x - left as f32);
    (row(top) + (row(top + 1) - row(top)) * (y - top as f32)).round() as u8
}

/// Three taps each way, of a variance of `sigma` squared pixels.
fn blur(face: &FaceCrop, sigma: f32) -> FaceCrop {
    let side = (sigma * sigma / 2.0).min(1.0 / 3.0);
    let step = face.channels as usize;
    let once = |pixels: &[u8], step: usize| -> Vec<u8> {
        let at = |index: Option<usize>, own: u8| {
            f32::from(index.and_then(|index| pixels.get(index)).copied().unwrap_or(own))
        };
        let mixed = |(i, &own): (usize, &u8)| {
            let beside = at(i.checked_sub(step), own) + at(i.checked_add(step), own);
            (f32::from(own) * (1.0 - 2.0 * side) + beside * side).round() as u8
        };
        pixels.iter().enumerate().map(mixed).collect()
    };
    let pixels = once(&once(&face.pixels, step), step * face.size as usize);
    FaceCrop { pixels, ..*face }
}

/// Every face of `source` seen for `frames` frames by a camera of its own.
pub fn streams(
    model: &Model,
    source: &Source,
    frames: usize,
) -> dmue_train::Result<Vec<Vec<Frame>>> {
    let classes = &model.manifest().classes;
    let place = |label: usize| classes.iter().position(|class| *class == source.classes[label]);
    let stream = |(seed, sample): (usize, &dmue_train::data::sample::Sample)| {
        let mut camera = Camera::new(seed as u64);
        let label = place(sample.label).unwrap_or(usize::MAX);
        let frame = |number| {
            let crop = camera.see(&sample.crop, number as f32 / RATE as f32);
            Ok(Frame { inference: model.infer(&crop)?, label })
        };
        (0..frames).map(frame).collect()
    };
    source.samples.iter().enumerate().map(stream).collect()
}
