//! Boxes, labels and scores drawn into a copy of the picture.

use std::convert::Infallible;

use dmue_edge::engine::Prediction;
use dmue_edge::face::FaceBox;
use embedded_graphics::Pixel;
use embedded_graphics::mono_font::MonoTextStyleBuilder;
use embedded_graphics::mono_font::iso_8859_1::FONT_7X13_BOLD;
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::*;
use embedded_graphics::primitives::{PrimitiveStyle, Rectangle};
use embedded_graphics::text::{Baseline, Text};
use image::{Rgb, RgbImage};

/// For each so many pixels of the longer side (rounded) a dot of text and lines is a pixel larger:
/// a line of text is about 1/70 of the picture, readable when it is shown as a whole.
const PIXELS_PER_SCALE: u32 = 900;

/// Draws every face's box with its label and score above.
pub fn draw(picture: &mut RgbImage, predictions: &[Prediction]) {
    let longer = picture.width().max(picture.height());
    let mut canvas =
        Canvas { scale: ((longer + PIXELS_PER_SCALE / 2) / PIXELS_PER_SCALE).max(1), picture };
    for prediction in predictions {
        let Ok(()) = draw_face(&mut canvas, prediction);
    }
}

fn draw_face(canvas: &mut Canvas<'_>, prediction: &Prediction) -> Result<(), Infallible> {
    let frame = canvas.bounding_box();
    let colour = tone(prediction.score);
    let place = prediction.face.map_or(frame, |face| canvas.place(&face.bounding_box));
    place.into_styled(PrimitiveStyle::with_stroke(colour, 2)).draw(canvas)?;
    draw_label(canvas, place.top_left, &prediction.label, colour)?;
    let score = format!("{:.2}", prediction.score);
    let below = Point::new(place.top_left.x, place.top_left.y + place.size.height as i32 + 13);
    draw_label(canvas, below, &score, colour)
}

/// Text on a patch of the box's colour, standing on `corner`, moved into the picture if need be.
fn draw_label(
    canvas: &mut Canvas<'_>,
    corner: Point,
    label: &str,
    colour: Rgb888,
) -> Result<(), Infallible> {
    let style = MonoTextStyleBuilder::new()
        .font(&FONT_7X13_BOLD)
        .text_color(Rgb888::BLACK)
        .background_color(colour)
        .build();
    let text = Text::with_baseline(label, corner, style, Baseline::Bottom);
    let (extent, frame) = (text.bounding_box(), canvas.bounding_box());
    let inside = |low: i32, size: u32, limit: u32| {
        let move_back = (limit as i32 - (low + size as i32)).min(0);
        (low + move_back).max(0) - low
    };
    let offset = Point::new(
        inside(extent.top_left.x, extent.size.width, frame.size.width),
        inside(extent.top_left.y, extent.size.height, frame.size.height),
    );
    text.translate(offset).draw(canvas).map(|_| ())
}

/// Green, yellow or red, light enough for black text.
fn tone(score: f32) -> Rgb888 {
    match score {
        0.75.. => Rgb888::new(90, 230, 90),
        0.5.. => Rgb888::new(255, 215, 60),
        _ => Rgb888::new(255, 120, 110),
    }
}

/// A picture drawn on in dots of `scale` x `scale` pixels.
struct Canvas<'a> {
    scale: u32,
    picture: &'a mut RgbImage,
}

impl Canvas<'_> {
    /// The box in dots. What lies far outside the picture is cut off, as drawing visits every dot.
    fn place(&self, face: &FaceBox) -> Rectangle {
        let Size { width, height } = self.size();
        let dot = |pixels: f32, limit: u32| {
            (pixels / self.scale as f32).round().clamp(-9.0, limit as f32 + 9.0) as i32
        };
        let upper_left = Point::new(dot(face.x, width), dot(face.y, height));
        let (right, lower) = (face.x + face.width, face.y + face.height);
        Rectangle::with_corners(upper_left, Point::new(dot(right, width), dot(lower, height)))
    }
}

impl OriginDimensions for Canvas<'_> {
    fn size(&self) -> Size {
        let (width, height) = self.picture.dimensions();
        Size::new(width.div_ceil(self.scale), height.div_ceil(self.scale))
    }
}

impl DrawTarget for Canvas<'_> {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(
        &mut self,
        pixels: I,
    ) -> Result<(), Infallible> {
        let frame = self.bounding_box();
        for Pixel(dot, colour) in pixels.into_iter().filter(|pixel| frame.contains(pixel.0)) {
            let (x, y) = (dot.x as u32 * self.scale, dot.y as u32 * self.scale);
            for i in 0..self.scale * self.scale {
                let (x, y) = (x + i % self.scale, y + i / self.scale);
                if let Some(pixel) = self.picture.get_pixel_mut_checked(x, y) {
                    *pixel = Rgb([colour.r(), colour.g(), colour.b()]);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::made;

    fn prediction(x: f32, y: f32, side: f32) -> Prediction {
        made::prediction(FaceBox { x, y, width: side, height: side }, 0.9)
    }

    fn painted(picture: &RgbImage) -> usize {
        picture.pixels().filter(|pixel| pixel.0 != [7; 3]).count()
    }

    #[test]
    fn box_and_label_are_drawn_where_the_face_is() {
        let mut picture = RgbImage::from_pixel(200, 200, Rgb([7; 3]));
        draw(&mut picture, &[prediction(60.0, 80.0, 50.0)]);
        assert_ne!(picture.get_pixel(60, 100).0, [7; 3], "left edge");
        assert_ne!(picture.get_pixel(110, 100).0, [7; 3], "right edge");
        assert_eq!(picture.get_pixel(85, 105).0, [7; 3], "the face stays visible");
        assert!((67..80).any(|y| picture.get_pixel(61, y).0 == [0; 3]), "text above the box");
    }

    #[test]
    fn everything_grows_with_the_picture() {
        let at = |factor: u32| {
            let side = 900 * factor;
            let mut picture = RgbImage::from_pixel(side, side, Rgb([7; 3]));
            let place = 300.0 * factor as f32;
            draw(&mut picture, &[prediction(place, place, place)]);
            painted(&picture)
        };
        assert_eq!(at(3), 9 * at(1));
    }

    #[test]
    fn faces_past_the_border_do_not_panic() {
        let mut picture = RgbImage::from_pixel(30, 20, Rgb([7; 3]));
        for (x, y, side) in [(-50.0, -50.0, 20.0), (25.0, 15.0, 90.0), (1e9, -1e9, 1e9)] {
            draw(&mut picture, &[prediction(x, y, side)]);
        }
        assert!(painted(&picture) > 0);
    }
}
