//! Contact sheets: a strip of faces per class under its name, as a PNG.

use std::convert::Infallible;
use std::io::Cursor;
use std::path::Path;

use dmue_edge::face::align::FaceCrop;
use embedded_graphics::Pixel;
use embedded_graphics::mono_font::MonoTextStyle;
use embedded_graphics::mono_font::iso_8859_1::FONT_7X13_BOLD;
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::*;
use embedded_graphics::text::{Baseline, Text};
use image::imageops::{FilterType, overlay, resize};
use image::{ImageFormat, Rgb, RgbImage};

use super::dataset::Source;
use crate::error::{Error, Result};
use crate::train::folder::write_whole;

/// Faces in a row.
pub const COLUMNS: usize = 16;
/// Side of a face on the sheet, in pixels, and the gap around it.
const SIDE: u32 = 64;
const GAP: u32 = 2;
/// Height of a title.
const TITLE: u32 = 18;

/// A title and the faces below it, in as many rows as they need.
#[derive(Debug)]
pub struct Strip {
    /// Stands above the faces.
    pub title: String,
    /// In rows of [`COLUMNS`].
    pub faces: Vec<FaceCrop>,
}

/// A strip per class of `source`, a row of faces spread evenly over the class.
pub fn strips(name: &str, source: &Source) -> Vec<Strip> {
    let strip = |(label, class): (usize, &String)| {
        let faces: Vec<&FaceCrop> = source
            .samples
            .iter()
            .filter(|sample| sample.label == label)
            .map(|sample| &sample.crop)
            .collect();
        let title = format!("{name}: {class}, {} faces", faces.len());
        Strip { title, faces: spread(&faces, COLUMNS).into_iter().cloned().collect() }
    };
    source.classes.iter().enumerate().map(strip).collect()
}

/// At most `most` of `all`, evenly spread.
pub fn spread<T: Copy>(all: &[T], most: usize) -> Vec<T> {
    let count = all.len().min(most);
    (0..count).map(|index| all[index * all.len() / count]).collect()
}

/// Draws the strips and writes the sheet.
///
/// # Errors
/// A full disk or a folder that cannot be written.
pub fn write(path: &Path, strips: &[Strip]) -> Result<()> {
    let mut bytes = Cursor::new(vec![]);
    let written = draw(strips).write_to(&mut bytes, ImageFormat::Png);
    written.map_err(|error| Error::Data { file: path.into(), reason: error.to_string() })?;
    write_whole(path, &bytes.into_inner())
}

/// The strips below each other on white.
pub fn draw(strips: &[Strip]) -> RgbImage {
    let (cell, columns) = (SIDE + GAP, COLUMNS as u32);
    let height = |strip: &Strip| TITLE + strip.faces.len().div_ceil(COLUMNS) as u32 * cell;
    let total = strips.iter().map(height).sum();
    let mut sheet = RgbImage::from_pixel(columns * cell + GAP, total, Rgb([255; 3]));
    let mut top = 0;
    for strip in strips {
        let Ok(()) = title(&mut sheet, &strip.title, top);
        for (index, face) in (0..).zip(&strip.faces) {
            let (left, down) = (GAP + index % columns * cell, TITLE + index / columns * cell);
            overlay(&mut sheet, &thumbnail(face), i64::from(left), i64::from(top + down));
        }
        top += height(strip);
    }
    sheet
}

fn thumbnail(face: &FaceCrop) -> RgbImage {
    let channels = face.channels.max(1);
    let picture = RgbImage::from_fn(face.size, face.size, |x, y| {
        let start = ((y * face.size + x) * channels) as usize;
        match face.pixels.get(start..start + channels as usize) {
            Some([red, green, blue]) => Rgb([*red, *green, *blue]),
            Some([gray, ..]) => Rgb([*gray; 3]),
            _ => Rgb([0; 3]),
        }
    });
    resize(&picture, SIDE, SIDE, FilterType::Triangle)
}

fn title(sheet: &mut RgbImage, text: &str, top: u32) -> std::result::Result<(), Infallible> {
    let style = MonoTextStyle::new(&FONT_7X13_BOLD, Rgb888::BLACK);
    let place = Point::new(GAP as i32, top as i32 + 2);
    Text::with_baseline(text, place, style, Baseline::Top).draw(&mut Canvas(sheet)).map(|_| ())
}

struct Canvas<'a>(&'a mut RgbImage);

impl OriginDimensions for Canvas<'_> {
    fn size(&self) -> Size {
        Size::new(self.0.width(), self.0.height())
    }
}

impl DrawTarget for Canvas<'_> {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(
        &mut self,
        pixels: I,
    ) -> std::result::Result<(), Infallible> {
        for Pixel(Point { x, y }, colour) in pixels {
            let place = u32::try_from(x).ok().zip(u32::try_from(y).ok());
            let pixel = place.and_then(|(x, y)| self.0.get_pixel_mut_checked(x, y));
            if let Some(pixel) = pixel {
                *pixel = Rgb([colour.r(), colour.g(), colour.b()]);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faces_and_titles_stand_where_they_belong() {
        let face = |value| FaceCrop { size: 4, channels: 1, pixels: vec![value; 16] };
        let strip = |value, count| Strip { title: "happy".into(), faces: vec![face(value); count] };
        let sheet = draw(&[strip(10, 2), strip(200, 20)]);
        assert_eq!(sheet.dimensions(), (16 * 66 + 2, 84 + 84 + 66));
        let at = |x, y| sheet.get_pixel(x, y).0[0];
        assert_eq!((at(30, 50), at(96, 50), at(162, 50)), (10, 10, 255), "two faces, then white");
        assert_eq!(at(1030, 134), 200, "sixteen faces fill the width");
        assert_eq!((at(240, 200), at(300, 200)), (200, 255), "four more stand below");
        assert!((0..60).any(|x| at(x, 8) == 0), "a title above");
    }

    #[test]
    fn spreading_takes_all_of_few_and_some_of_many() {
        assert_eq!(spread(&[1, 2, 3], 3), [1, 2, 3]);
        assert_eq!(spread(&[0; 0], 16), [0; 0]);
        let some = spread(&(0..160).collect::<Vec<_>>(), 16);
        assert_eq!((some.len(), some[0], some[15]), (16, 0, 150));
    }
}
