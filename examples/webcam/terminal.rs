//! `--terminal`: text for a board without a screen. On a terminal one block that is written over and
//! over, else (into a file or a pipe) one line a picture and face.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Stdout, Write as _, stdout};

use dmue_edge::TrackedFace;

use crate::Screen;
use crate::moment::Moment;
use crate::source::Failure;

/// Letters of a bar, and pictures of the uncertainty's history.
const BAR: usize = 12;
const PAST: usize = 24;
/// Faces of a block, which must fit on a screen of 24 lines.
const MOST_FACES: usize = 6;

/// Standard output.
pub struct Terminal {
    output: Stdout,
    live: bool,
    /// Lines of the block that stands there.
    lines: usize,
}

impl Terminal {
    pub fn new() -> Self {
        let output = stdout();
        let live = output.is_terminal();
        Self { output, live, lines: 0 }
    }
}

impl Screen for Terminal {
    fn show(&mut self, moment: &Moment<'_>) -> Result<(), Failure> {
        let text = if self.live { block(moment) } else { log(moment) };
        // Up over the last block, then clear to the end of the screen.
        let back = match (self.live, self.lines) {
            (true, lines @ 1..) => format!("\x1b[{lines}A\x1b[J"),
            _ => String::new(),
        };
        self.lines = text.lines().count();
        match self.output.write_all((back + &text).as_bytes()).and_then(|()| self.output.flush()) {
            // The reader (head, less) has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
            written => Ok(written?),
        }
    }
}

/// One line a face.
fn log(moment: &Moment<'_>) -> String {
    let time = moment.picture.time.as_secs_f64();
    let lines = moment.result.faces.iter().map(|face| {
        let (id, label, score) = (face.track_id, moment.label(face), face.steadied_score);
        format!("{time:.3} s: face {id}: {label}, score {score:.2}\n")
    });
    lines.collect()
}

/// At most 79 columns wide, so that no line wraps and the way back up is known.
fn block(moment: &Moment<'_>) -> String {
    let (timings, time) = (moment.result.timings, moment.picture.time.as_secs_f64());
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{time:8.1} s {:6.1} pictures/s   detect {:.1}, align {:.1}, classify {:.1} ms",
        moment.history.rate(),
        timings.detect_ms,
        timings.align_ms,
        timings.classify_ms
    );
    let faces = &moment.result.faces;
    for face in faces.iter().take(MOST_FACES) {
        text += &face_lines(moment, face);
    }
    match faces.len() {
        0 => text += "no face in sight\n",
        count if count > MOST_FACES => {
            let _ = writeln!(text, "and {} more", count - MOST_FACES);
        }
        _ => {}
    }
    text
}

fn face_lines(moment: &Moment<'_>, face: &TrackedFace) -> String {
    let label: String = moment.label(face).chars().take(12).collect();
    let (id, score) = (face.track_id, face.steadied_score);
    let (bar, past) = (bar(score), past(moment, id));
    let first = format!("face {id:<3} {label:12} {score:.2} {bar} uncertainty {past}\n");
    let probabilities = &face.steadied_probabilities;
    let mut classes: Vec<_> = moment.classes.iter().zip(probabilities).collect();
    classes.sort_by(|a, b| b.1.total_cmp(a.1));
    let words = classes.iter().take(3).map(|(class, probability)| {
        let class: String = class.chars().take(12).collect();
        format!("{class} {:.0} %", *probability * 100.0)
    });
    let second = words.collect::<Vec<_>>().join(", ");
    format!("{first}         {second}\n")
}

fn bar(share: f32) -> String {
    let full = ((share.clamp(0.0, 1.0) * BAR as f32).round() as usize).min(BAR);
    "█".repeat(full) + &"░".repeat(BAR - full)
}

/// The last pictures' uncertainty of one face, the latest at the right.
fn past(moment: &Moment<'_>, track_id: u64) -> String {
    let samples = moment.history.samples().rev().filter(|sample| sample.track_id == track_id);
    let levels: Vec<char> = samples.take(PAST).map(|sample| level(sample.steadied)).collect();
    levels.into_iter().rev().collect()
}

fn level(share: f32) -> char {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let index = (share.clamp(0.0, 1.0) * 7.99) as usize;
    LEVELS.get(index).copied().unwrap_or('█')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_and_levels_span_the_whole_range() {
        assert_eq!(bar(0.0), "░".repeat(BAR));
        assert_eq!(bar(1.0), "█".repeat(BAR));
        assert_eq!(bar(f32::NAN).chars().count(), BAR);
        assert_eq!([0.0, 0.5, 1.0].map(level), ['▁', '▄', '█']);
    }
}
