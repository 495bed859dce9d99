//! All that is known about one picture, as the window, the terminal and the record show it.

use dmue_edge::{Answer, SessionResult, TrackedFace};

use crate::history::History;
use crate::source::Picture;

/// One picture and what was said about it.
pub struct Moment<'a> {
    pub picture: &'a Picture,
    pub result: &'a SessionResult,
    /// Wall time of the library call, in milliseconds.
    pub total_ms: f64,
    /// Names in the order of the model's classes.
    pub classes: &'a [String],
    /// Below this score an answer is `Unsure`; none without `--tolerated-error`.
    pub threshold: Option<f64>,
    pub history: &'a History,
}

impl Moment<'_> {
    /// The steadied label, or `unsure`.
    pub fn label(&self, face: &TrackedFace) -> &str {
        match face.steadied {
            Answer::Label(class) => self.classes.get(class).map_or("?", String::as_str),
            Answer::Unsure => "unsure",
        }
    }
}
