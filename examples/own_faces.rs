//! Names the expression of a face that a detector of your own has found: no face is looked for.
//!
//! ```text
//! cargo run --release --package dmue-examples --example own_faces -- \
//!     examples/images/astronaut.png 165 55 118
//! ```
#![allow(clippy::print_stdout, reason = "a program may print")]

use std::error::Error;

use dmue_edge::{Engine, FrameView, Photo, PixelFormat};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, left, top, side] = &arguments[..] else {
        return Err("usage: own_faces IMAGE LEFT TOP SIDE (from mid-forehead to chin)".into());
    };
    let (left, top, side) = (left.parse()?, top.parse()?, side.parse()?);

    let engine = Engine::builder().build()?;
    let pixels = Photo::open(path)?.into_pixels();
    let answer = engine.predict_crop(&square(&pixels, pixels.width(), [left, top, side])?)?;
    for face in answer.predictions {
        println!("{}, right with probability {:.2}", face.label, face.score);
    }
    Ok(())
}

/// A square of a packed RGB picture that is `width` pixels wide, without copying it: the view
/// starts at the square's first byte, and the stride leads from row to row of the whole picture.
fn square(
    pixels: &[u8],
    width: u32,
    [left, top, side]: [u32; 3],
) -> Result<FrameView<'_>, Box<dyn Error>> {
    if left.checked_add(side).is_none_or(|right| right > width) {
        return Err(format!("{left} + {side} columns leave a picture of {width}").into());
    }
    let stride = PixelFormat::Rgb24.row_bytes(0, width);
    let start = top as usize * stride + PixelFormat::Rgb24.row_bytes(0, left);
    let bytes = pixels.get(start..).ok_or("the square starts below the picture")?;
    Ok(FrameView::new(bytes, side, side, stride, PixelFormat::Rgb24)?)
}
