//! Where pictures come from: a folder, a video file, standard input, a camera. All of them end up as
//! pictures in a channel, so that the window stays alive while a source is silent.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use dmue_edge::frame::{FrameError, YuvColour};
use dmue_edge::{FrameView, Photo, PixelFormat};

use crate::streams::{read_jpeg, read_ppm};
use crate::y4m::Y4m;

/// Why there are no more pictures.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Pictures in the order of their capture; an error is the last item.
pub type Pictures = Box<dyn Iterator<Item = Result<Picture, Failure>> + Send>;

/// File name extensions looked for in folders, lower case.
const EXTENSIONS: [&str; 5] = ["png", "jpg", "jpeg", "bmp", "webp"];

/// One frame that belongs to us.
pub struct Picture {
    pub bytes: Vec<u8>,
    pub width: u32,
    pub height: u32,
    /// Bytes from row to row of the first plane.
    pub stride: usize,
    pub format: PixelFormat,
    pub yuv: YuvColour,
    /// When it was captured, since the stream began.
    pub time: Duration,
}

impl Picture {
    /// The picture as the library takes it.
    pub fn view(&self) -> Result<FrameView<'_>, FrameError> {
        let Self { bytes, width, height, stride, format, yuv, .. } = self;
        Ok(FrameView::new(bytes, *width, *height, *stride, *format)?.with_yuv(*yuv))
    }

    /// A picture of red, green and blue without padding.
    pub fn rgb(bytes: Vec<u8>, width: u32, height: u32, time: Duration) -> Self {
        let (format, yuv) = (PixelFormat::Rgb24, YuvColour::default());
        Self { bytes, width, height, stride: format.row_bytes(0, width), format, yuv, time }
    }

    /// An image file's bytes as a picture; none for a damaged one, which a camera may well send: it
    /// is named on standard error and left out.
    pub fn decoded(bytes: &[u8], name: &str, time: Duration) -> Option<Self> {
        match Photo::from_bytes(bytes) {
            Ok(photo) => {
                let pixels = photo.into_pixels();
                let (width, height) = pixels.dimensions();
                Some(Self::rgb(pixels.into_raw(), width, height, time))
            }
            Err(error) => {
                eprintln!("left out: {name}: {error}");
                None
            }
        }
    }
}

/// How the channel is filled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Every picture, as soon as the one before is taken.
    All,
    /// Every picture, not before its time.
    Timed,
    /// The newest picture: those that come while the last one waits are dropped.
    Newest,
}

/// Reads the pictures on a thread of their own.
pub fn start(pictures: Pictures, pace: Pace) -> Receiver<Result<Picture, Failure>> {
    let (sender, receiver) = sync_channel(1);
    std::thread::spawn(move || send(pictures, pace, &sender));
    receiver
}

fn send(pictures: Pictures, pace: Pace, sender: &SyncSender<Result<Picture, Failure>>) {
    let mut began = None;
    for picture in pictures {
        if let (Pace::Timed, Ok(picture)) = (pace, &picture) {
            let began = *began.get_or_insert_with(Instant::now);
            std::thread::sleep(picture.time.saturating_sub(began.elapsed()));
        }
        let closed = match pace {
            Pace::Newest if picture.is_ok() => {
                matches!(sender.try_send(picture), Err(TrySendError::Disconnected(_)))
            }
            _ => sender.send(picture).is_err(),
        };
        if closed {
            break;
        }
    }
}

/// What `--source` names. Pictures of sources that do not state their rate are `step` apart.
pub fn open(source: &Path, step: Duration) -> Result<Pictures, Failure> {
    if source == Path::new("-") {
        return stream(BufReader::new(io::stdin()), "standard input", step);
    }
    if source.is_dir() {
        return folder(source, step);
    }
    let name = source.display().to_string();
    let failed = |error: io::Error| format!("{name}: {error}");
    let mut file = BufReader::new(File::open(source).map_err(failed)?);
    match Kind::of(file.fill_buf().map_err(failed)?) {
        Some(_) => stream(file, &name, step),
        None => through_ffmpeg(source, step),
    }
}

fn folder(folder: &Path, step: Duration) -> Result<Pictures, Failure> {
    let failed = |error: io::Error| format!("{}: {error}", folder.display());
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
        .map_err(failed)?;
    files.retain(|file| is_image(file));
    files.sort();
    if files.is_empty() {
        let kinds = EXTENSIONS.join(", ");
        return Err(format!("{}: no images in this folder ({kinds})", folder.display()).into());
    }
    let mut times = times(step);
    Ok(Box::new(files.into_iter().filter_map(move |file| {
        let (name, time) = (file.display().to_string(), times.next()?);
        match std::fs::read(&file) {
            Ok(bytes) => Picture::decoded(&bytes, &name, time).map(Ok),
            Err(error) => Some(Err(format!("{name}: {error}").into())),
        }
    })))
}

