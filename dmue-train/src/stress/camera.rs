//! Faces pasted into frames, through detector and aligner: what the whole way costs beside the bare crop.

use std::path::Path;

use dmue_edge::Engine;
use dmue_edge::photo::Photo;
use image::{Rgb, RgbImage};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::backgrounds::Scenes;
use crate::data::dataset::Source;
use crate::data::sample::Sample;
use crate::error::Result;
use crate::metrics::Answer;
use crate::report::page::Table;

/// Sides of the pasted faces in pixels.
const SIDES: [u32; 7] = [48, 64, 96, 128, 192, 240, 300];
/// Faces of each size.
const MOST_FACES: usize = 600;
/// Degrees of rotation, either way.
const TILT: f64 = 10.;
/// Share of the side over which a face fades into what is behind it.
const FADE: f64 = 0.06;

/// Pastes faces of `source` at several sizes, tilted, into frames of `scenes`, and runs the engine on each. `bare` are the
/// answers about the bare crops.
///
/// # Errors
/// An engine that does not open, photos full of faces.
pub fn measure(
    file: &Path,
    source: &Source,
    bare: &[Answer],
    scenes: &Scenes,
    generator: &mut ChaCha8Rng,
) -> Result<Table> {
    let engine = Engine::builder().model_file(file).build()?;
    let classes = &source.classes;
    let samples = &source.samples[..source.samples.len().min(MOST_FACES)];
    let mut rows = vec![];
    for side in SIDES {
        let (mut found, mut right, mut right_bare) = (0usize, 0usize, 0usize);
        for (sample, bare) in samples.iter().zip(bare) {
            let mut frame = scenes.frame(generator)?;
            let centre = paste(&mut frame, sample, side, generator);
            let frame = Photo::from(frame);
            let frame = frame.view().map_err(dmue_edge::Error::from)?;
            let result = engine.predict(&frame)?;
            let label = result.predictions.iter().find(|prediction| {
                prediction.face.is_some_and(|face| {
                    let place = face.bounding_box;
                    let [x, y] = [place.x + place.width / 2., place.y + place.height / 2.];
                    let reach = side as f32 / 3.;
                    (x - centre[0]).abs() < reach && (y - centre[1]).abs() < reach
                })
            });
            if let Some(prediction) = label {
                found += 1;
                right += usize::from(prediction.label == classes[sample.label]);
                right_bare += usize::from(bare.right());
            }
        }
        let share = |part: usize, of: usize| 100. * part as f64 / of as f64;
        let (whole, crop) = (share(right, found), share(right_bare, found));
        rows.push(vec![
            side.to_string(),
            format!("{:.1}", share(found, samples.len())),
            format!("{whole:.1}"),
            format!("{crop:.1}"),
            format!("{:+.1}", whole - crop),
        ]);
    }
    Ok(Table {
        title: "Faces in a camera's frame".into(),
        note: format!(
            "{} faces a size, pasted with up to {TILT:.0} degrees of tilt into frames of 640x480 made of the photos' \
             parts without a face, and run through detector, aligner and network. The bare crop's accuracy is that of \
             the same found faces. A face without the head around it is hard for a detector.",
            samples.len()
        ),
        header: [
            "side",
            "found %",
            "accuracy of the found %",
            "of their bare crops %",
            "difference",
        ]
        .map(String::from)
        .to_vec(),
        rows,
    })
}

/// Draws the face into the frame at a random place; returns its centre.
fn paste(frame: &mut RgbImage, sample: &Sample, side: u32, generator: &mut ChaCha8Rng) -> [f32; 2] {
    let half = f64::from(side) * 0.5;
    // Room for the tilted corners.
    let reach = half * 1.2;
    let mut place = |length: u32| generator.random_range(reach..f64::from(length) - reach);
    let (centre_x, centre_y) = (place(frame.width()), place(frame.height()));
    let angle = (TILT * (2. * generator.random::<f64>() - 1.)).to_radians();
    let (sine, cosine) = angle.sin_cos();
    let scale = f64::from(sample.crop.size) / f64::from(side);
    for (x, y, pixel) in frame.enumerate_pixels_mut() {
        let (dx, dy) = (f64::from(x) + 0.5 - centre_x, f64::from(y) + 0.5 - centre_y);
        let (u, v) = (cosine * dx + sine * dy, cosine * dy - sine * dx);
        let edge = half - u.abs().max(v.abs());
        if edge <= 0. {
            continue;
        }
        let opacity = (edge / (FADE * f64::from(side))).min(1.);
        let face = sampled(sample, (u + half) * scale - 0.5, (v + half) * scale - 0.5);
        let Rgb(behind) = *pixel;
        let mixed = |channel: usize| {
            (opacity * face[channel] + (1. - opacity) * f64::from(behind[channel])).round() as u8
        };
        *pixel = Rgb([mixed(0), mixed(1), mixed(2)]);
    }
    [centre_x as f32, centre_y as f32]
}

/// Red, green, blue of a crop between its pixels, linearly interpolated, the border repeated.
fn sampled(sample: &Sample, x: f64, y: f64) -> [f64; 3] {
    let crop = &sample.crop;
    let last = f64::from(crop.size - 1);
    let (x, y) = (x.clamp(0., last), y.clamp(0., last));
    let (left, top) = (x.floor(), y.floor());
    let at = |row: f64, column: f64, channel: usize| {
        let (row, column) = (row.min(last) as usize, column.min(last) as usize);
        let channels = crop.channels as usize;
        let start = (row * crop.size as usize + column) * channels;
        f64::from(crop.pixels[start + channel.min(channels - 1)])
    };
    let (right_share, low_share) = (x - left, y - top);
    [0, 1, 2].map(|channel| {
        let row = |row: f64| {
            at(row, left, channel) * (1. - right_share) + at(row, left + 1., channel) * right_share
        };
        row(top) * (1. - low_share) + row(top + 1.) * low_share
    })
}
