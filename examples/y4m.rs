//! Y4M (YUV4MPEG2) video: a line about the video, then a line and the raw planes for each frame.

use std::io::{self, BufRead, Read};
use std::time::Duration;

use dmue_edge::PixelFormat;
use dmue_edge::frame::YuvColour;

/// I420 with 8 bits a sample; they differ in where the colour was sampled.
const LAYOUTS: [&str; 4] = ["420", "420jpeg", "420mpeg2", "420paldv"];

/// What a Y4M stream says about itself. Its frames are I420 without padding.
pub struct Y4m {
    pub width: u32,
    pub height: u32,
    /// From one frame to the next; 40 ms where the stream does not say.
    pub frame_time: Duration,
    pub yuv: YuvColour,
}

impl Y4m {
    /// `YUV4MPEG2 W640 H480 F30:1 C420jpeg ...`
    pub fn read_header(input: &mut impl BufRead) -> io::Result<Self> {
        let line = read_line(input)?;
        let mut words = line.split(' ');
        if words.next() != Some("YUV4MPEG2") {
            return Err(invalid("no Y4M video: it does not start with YUV4MPEG2"));
        }
        let (mut width, mut height, mut frame_time) = (0, 0, Duration::from_millis(40));
        let mut yuv = YuvColour::default();
        for word in words {
            match word.split_at_checked(1) {
                Some(("W", columns)) => width = columns.parse().map_err(|_| bad_word(word))?,
                Some(("H", rows)) => height = rows.parse().map_err(|_| bad_word(word))?,
                Some(("F", rate)) => frame_time = time_of(rate).unwrap_or(frame_time),
                Some(("C", layout)) if !LAYOUTS.contains(&layout) => {
                    let reason = format!("frames of layout {layout}: only {LAYOUTS:?} are read");
                    return Err(invalid(reason));
                }
                Some(("X", "COLORRANGE=FULL")) => yuv = YuvColour::Bt601Full,
                _ => {}
            }
        }
        if [width, height].iter().any(|side| !(1..=8192).contains(side)) {
            let reason = format!("frames of {width}x{height} pixels: 1 to 8192 a side are read");
            return Err(invalid(reason));
        }
        Ok(Self { width, height, frame_time, yuv })
    }

    /// The size of one frame.
    pub fn frame_bytes(&self) -> usize {
        let planes = 0..PixelFormat::I420.planes();
        let bytes = planes.map(|plane| {
            let rows = PixelFormat::I420.rows(plane, self.height) as usize;
            PixelFormat::I420.row_bytes(plane, self.width) * rows
        });
        bytes.sum()
    }

    /// Fills `bytes`, as many as a frame has; false at the end of the stream.
    pub fn read_frame(&self, input: &mut impl BufRead, bytes: &mut [u8]) -> io::Result<bool> {
        let line = read_line(input)?;
        if line.is_empty() {
            return Ok(false);
        }
        if !line.starts_with("FRAME") {
            return Err(invalid(format!("a frame starts with FRAME, not with {line:?}")));
        }
        input.read_exact(bytes)?;
        Ok(true)
    }
}

/// `30000:1001` frames a second as the time of one.
fn time_of(rate: &str) -> Option<Duration> {
    let (frames, seconds) = rate.split_once(':')?;
    let (frames, seconds): (f64, f64) = (frames.parse().ok()?, seconds.parse().ok()?);
    let longest = Duration::from_secs(3600); // so that sums of them cannot overflow
    Duration::try_from_secs_f64(seconds / frames).ok().filter(|time| *time <= longest)
}

/// One line of at most 256 bytes, without its end.
fn read_line(input: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    input.by_ref().take(256).read_until(b'\n', &mut line)?;
    Ok(String::from_utf8_lossy(line.trim_ascii_end()).into_owned())
}

fn bad_word(word: &str) -> io::Error {
    invalid(format!("the Y4M header holds {word:?}, which is no number of pixels"))
}

fn invalid(reason: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.into())
}
