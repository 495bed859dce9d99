//! Pixels to draw on, as the window takes them.

use std::convert::Infallible;

use embedded_graphics::Pixel;
use embedded_graphics::mono_font::{MonoFont, MonoTextStyleBuilder};
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::*;
use embedded_graphics::primitives::Rectangle;
use embedded_graphics::text::{Alignment, Baseline, Text, TextStyleBuilder};

pub const BACKGROUND: Rgb888 = Rgb888::new(24, 26, 30);
pub const LINE: Rgb888 = Rgb888::new(62, 66, 74);
pub const DIM: Rgb888 = Rgb888::new(150, 156, 168);
pub const BRIGHT: Rgb888 = Rgb888::new(236, 238, 242);

/// Told apart by colour-blind people too, light enough for black text (after Okabe and Ito, 2008).
const TRACKS: [Rgb888; 6] = [
    Rgb888::new(86, 180, 233),
    Rgb888::new(240, 170, 40),
    Rgb888::new(60, 200, 150),
    Rgb888::new(240, 228, 66),
    Rgb888::new(220, 140, 190),
    Rgb888::new(240, 130, 90),
];

/// The colour of everything about one face.
pub fn track_colour(track_id: u64) -> Rgb888 {
    TRACKS[track_id as usize % TRACKS.len()]
}

/// Rows of 0x00RRGGBB.
pub struct Canvas {
    size: Size,
    pub pixels: Vec<u32>,
}

impl Canvas {
    pub fn new(size: Size) -> Self {
        Self { size, pixels: vec![0; size.width as usize * size.height as usize] }
    }

    /// The pixels of a row from column `left` on, at most `width` of them; none outside the canvas.
    pub fn row_mut(&mut self, left: u32, width: u32, y: u32) -> &mut [u32] {
        let (of_row, left) =
            (self.size.width as usize, (left as usize).min(self.size.width as usize));
        let right = (left + width as usize).min(of_row);
        let start = y as usize * of_row;
        self.pixels.get_mut(start + left..start + right).unwrap_or_default()
    }

    /// One line of text with `corner` at its upper left, or upper right if it is `right`-aligned.
    pub fn text(
        &mut self,
        text: &str,
        corner: Point,
        font: &MonoFont<'_>,
        colour: Rgb888,
        alignment: Alignment,
    ) -> Result<(), Infallible> {
        let style = MonoTextStyleBuilder::new().font(font).text_color(colour).build();
        let place = TextStyleBuilder::new().alignment(alignment).baseline(Baseline::Top).build();
        Text::with_text_style(text, corner, style, place).draw(self).map(|_| ())
    }
}

/// A pixel of the window.
pub fn packed(red: u8, green: u8, blue: u8) -> u32 {
    u32::from_be_bytes([0, red, green, blue])
}

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        self.size
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(
        &mut self,
        pixels: I,
    ) -> Result<(), Infallible> {
        let inside = self.bounding_box();
        for Pixel(place, colour) in pixels.into_iter().filter(|pixel| inside.contains(pixel.0)) {
            let index = place.y as usize * self.size.width as usize + place.x as usize;
            if let Some(pixel) = self.pixels.get_mut(index) {
                *pixel = packed(colour.r(), colour.g(), colour.b());
            }
        }
        Ok(())
    }

    /// Row by row: the default goes pixel by pixel, which a picture a frame feels.
    fn fill_solid(&mut self, area: &Rectangle, colour: Rgb888) -> Result<(), Infallible> {
        let area = area.intersection(&self.bounding_box());
        let (left, width) = (area.top_left.x as u32, area.size.width);
        for y in area.rows() {
            self.row_mut(left, width, y as u32).fill(packed(colour.r(), colour.g(), colour.b()));
        }
        Ok(())
    }
}
