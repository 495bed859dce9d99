//! Follows the faces of a video: one line a frame and face. Frames come from standard input as Y4M.
//!
//! ```text
//! ffmpeg -loglevel error -i video.mp4 -pix_fmt yuv420p -f yuv4mpegpipe - |
//!     cargo run --release --package dmue-examples --example stream
//! ```

use std::error::Error;
use std::io::{BufRead, Read, Write, stdin, stdout};
use std::sync::Arc;
use std::time::Duration;

use dmue_edge::{Answer, Engine, FrameView, PixelFormat, Session, SessionOptions};

fn main() -> Result<(), Box<dyn Error>> {
    follow(&mut stdin().lock(), &mut stdout().lock())
}

fn follow(input: &mut impl BufRead, output: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let engine = Arc::new(Engine::builder().build()?); // one for all streams
    let mut session = Session::new(Arc::clone(&engine), SessionOptions::default())?;
    let classes = &engine.model().manifest().classes;

    let video = Video::read_header(input)?;
    let mut bytes = vec![0; video.frame_bytes()];
    for index in 0.. {
        if !video.read_frame(input, &mut bytes)? {
            break;
        }
        let (width, height, stride) = (video.width, video.height, video.width as usize);
        let frame = FrameView::new(&bytes, width, height, stride, PixelFormat::I420)?;
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

/// I420 with 8 bits a sample; they differ in where the colour was sampled.
const LAYOUTS: [&str; 4] = ["420", "420jpeg", "420mpeg2", "420paldv"];

/// What a Y4M stream says about itself.
struct Video {
    width: u32,
    height: u32,
    frame_time: Duration,
}

impl Video {
    /// `YUV4MPEG2 W640 H480 F30:1 C420jpeg ...`
    fn read_header(input: &mut impl BufRead) -> Result<Self, Box<dyn Error>> {
        let line = read_line(input)?;
        let mut words = line.split(' ');
        if words.next() != Some("YUV4MPEG2") {
            return Err("standard input is no Y4M video: it does not start with YUV4MPEG2".into());
        }
        let (mut width, mut height, mut frame_time) = (0, 0, Duration::from_millis(40));
        for word in words {
            match word.split_at_checked(1) {
                Some(("W", columns)) => width = columns.parse()?,
                Some(("H", rows)) => height = rows.parse()?,
                Some(("F", rate)) => frame_time = time_of(rate).unwrap_or(frame_time),
                Some(("C", layout)) if !LAYOUTS.contains(&layout) => {
                    return Err(
                        format!("frames of layout {layout}: only {LAYOUTS:?} are read").into()
                    );
                }
                _ => {}
            }
        }
        if [width, height].iter().any(|side| !(1..=8192).contains(side)) {
            return Err(
                format!("frames of {width}x{height} pixels: 1 to 8192 a side are read").into()
            );
        }
        Ok(Self { width, height, frame_time })
    }

    fn frame_bytes(&self) -> usize {
        let planes = 0..PixelFormat::I420.planes();
        let bytes = planes.map(|plane| {
            let rows = PixelFormat::I420.rows(plane, self.height) as usize;
            PixelFormat::I420.row_bytes(plane, self.width) * rows
        });
        bytes.sum()
    }

    /// False at the end of the stream.
    fn read_frame(
        &self,
        input: &mut impl BufRead,
        bytes: &mut [u8],
    ) -> Result<bool, Box<dyn Error>> {
        let line = read_line(input)?;
        if line.is_empty() {
            return Ok(false);
        }
        if !line.starts_with("FRAME") {
            return Err(format!("a frame starts with FRAME, not with {line:?}").into());
        }
        input.read_exact(bytes)?;
        Ok(true)
    }
}

/// `30000:1001` frames a second as the time of one.
fn time_of(rate: &str) -> Option<Duration> {
    let (frames, seconds) = rate.split_once(':')?;
    let (frames, seconds): (f64, f64) = (frames.parse().ok()?, seconds.parse().ok()?);
    Duration::try_from_secs_f64(seconds / frames).ok()
}

/// One line of at most 256 bytes, without its end.
fn read_line(input: &mut impl BufRead) -> Result<String, Box<dyn Error>> {
    let mut line = Vec::new();
    input.by_ref().take(256).read_until(b'\n', &mut line)?;
    Ok(String::from_utf8_lossy(line.trim_ascii_end()).into_owned())
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
