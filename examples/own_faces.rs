//! Names the expression of a face that a detector of your own has found: no face is looked for.
//!
//! ```text
//! cargo run --release --package dmue-examples --example own_faces -- \
//!     examples/images/astronaut.png 165 55 118
//! ```
#![allow(clippy::print_stdout, reason = "a program may print")]

use dmue_edge::face::FaceBox;
use dmue_edge::{Engine, KnownFace, Photo};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, left, top, side] = &arguments[..] else {
        return Err("usage: own_faces IMAGE LEFT TOP SIDE (from mid-forehead to chin)".into());
    };
    let (x, y, side) = (left.parse()?, top.parse()?, side.parse()?);

    let engine = Engine::builder().build()?;
    let photo = Photo::open(path)?;
    // With eyes, nose and mouth use KnownFace::Landmarks: then a tilted face is turned upright.
    let known = [KnownFace::Box(FaceBox { x, y, width: side, height: side })];
    for face in engine.predict_faces(&photo.view()?, &known)?.predictions {
        println!("{}, right with probability {:.2}", face.label, face.score);
    }
    Ok(())
}
