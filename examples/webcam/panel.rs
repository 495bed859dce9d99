//! The panel beside the picture: how fast, and each face's probabilities.

use std::convert::Infallible;

use dmue_edge::{Answer, TrackedFace};
use embedded_graphics::mono_font::MonoFont;
use embedded_graphics::mono_font::iso_8859_1::{FONT_6X10, FONT_7X13, FONT_9X15_BOLD};
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::*;
use embedded_graphics::primitives::Rectangle;
use embedded_graphics::text::Alignment;

use crate::canvas::{BRIGHT, Canvas, DIM, LINE, track_colour};
use crate::moment::Moment;

const MARGIN: i32 = 14;
const ROW: i32 = 15;
/// Classes of a face, the most probable ones where the model has more.
const MOST_BARS: usize = 8;
/// Where bars begin and how long a certain one is.
const BARS_LEFT: i32 = 94;
const BARS_WIDTH: f32 = 106.0;
const NAME_LETTERS: usize = 10;

pub fn draw(canvas: &mut Canvas, area: &Rectangle, moment: &Moment<'_>) -> Result<(), Infallible> {
    let mut panel = Panel { canvas, area: *area, y: area.top_left.y + MARGIN };
    panel.speed(moment)?;
    let end = area.top_left.y + area.size.height as i32 - ROW - 4;
    let faces = &moment.result.faces;
    let mut left = faces.len();
    for face in faces {
        // One more row for "and N more".
        if panel.y + face_height(face) + ROW > end {
            break;
        }
        panel.face(moment, face)?;
        left -= 1;
    }
    match (faces.len(), left) {
        (0, _) => panel.row("no face in sight", DIM)?,
        (_, 0) => {}
        (_, left) => panel.row(&format!("and {left} more"), DIM)?,
    }
    panel.y = end;
    panel.text("bar: smoothed   tick: this picture", MARGIN, &FONT_6X10, DIM, Alignment::Left)
}

fn face_height(face: &TrackedFace) -> i32 {
    (2 + face.steadied_probabilities.len().min(MOST_BARS) as i32) * ROW + 22
}

struct Panel<'a> {
    canvas: &'a mut Canvas,
    area: Rectangle,
    /// Top of the next row.
    y: i32,
}

impl Panel<'_> {
    fn speed(&mut self, moment: &Moment<'_>) -> Result<(), Infallible> {
        let timings = moment.result.timings;
        let searched = if moment.result.searched { "whole picture" } else { "near last" };
        self.row(&format!("{:7.1} pictures/s", moment.history.rate()), BRIGHT)?;
        self.row(&format!("{:7.1} ms detect, {searched}", timings.detect_ms), BRIGHT)?;
        self.row(&format!("{:7.1} ms align", timings.align_ms), BRIGHT)?;
        self.row(&format!("{:7.1} ms classify", timings.classify_ms), BRIGHT)?;
        self.row(&format!("{:7.1} ms total", moment.total_ms), BRIGHT)?;
        self.y += 8;
        Ok(())
    }

    fn face(&mut self, moment: &Moment<'_>, face: &TrackedFace) -> Result<(), Infallible> {
        let colour = track_colour(face.track_id);
        self.fill(0, self.y - 4, self.area.size.width, 1, LINE)?;
        self.y += 4;
        let score = format!("{:.2}", face.steadied_score);
        let right = self.area.size.width as i32 - MARGIN;
        self.text(moment.label(face), MARGIN, &FONT_9X15_BOLD, colour, Alignment::Left)?;
        self.text(&score, right, &FONT_9X15_BOLD, colour, Alignment::Right)?;
        self.y += 17;
        let (id, age) = (face.track_id, face.age.as_secs_f64());
        self.row(&format!("face {id}, {age:.0} s; now {:.2}", face.prediction.score), DIM)?;
        for class in shown(&face.steadied_probabilities) {
            self.bar(moment, face, class)?;
        }
        self.y += 16;
        Ok(())
    }

    /// The track's smoothed probability of one class, with a tick at this picture's own.
    fn bar(
        &mut self,
        moment: &Moment<'_>,
        face: &TrackedFace,
        class: usize,
    ) -> Result<(), Infallible> {
        let of = |values: &[f32]| values.get(class).copied().unwrap_or(0.0).clamp(0.0, 1.0);
        let smoothed = of(&face.steadied_probabilities);
        let length = |probability: f32| (probability * BARS_WIDTH).round() as i32;
        let holds = face.steadied == Answer::Label(class);
        let colour = if holds { track_colour(face.track_id) } else { DIM };
        let name = moment.classes.get(class).map_or("?", String::as_str);
        let name: String = name.chars().take(NAME_LETTERS).collect();
        let text = if holds { BRIGHT } else { DIM };
        self.text(&name, BARS_LEFT - 8, &FONT_7X13, text, Alignment::Right)?;
        self.fill(BARS_LEFT, self.y + 2, BARS_WIDTH as u32, 9, LINE)?;
        self.fill(BARS_LEFT, self.y + 2, length(smoothed) as u32, 9, colour)?;
        let tick = BARS_LEFT + length(of(&face.prediction.probabilities)) - 1;
        self.fill(tick, self.y, 2, 13, BRIGHT)?;
        let per_cent = format!("{:.0} %", smoothed * 100.0);
        let right = self.area.size.width as i32 - MARGIN;
        self.text(&per_cent, right, &FONT_7X13, text, Alignment::Right)?;
        self.y += ROW;
        Ok(())
    }

    fn row(&mut self, text: &str, colour: Rgb888) -> Result<(), Infallible> {
        self.text(text, MARGIN, &FONT_7X13, colour, Alignment::Left)?;
        self.y += ROW;
        Ok(())
    }

    /// Text in the current row; `x` counts from the panel's left edge.
    fn text(
        &mut self,
        text: &str,
        x: i32,
        font: &MonoFont<'_>,
        colour: Rgb888,
        alignment: Alignment,
    ) -> Result<(), Infallible> {
        let corner = Point::new(self.area.top_left.x + x, self.y);
        self.canvas.text(text, corner, font, colour, alignment)
    }

    fn fill(
        &mut self,
        x: i32,
        y: i32,
        width: u32,
        height: u32,
        colour: Rgb888,
    ) -> Result<(), Infallible> {
        let corner = Point::new(self.area.top_left.x + x, y);
        self.canvas.fill_solid(&Rectangle::new(corner, Size::new(width, height)), colour)
    }
}

/// The most probable classes, in the model's order, so that bars stay where they are.
fn shown(probabilities: &[f32]) -> Vec<usize> {
    let of = |class: &usize| probabilities.get(*class).copied().unwrap_or(0.0);
    let mut classes: Vec<usize> = (0..probabilities.len()).collect();
    classes.sort_by(|a, b| of(b).total_cmp(&of(a)));
    classes.truncate(MOST_BARS);
    classes.sort_unstable();
    classes
}