fn is_image(file: &Path) -> bool {
    let extension = file.extension().map(|e| e.to_string_lossy().to_lowercase());
    extension.is_some_and(|extension| EXTENSIONS.contains(&extension.as_str()))
}

/// What a stream of bytes is, by its first bytes.
#[derive(Clone, Copy)]
enum Kind {
    Y4m,
    Mjpeg,
    Ppm,
}

impl Kind {
    fn of(start: &[u8]) -> Option<Self> {
        match start {
            [b'Y', b'U', b'V', b'4', ..] => Some(Self::Y4m),
            [0xff, 0xd8, ..] => Some(Self::Mjpeg),
            [b'P', b'6', ..] => Some(Self::Ppm),
            _ => None,
        }
    }
}

fn stream(
    mut input: impl BufRead + Send + 'static,
    name: &str,
    step: Duration,
) -> Result<Pictures, Failure> {
    let name = name.to_owned();
    let failed = |error: io::Error| format!("{name}: {error}");
    let start = input.fill_buf().map_err(failed)?;
    match Kind::of(start) {
        Some(Kind::Y4m) => {
            let video = Y4m::read_header(&mut input).map_err(failed)?;
            let mut times = times(video.frame_time);
            Ok(until_end(name, move || read_y4m(&mut input, &video, times.next())))
        }
        Some(Kind::Mjpeg) => {
            let (label, mut times) = (name.clone(), times(step));
            Ok(until_end(name, move || read_mjpeg(&mut input, &label, &mut times)))
        }
        Some(Kind::Ppm) => {
            let mut times = times(step);
            Ok(until_end(name, move || {
                let read = read_ppm(&mut input)?.zip(times.next());
                Ok(read.map(|((rgb, width, height), time)| Picture::rgb(rgb, width, height, time)))
            }))
        }
        None => {
            let what = if start.is_empty() { "is empty" } else { "is something else" };
            Err(format!("{name} {what}: a Y4M, MJPEG or PPM stream can be read").into())
        }
    }
}

/// What `read` gives, until it gives none.
fn until_end(
    name: String,
    mut read: impl FnMut() -> io::Result<Option<Picture>> + Send + 'static,
) -> Pictures {
    let failed = move |error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof => format!("{name} ends within a picture").into(),
        _ => format!("{name}: {error}").into(),
    };
    Box::new(std::iter::from_fn(move || read().map_err(&failed).transpose()))
}

fn read_y4m(
    input: &mut impl BufRead,
    video: &Y4m,
    time: Option<Duration>,
) -> io::Result<Option<Picture>> {
    let mut bytes = vec![0; video.frame_bytes()];
    let Y4m { width, height, yuv, .. } = *video;
    let (stride, format) = (width as usize, PixelFormat::I420);
    let more = video.read_frame(input, &mut bytes)?;
    Ok(time.filter(|_| more).map(|time| Picture {
        bytes,
        width,
        height,
        stride,
        format,
        yuv,
        time,
    }))
}

/// The next picture that is not damaged.
fn read_mjpeg(
    input: &mut impl BufRead,
    name: &str,
    times: &mut impl Iterator<Item = Duration>,
) -> io::Result<Option<Picture>> {
    while let Some((bytes, time)) = read_jpeg(input)?.zip(times.next()) {
        if let Some(picture) = Picture::decoded(&bytes, name, time) {
            return Ok(Some(picture));
        }
    }
    Ok(None)
}

/// 0, `step`, 2 `step`, ...
fn times(step: Duration) -> impl Iterator<Item = Duration> + Send + use<> {
    std::iter::successors(Some(Duration::ZERO), move |time| time.checked_add(step))
}

/// Any other video file, if FFmpeg is here to read it.
fn through_ffmpeg(file: &Path, step: Duration) -> Result<Pictures, Failure> {
    let ffmpeg = Command::new("ffmpeg")
        .args(["-nostdin", "-loglevel", "error", "-i"])
        .arg(file)
        .args(["-pix_fmt", "yuv420p", "-f", "yuv4mpegpipe", "-"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn();
    let name = file.display().to_string();
    let output = ffmpeg.ok().and_then(|mut child| child.stdout.take()).ok_or_else(|| {
        format!(
            "{name} is no folder and no Y4M, MJPEG or PPM file, and the command ffmpeg, which reads \
             other videos, is not here: install it"
        )
    })?;
    stream(BufReader::new(output), &format!("ffmpeg's reading of {name}"), step)
}
