//! Names the expression of every face in an image file.
//!
//! ```text
//! cargo run --release --package dmue-examples --example classify -- \
//!     examples/images/astronaut.png
//! ```
#![allow(clippy::print_stdout, reason = "a program may print")]

use dmue_edge::{Engine, Photo};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: classify IMAGE")?;
    let engine = Engine::builder().build()?; // load once, answer many frames
    let photo = Photo::open(path)?;
    for face in engine.predict(&photo.view()?)?.predictions {
        println!("{}, right with probability {:.2}", face.label, face.score);
    }
    Ok(())
}
