//! Follows the faces of a video: one line a frame and face. Frames come from standard input as Y4M.
//!
//! ```text
//! ffmpeg -loglevel error -i video.mp4 -pix_fmt yuv420p -f yuv4mpegpipe - |
//!     cargo run --release --package dmue-examples --example stream
//! ```

mod y4m;

use std::error::Error;
use std::io::{BufRead, Write, stdin, stdout};
use std::sync::Arc;

use dmue_edge::{Answer, Engine, FrameView, PixelFormat, Session, SessionOptions};

use crate::y4m::Y4m;

fn main() -> Result<(), Box<dyn Error>> {
    follow(&mut stdin().lock(), &mut stdout().lock())
}

fn follow(input: &mut impl BufRead, output: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let engine = Arc::new(Engine::builder().build()?); // one for all streams
    let mut session = Session::new(Arc::clone(&engine), SessionOptions::default())?;
    let classes = &engine.model().manifest().classes;

    let video = Y4m::read_header(input)?;
    let mut bytes = vec![0; video.frame_bytes()];
    for index in 0.. {
        if !video.read_frame(input, &mut bytes)? {
            break;
        }
        let (width, height, stride) = (video.width, video.height, video.width as usize);
        let frame =
            FrameView::new(&bytes, width, height, stride, PixelFormat::I420)?.with_yuv(video.yuv);
        let time = video.frame_time.mul_f64(f64::from(index));
        for face in session.process(&frame, time)?.faces {
            let label = match face.steadied {
                Answer::Label(class) => classes.get(class).map_or("?", String::as_str),
                Answer::Unsure => "unsure",
            };
            let (id, score, seconds) = (face.track_id, face.steadied_score, time.as_secs_f64());
            writeln!(output, "{seconds:.3} s: face {id}: {label}, score {score:.2}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(input: &[u8]) -> Result<String, Box<dyn Error>> {
        let mut output = Vec::new();
        follow(&mut &input[..], &mut output)?;
        Ok(String::from_utf8(output)?)
    }

    #[test]
    fn gray_frames_have_no_faces_and_broken_videos_are_refused() {
        if Engine::default_model().is_none() {
            eprintln!("skipped: this build carries no model");
            return;
        }
        let header = b"YUV4MPEG2 W64 H48 F30:1 Ip C420jpeg\n";
        let frame = [b"FRAME\n", &[128; 64 * 48 * 3 / 2][..]].concat();
        let video = [header, &frame[..], &frame[..]].concat();
        assert_eq!(output(&video).unwrap(), "");
        assert!(output(&video[..video.len() - 1]).is_err(), "cut short");
        for bad in ["", "P6", "YUV4MPEG2 W0 H9", "YUV4MPEG2 W9 H9 C444", "YUV4MPEG2 W9 H9\nfrom"] {
            assert!(output(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
