//! The window's content: the picture with its faces, a panel beside it, a strip below.

use std::convert::Infallible;

use dmue_edge::face::FaceBox;
use dmue_edge::{FrameView, TrackedFace};
use embedded_graphics::mono_font::iso_8859_1::FONT_7X13_BOLD;
use embedded_graphics::mono_font::{MonoTextStyle, MonoTextStyleBuilder};
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::*;
use embedded_graphics::primitives::{PrimitiveStyle, Rectangle};
use embedded_graphics::text::{Baseline, Text};

use crate::canvas::{BACKGROUND, Canvas, packed, track_colour};
use crate::moment::Moment;
use crate::{panel, strip};

/// A larger picture is shrunk to this, a smaller one grows by a whole factor up to it.
const MOST: Size = Size::new(960, 720);
/// So that panel and strip have room.
const LEAST: Size = Size::new(640, 480);
const PANEL_WIDTH: u32 = 264;
const STRIP_HEIGHT: u32 = 112;

/// Where things are; the first picture decides.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    picture: Rectangle,
    panel: Rectangle,
    strip: Rectangle,
}

impl Layout {
    /// For pictures of this size; others are fitted in.
    pub fn new(picture: Size) -> Self {
        let size = fit(picture, MOST).component_max(LEAST);
        let panel =
            Rectangle::new(Point::new(size.width as i32, 0), Size::new(PANEL_WIDTH, size.height));
        let corner = Point::new(0, size.height as i32);
        let strip = Rectangle::new(corner, Size::new(size.width + PANEL_WIDTH, STRIP_HEIGHT));
        Self { picture: Rectangle::new(Point::zero(), size), panel, strip }
    }

    /// Of the window's content.
    pub fn size(&self) -> Size {
        self.picture.size + Size::new(PANEL_WIDTH, STRIP_HEIGHT)
    }
}

/// The size at which a picture is shown in `room`.
fn fit(picture: Size, room: Size) -> Size {
    let ratio = |room: u32, side: u32| f64::from(room) / f64::from(side.max(1));
    let factor = ratio(room.width, picture.width).min(ratio(room.height, picture.height));
    // A whole factor keeps the pixels of small pictures alike.
    let factor = if factor > 1.0 { factor.floor() } else { factor };
    let scaled = |side: u32| ((f64::from(side) * factor).round() as u32).max(1);
    Size::new(scaled(picture.width), scaled(picture.height))
}

/// Draws everything anew.
pub fn draw(canvas: &mut Canvas, layout: &Layout, moment: &Moment<'_>) {
    let Ok(()) = canvas.clear(BACKGROUND);
    if let Ok(view) = moment.picture.view() {
        let place = paint(canvas, &layout.picture, &view);
        let mut labels = Vec::new();
        for face in &moment.result.faces {
            let Ok(label) = draw_face(canvas, &layout.picture, &place, moment, face, &labels);
            labels.push(label);
        }
    }
    let Ok(()) = panel::draw(canvas, &layout.panel, moment);
    let Ok(()) = strip::draw(canvas, &layout.strip, moment);
}

/// Where a picture's pixels are on the canvas.
struct Place {
    corner: Point,
    scale: f32,
}

/// The picture in the middle of `area`.
fn paint(canvas: &mut Canvas, area: &Rectangle, view: &FrameView<'_>) -> Place {
    let (width, height) = (view.width(), view.height());
    let shown = fit(Size::new(width, height), area.size);
    let corner = area.top_left + (area.size - shown) / 2;
    let columns: Vec<u32> = (0..shown.width).map(|x| source(x, width, shown.width)).collect();
    for y in 0..shown.height {
        let row = source(y, height, shown.height);
        let target = canvas.row_mut(corner.x as u32, shown.width, corner.y as u32 + y);
        for (pixel, column) in target.iter_mut().zip(&columns) {
            let [red, green, blue] = view.rgb(*column, row);
            *pixel = packed(red, green, blue);
        }
    }
    Place { corner, scale: shown.width as f32 / width as f32 }
}

/// The pixel of a side of `side` pixels that is shown at `at` of `shown`: the nearest one.
fn source(at: u32, side: u32, shown: u32) -> u32 {
    ((2 * u64::from(at) + 1) * u64::from(side) / (2 * u64::from(shown))) as u32
}

/// The face's box and, above it, its label; below it where another one of `labels` stands above. Gives
/// where the label is.
fn draw_face(
    canvas: &mut Canvas,
    area: &Rectangle,
    place: &Place,
    moment: &Moment<'_>,
    face: &TrackedFace,
    labels: &[Rectangle],
) -> Result<Rectangle, Infallible> {
    let colour = track_colour(face.track_id);
    let outline = place.outline(&face.face.bounding_box, area);
    let style = PrimitiveStyle::with_stroke(colour, 2);
    outline.into_styled(style).draw(&mut canvas.clipped(area))?;
    let label = format!(" {} {:.2} ", moment.label(face), face.steadied_score);
    let text = label_at(&label, outline.top_left, Baseline::Bottom, colour, area);
    let taken =
        |extent: Rectangle| labels.iter().any(|label| !label.intersection(&extent).is_zero_sized());
    let below = outline.top_left + Point::new(0, outline.size.height as i32);
    let text = match taken(text.bounding_box()) {
        true => label_at(&label, below, Baseline::Top, colour, area),
        false => text,
    };
    text.draw(canvas)?;
    Ok(text.bounding_box())
}

impl Place {
    /// The box on the canvas. What lies far outside is cut off, as drawing visits every pixel.
    fn outline(&self, face: &FaceBox, area: &Rectangle) -> Rectangle {
        let on_canvas = |x: f32, y: f32| {
            let limit = |value: f32, low: i32, size: u32| {
                value.round().clamp((low - 9) as f32, (low + size as i32 + 9) as f32) as i32
            };
            let (x, y) =
                (x * self.scale + self.corner.x as f32, y * self.scale + self.corner.y as f32);
            Point::new(
                limit(x, area.top_left.x, area.size.width),
                limit(y, area.top_left.y, area.size.height),
            )
        };
        let (right, bottom) = (face.x + face.width, face.y + face.height);
        Rectangle::with_corners(on_canvas(face.x, face.y), on_canvas(right, bottom))
    }
}

/// Text on a patch of the face's colour, moved into `area` if need be.
fn label_at<'a>(
    label: &'a str,
    corner: Point,
    baseline: Baseline,
    colour: Rgb888,
    area: &Rectangle,
) -> Text<'a, MonoTextStyle<'static, Rgb888>> {
    let style = MonoTextStyleBuilder::new()
        .font(&FONT_7X13_BOLD)
        .text_color(Rgb888::BLACK)
        .background_color(colour)
        .build();
    let text = Text::with_baseline(label, corner, style, baseline);
    let extent = text.bounding_box();
    let last = area.top_left + area.size - extent.size;
    let inside = extent.top_left.component_min(last).component_max(area.top_left);
    text.translate(inside - extent.top_left)
}
