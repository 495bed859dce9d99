//! Faces pasted into frames, through detector and aligner: what the whole way costs beside the bare crop.

use std::path::Path;

use dmue_edge::Engine;
use dmue_edge::face::align::{FaceTemplate, Similarity};
use dmue_edge::face::{KnownFace, Landmarks};
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
    let mut rows = vec![];
    for side in SIDES {
        let mut outcomes = vec![];
        for (sample, bare) in source.samples.iter().zip(bare) {
            let mut frame = scenes.frame(generator)?;
            let place = place(&frame, sample, side, generator);
            paste(&mut frame, sample, &place);
            let label = &source.classes[sample.label];
            let found = outcome(&engine, frame, &place, sample.crop.size, label)?;
            outcomes.extend(found.map(|[whole, exact]| [whole, exact, bare.right()]));
        }
        rows.push(row(side, &outcomes, source.samples.len()));
    }
    Ok(Table {
        title: "Faces in a camera's frame".into(),
        note: format!(
            "{} faces a size, pasted with up to {TILT:.0} degrees of tilt into frames of 640x480 made of the photos' \
             parts without a face, and run through detector, aligner and network. The exact crop is cut out of the \
             same frame where the face was pasted: what it loses beside the bare crop, pasting costs (smoothed twice, \
             borders faded); what the whole way loses beside it, detector and aligner do. All of the same found faces. A face \
             without the head around it is hard for a detector.",
            source.samples.len()
        ),
        header: [
            "side",
            "found %",
            "accuracy of the found %",
            "of exact crops %",
            "of their bare crops %",
            "beside bare",
            "beside exact",
        ]
        .map(String::from)
        .to_vec(),
        rows,
    })
}

/// Whether the pasted face gets its label on the whole way, and cut out exactly; `None` where it is not found.
fn outcome(
    engine: &Engine,
    frame: RgbImage,
    place: &Similarity,
    size: u32,
    label: &str,
) -> Result<Option<[bool; 2]>> {
    let frame = Photo::from(frame);
    let frame = frame.view().map_err(dmue_edge::Error::from)?;
    let [centre_x, centre_y] = place.apply([size as f32 / 2.; 2]);
    let reach = place.a.hypot(place.b) * size as f32 / 3.;
    let whole = engine.predict(&frame)?.predictions.into_iter().find(|prediction| {
        prediction.face.is_some_and(|face| {
            let found = face.bounding_box;
            let [x, y] = [found.x + found.width / 2., found.y + found.height / 2.];
            (x - centre_x).abs() < reach && (y - centre_y).abs() < reach
        })
    });
    let Some(whole) = whole else { return Ok(None) };
    let template = &engine.model().manifest().input.template;
    let exact = engine.predict_faces(&frame, &[landmarks(template, place, size)])?;
    let exact = exact.predictions.iter().any(|prediction| prediction.label == label);
    Ok(Some([whole.label == label, exact]))
}

/// Where the points of a crop of this size lie in the frame.
fn landmarks(template: &FaceTemplate, place: &Similarity, size: u32) -> KnownFace {
    let point = |point: [f32; 2]| place.apply(point.map(|share| share * size as f32));
    let [right_eye, left_eye] = [template.right_eye, template.left_eye].map(point);
    let (nose, mouth) = (point(template.nose), point(template.mouth));
    // The ears are not looked at.
    let (right_ear, left_ear) = (right_eye, left_eye);
    KnownFace::Landmarks(Landmarks { right_eye, left_eye, nose, mouth, right_ear, left_ear })
}

/// Of the faces that were found of `faces`: right on the whole way, cut out exactly, bare.
fn row(side: u32, outcomes: &[[bool; 3]], faces: usize) -> Vec<String> {
    let share = |part: usize, of: usize| 100. * part as f64 / of as f64;
    let right = |place: usize| outcomes.iter().filter(|outcome| outcome[place]).count();
    let [whole, exact, bare] = [0, 1, 2].map(|place| share(right(place), outcomes.len()));
    let found = format!("{:.1}", share(outcomes.len(), faces));
    let shares = [whole, exact, bare].map(|share| format!("{share:.1}"));
    let differences = [whole - bare, whole - exact].map(|points| format!("{points:+.1}"));
    [side.to_string(), found].into_iter().chain(shares).chain(differences).collect()
}

/// A random place for the face: from pixels of its crop to those of the frame.
fn place(frame: &RgbImage, sample: &Sample, side: u32, generator: &mut ChaCha8Rng) -> Similarity {
    let half = f64::from(side) * 0.5;
    // Room for the tilted corners.
    let reach = half * 1.2;
    let mut place = |length: u32| generator.random_range(reach..f64::from(length) - reach);
    let (centre_x, centre_y) = (place(frame.width()), place(frame.height()));
    let angle = (TILT * (2. * generator.random::<f64>() - 1.)).to_radians();
    let (sine, cosine) = angle.sin_cos();
    let scale = f64::from(side) / f64::from(sample.crop.size);
    let shift = [centre_x - half * (cosine - sine), centre_y - half * (sine + cosine)];
    let [a, b] = [scale * cosine, scale * sine].map(|value| value as f32);
    Similarity { a, b, shift: shift.map(|value| value as f32) }
}

/// Draws the face into the frame.
fn paste(frame: &mut RgbImage, sample: &Sample, place: &Similarity) {
    let [a, b] = [place.a, place.b].map(f64::from);
    let [left, top] = place.shift.map(f64::from);
    let (area, size) = (a * a + b * b, f64::from(sample.crop.size));
    for (x, y, pixel) in frame.enumerate_pixels_mut() {
        let (dx, dy) = (f64::from(x) + 0.5 - left, f64::from(y) + 0.5 - top);
        let (u, v) = ((a * dx + b * dy) / area, (a * dy - b * dx) / area);
        let edge = u.min(v).min(size - u).min(size - v);
        if edge <= 0. {
            continue;
        }
        let opacity = (edge / (FADE * size)).min(1.);
        let face = sampled(sample, u - 0.5, v - 0.5);
        let Rgb(behind) = *pixel;
        let mixed = |channel: usize| {
            (opacity * face[channel] + (1. - opacity) * f64::from(behind[channel])).round() as u8
        };
        *pixel = Rgb([mixed(0), mixed(1), mixed(2)]);
    }
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
