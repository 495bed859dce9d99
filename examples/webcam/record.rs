//! `--record`: what was said about each picture as one JSON object on one line, written as soon as it
//! is known, so that whatever ends the program leaves whole lines.
//!
//! | field | what |
//! |---|---|
//! | `time` | seconds since the stream began |
//! | `width`, `height` | of the picture, in pixels |
//! | `searched` | whether the whole picture was searched for faces |
//! | `timings_ms` | `detect`, `align`, `classify`, all faces together, and `total` of the library call |
//! | `faces` | one object per face in sight, by ascending `id` |
//! | `faces[].id` | the same for the same face from picture to picture |
//! | `faces[].age` | seconds since the face was first seen |
//! | `faces[].box` | `x`, `y`, `width`, `height` in pixels |
//! | `faces[].detection_score` | how sure the detector is, 0..1 |
//! | `faces[].label`, `score`, `probabilities` | this picture alone, as `dmue predict --json` has them |
//! | `faces[].unsure` | whether `score` is below what `--tolerated-error` asks for |
//! | `faces[].window_score` | the score from the window of this face's pictures |
//! | `faces[].steadied` | the label that holds without flicker; `null` where unsure |
//! | `faces[].steadied_score`, `steadied_probabilities` | what it is made from |

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use dmue_edge::face::FaceBox;
use dmue_edge::{Answer, TrackedFace};
use serde::{Serialize, Serializer};

use crate::moment::Moment;

/// A file that grows by one line a picture; one of an earlier run is replaced.
pub struct Recorder(File);

impl Recorder {
    /// Starts the file.
    pub fn create(path: &Path) -> io::Result<Self> {
        let named = |error: io::Error| {
            io::Error::new(error.kind(), format!("--record {}: {error}", path.display()))
        };
        File::create(path).map(Self).map_err(named)
    }

    /// Adds a line in one go.
    pub fn write(&mut self, moment: &Moment<'_>) -> io::Result<()> {
        self.0.write_all(line(moment)?.as_bytes())
    }
}

fn line(moment: &Moment<'_>) -> serde_json::Result<String> {
    let timings = moment.result.timings;
    let line = Line {
        time: moment.picture.time.as_secs_f64(),
        width: moment.picture.width,
        height: moment.picture.height,
        searched: moment.result.searched,
        timings_ms: BTreeMap::from([
            ("detect", timings.detect_ms),
            ("align", timings.align_ms),
            ("classify", timings.classify_ms),
            ("total", moment.total_ms),
        ]),
        faces: moment.result.faces.iter().map(|face| Face::new(face, moment.classes)).collect(),
    };
    serde_json::to_string(&line).map(|line| line + "\n")
}

#[derive(Serialize)]
struct Line<'a> {
    time: f64,
    width: u32,
    height: u32,
    searched: bool,
    timings_ms: BTreeMap<&'a str, f64>,
    faces: Vec<Face<'a>>,
}

#[derive(Serialize)]
struct Face<'a> {
    id: u64,
    age: f64,
    #[serde(rename = "box")]
    bounding_box: FaceBox,
    detection_score: f32,
    label: &'a str,
    score: f32,
    unsure: bool,
    probabilities: Probabilities<'a>,
    window_score: f32,
    steadied: Option<&'a str>,
    steadied_score: f32,
    steadied_probabilities: Probabilities<'a>,
}

impl<'a> Face<'a> {
    fn new(face: &'a TrackedFace, classes: &'a [String]) -> Self {
        let steadied = match face.steadied {
            Answer::Label(class) => classes.get(class).map(String::as_str),
            Answer::Unsure => None,
        };
        Self {
            id: face.track_id,
            age: face.age.as_secs_f64(),
            bounding_box: face.face.bounding_box,
            detection_score: face.face.detection_score,
            label: &face.prediction.label,
            score: face.prediction.score,
            unsure: face.answer == Answer::Unsure,
            probabilities: Probabilities { classes, values: &face.prediction.probabilities },
            window_score: face.window_score,
            steadied,
            steadied_score: face.steadied_score,
            steadied_probabilities: Probabilities { classes, values: &face.steadied_probabilities },
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
        serializer.collect_map(self.classes.iter().zip(self.values))
    }
}
