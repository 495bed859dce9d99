//! The answer about one image as one JSON object on one line. The field names are stable.
//!
//! | field | what |
//! |---|---|
//! | `file` | the path as given or found |
//! | `width`, `height` | of the upright image, in pixels |
//! | `model` | the model's name |
//! | `faces` | one object per face, the most confidently detected first |
//! | `faces[].label` | the most probable class |
//! | `faces[].score` | estimated probability that the label is right, 0..1 |
//! | `faces[].unsure` | only with `--tolerated-error`: whether `score` is below what that asks for |
//! | `faces[].probabilities` | class name to probability, in the model's order; they add up to 1 |
//! | `faces[].detection_score` | how sure the detector is, 0..1; `null` with `--cropped` |
//! | `faces[].box` | `x`, `y`, `width`, `height` in pixels; `null` with `--cropped` |
//! | `faces[].landmarks` | `right_eye`, `left_eye`, `nose`, `mouth`, `right_ear`, `left_ear`, each `[x, y]` in pixels, right and left the person's own; `null` with `--cropped` |
//! | `timings_ms` | `decode`, `detect`, `align`, `classify`: wall time of each stage, all faces together |
//!
//! `--outputs` adds to each face what the network itself gave:
//!
//! | field | what |
//! |---|---|
//! | `faces[].logits` | one number per class before softmax, in the order of `probabilities` |
//! | `faces[].feature` | the feature vector that the uncertainty is computed from |
//! | `faces[].alpha` | the DMUE paper's confidence of the label, 0..1, for comparison with `score` |
//!
//! An image that could not be read gives an object of `file` and `error`.

use std::path::Path;

use dmue_edge::engine::{FrameResult, Prediction};
use dmue_edge::face::{FaceBox, Landmarks};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::predict::{Answer, is_unsure};

/// One line, without the line break; `outputs` adds what the network itself gave.
pub fn line(answer: &Answer<'_>, outputs: bool) -> serde_json::Result<String> {
    serde_json::to_string(&Image::new(answer, outputs))
}

/// One line about a file that could not be read.
pub fn error_line(file: &Path, error: &str) -> serde_json::Result<String> {
    serde_json::to_string(&Unreadable { file: file.to_string_lossy().into_owned(), error })
}

#[derive(Serialize)]
struct Unreadable<'a> {
    file: String,
    error: &'a str,
}

#[derive(Serialize)]
struct Image<'a> {
    file: String,
    width: u32,
    height: u32,
    model: &'a str,
    faces: Vec<Face<'a>>,
    timings_ms: TimingsMs,
}

#[derive(Serialize)]
struct Face<'a> {
    label: &'a str,
    score: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    unsure: Option<bool>,
    probabilities: Probabilities<'a>,
    detection_score: Option<f32>,
    #[serde(rename = "box")]
    bounding_box: Option<FaceBox>,
    landmarks: Option<Landmarks>,
    #[serde(flatten)]
    outputs: Option<Outputs<'a>>,
}

#[derive(Serialize)]
struct Outputs<'a> {
    logits: &'a [f32],
    feature: &'a [f32],
    alpha: f32,
}

#[derive(Serialize)]
struct TimingsMs {
    decode: f64,
    detect: f64,
    align: f64,
    classify: f64,
}

impl<'a> Image<'a> {
    fn new(answer: &'a Answer<'a>, outputs: bool) -> Self {
        let FrameResult { predictions, timings } = answer.result;
        Self {
            file: answer.file.to_string_lossy().into_owned(),
            width: answer.width,
            height: answer.height,
            model: answer.model,
            faces: predictions.iter().map(|p| Face::new(p, answer, outputs)).collect(),
            timings_ms: TimingsMs {
                decode: answer.decode_ms,
                detect: timings.detect_ms,
                align: timings.align_ms,
                classify: timings.classify_ms,
            },
        }
    }
}

impl<'a> Face<'a> {
    fn new(prediction: &'a Prediction, answer: &'a Answer<'a>, outputs: bool) -> Self {
        let classes = answer.classes;
        let Prediction { logits, feature, alpha, .. } = prediction;
        Self {
            label: &prediction.label,
            score: prediction.score,
            unsure: answer.threshold.map(|threshold| is_unsure(prediction, threshold)),
            probabilities: Probabilities { classes, values: &prediction.probabilities },
            detection_score: prediction.face.map(|face| face.detection_score),
            bounding_box: prediction.face.map(|face| face.bounding_box),
            landmarks: prediction.face.map(|face| face.landmarks),
            outputs: outputs.then_some(Outputs { logits, feature, alpha: *alpha }),
        }
    }
}

/// A JSON object that keeps the order of the model's classes.
struct Probabilities<'a> {
    classes: &'a [String],
    values: &'a [f32],
}

impl Serialize for Probabilities<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.classes.len()))?;
        for (class, value) in self.classes.iter().zip(self.values) {
            map.serialize_entry(class, value)?;
        }
        map.end()
    }
}
