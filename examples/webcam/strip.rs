//! The strip below the picture: each face's uncertainty over the last seconds.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use embedded_graphics::mono_font::iso_8859_1::FONT_6X10;
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::*;
use embedded_graphics::primitives::{Line, PrimitiveStyle, Rectangle};
use embedded_graphics::text::Alignment;

use crate::canvas::{BRIGHT, Canvas, DIM, LINE, track_colour};
use crate::history::{SPAN, Sample};
use crate::moment::Moment;

const MARGIN: i32 = 14;
const TITLE_HEIGHT: i32 = 16;
/// Room for the axis' numbers.
const NUMBERS: i32 = 24;
/// A face that was out of sight for longer leaves a gap.
const GAP: Duration = Duration::from_secs(1);

pub fn draw(canvas: &mut Canvas, area: &Rectangle, moment: &Moment<'_>) -> Result<(), Infallible> {
    let axes = Axes::new(area, moment.picture.time);
    let corner = area.top_left + Point::new(MARGIN, 4);
    let title = format!(
        "uncertainty (1 - score), last {} s: line smoothed, dots each picture",
        SPAN.as_secs()
    );
    canvas.text(&title, corner, &FONT_6X10, DIM, Alignment::Left)?;
    for value in [0.0, 0.5, 1.0] {
        axes.level(canvas, value, LINE)?;
        let corner = Point::new(axes.right + NUMBERS, axes.y(value) - 5);
        canvas.text(&format!("{value}"), corner, &FONT_6X10, DIM, Alignment::Right)?;
    }
    if let Some(threshold) = moment.threshold {
        let level = 1.0 - threshold as f32;
        axes.level(canvas, level, BRIGHT)?;
        let corner = Point::new(axes.left + 2, axes.y(level) - 10);
        canvas.text("unsure above", corner, &FONT_6X10, BRIGHT, Alignment::Left)?;
    }
    draw_samples(canvas, &axes, moment)
}

fn draw_samples(canvas: &mut Canvas, axes: &Axes, moment: &Moment<'_>) -> Result<(), Infallible> {
    let mut last: BTreeMap<u64, &Sample> = BTreeMap::new();
    for sample in moment.history.samples() {
        let colour = track_colour(sample.track_id);
        let dot = Rectangle::with_center(axes.point(sample.time, sample.raw), Size::new(2, 2));
        canvas.fill_solid(&dot, faded(colour))?;
        let before = last.insert(sample.track_id, sample);
        if let Some(before) = before.filter(|before| sample.time.saturating_sub(before.time) < GAP)
        {
            let start = axes.point(before.time, before.steadied);
            let end = axes.point(sample.time, sample.steadied);
            let style = PrimitiveStyle::with_stroke(colour, 2);
            Line::new(start, end).into_styled(style).draw(canvas)?;
        }
    }
    Ok(())
}

fn faded(colour: Rgb888) -> Rgb888 {
    let half = |bright: u8| bright / 2 + 20;
    Rgb888::new(half(colour.r()), half(colour.g()), half(colour.b()))
}

/// Time to the right, now at the right edge; uncertainty upwards, 0..=1.
struct Axes {
    left: i32,
    right: i32,
    top: i32,
    bottom: i32,
    now: Duration,
}

impl Axes {
    fn new(area: &Rectangle, now: Duration) -> Self {
        let (Point { x, y }, Size { width, height }) = (area.top_left, area.size);
        Self {
            left: x + MARGIN,
            right: x + width as i32 - MARGIN - NUMBERS,
            top: y + TITLE_HEIGHT + 4,
            bottom: y + height as i32 - 10,
            now,
        }
    }

    fn y(&self, uncertainty: f32) -> i32 {
        let height = (self.bottom - self.top) as f32;
        self.bottom - (uncertainty.clamp(0.0, 1.0) * height).round() as i32
    }

    fn point(&self, time: Duration, uncertainty: f32) -> Point {
        let ago = self.now.saturating_sub(time).as_secs_f32() / SPAN.as_secs_f32();
        let width = (self.right - self.left) as f32;
        Point::new(self.right - (ago.min(1.0) * width).round() as i32, self.y(uncertainty))
    }

    fn level(
        &self,
        canvas: &mut Canvas,
        uncertainty: f32,
        colour: Rgb888,
    ) -> Result<(), Infallible> {
        let corner = Point::new(self.left, self.y(uncertainty));
        let size = Size::new((self.right - self.left) as u32, 1);
        canvas.fill_solid(&Rectangle::new(corner, size), colour)
    }
}
