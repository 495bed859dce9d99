//! A camera by Video4Linux2.
//!
//! `rscam` talks to the kernel through libc alone. The better known crates `v4l` and `nokhwa` generate
//! their bindings while they are built and so ask for libclang, which a fresh clone should not need.

use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, Instant};

use dmue_edge::PixelFormat;
use dmue_edge::frame::YuvColour;
use rscam::{Camera, Config, Frame, IntervalInfo, ResolutionInfo};

use crate::source::{Failure, Picture, Pictures};

/// FourCC codes that can be read, the best first: those that the camera does not compress.
const FORMATS: [(&[u8; 4], Option<PixelFormat>); 8] = [
    (b"YUYV", Some(PixelFormat::Yuyv)),
    (b"NV12", Some(PixelFormat::Nv12)),
    (b"YU12", Some(PixelFormat::I420)),
    (b"RGB3", Some(PixelFormat::Rgb24)),
    (b"BGR3", Some(PixelFormat::Bgr24)),
    (b"MJPG", None),
    (b"JPEG", None),
    (b"GREY", Some(PixelFormat::Gray8)),
];

/// What is asked for; the nearest that the camera has is taken.
const WISHED_SIZE: (u32, u32) = (640, 480);
const WISHED_INTERVAL: (u32, u32) = (1, 30); // seconds

/// Starts `/dev/videoINDEX`.
pub fn open(index: u32) -> Result<Pictures, Failure> {
    let device = format!("/dev/video{index}");
    let mut camera = Camera::new(&device).map_err(|error| match error.kind() {
        ErrorKind::NotFound => no_camera(&device),
        ErrorKind::PermissionDenied => {
            format!("{device}: {error}: try `sudo usermod -aG video $USER` and log in again")
        }
        _ => format!("{device}: {error}"),
    })?;
    let failed = |error: rscam::Error| format!("{device}: {error}");
    let offered = camera.formats().collect::<Result<Vec<_>, _>>().map_err(|e| failed(e.into()))?;
    let offers = |code: &[u8; 4]| offered.iter().any(|info| &info.format == code);
    let (code, format) = FORMATS.into_iter().find(|(code, _)| offers(code)).ok_or_else(|| {
        format!("{device} gives pictures in none of the formats that can be read: {offered:?}")
    })?;
    let resolution = nearest_size(&camera.resolutions(code).map_err(failed)?);
    let interval =
        camera.intervals(code, resolution).map_or(WISHED_INTERVAL, |offered| nearest(&offered));
    let config = Config { interval, resolution, format: code, ..Config::default() };
    camera.start(&config).map_err(failed)?;
    let began = Instant::now();
    Ok(Box::new(std::iter::from_fn(move || next(&camera, &device, format, began))))
}

fn no_camera(device: &str) -> String {
    let others: Vec<String> = (0..64).map(|index| format!("/dev/video{index}")).collect();
    let mut others: Vec<_> = others.into_iter().filter(|path| Path::new(path).exists()).collect();
    if others.is_empty() {
        others.push("none".into());
    }
    format!(
        "there is no camera {device} (cameras here: {}). Without one, name a source:\n  \
         --source FOLDER      images of a folder, in the order of their names\n  \
         --source VIDEO       a video file\n  \
         --source -           Y4M, MJPEG or PPM from standard input, for example\n                       \
         ffmpeg -i VIDEO -f yuv4mpegpipe - | cargo run --example webcam -- --source -",
        others.join(", ")
    )
}

fn nearest_size(offered: &ResolutionInfo) -> (u32, u32) {
    let (width, height) = WISHED_SIZE;
    match offered {
        ResolutionInfo::Discretes(sizes) => {
            let distance = |size: &(u32, u32)| size.0.abs_diff(width) + size.1.abs_diff(height);
            sizes.iter().copied().min_by_key(distance).unwrap_or(WISHED_SIZE)
        }
        ResolutionInfo::Stepwise { min, max, step } => {
            (on_step(width, min.0, max.0, step.0), on_step(height, min.1, max.1, step.1))
        }
    }
}

/// The largest offered number up to `wished`, or the least.
fn on_step(wished: u32, least: u32, most: u32, step: u32) -> u32 {
    let above = wished.min(most).saturating_sub(least);
    least + above - above % step.max(1)
}

fn nearest(offered: &IntervalInfo) -> (u32, u32) {
    let IntervalInfo::Discretes(intervals) = offered else {
        return WISHED_INTERVAL;
    };
    let rate = |interval: (u32, u32)| f64::from(interval.1) / f64::from(interval.0.max(1));
    let distance = |interval: (u32, u32)| (rate(interval) - rate(WISHED_INTERVAL)).abs();
    let nearest = intervals.iter().copied().min_by(|a, b| distance(*a).total_cmp(&distance(*b)));
    nearest.unwrap_or(WISHED_INTERVAL)
}

/// Waits for the next picture that is not damaged.
fn next(
    camera: &Camera,
    device: &str,
    format: Option<PixelFormat>,
    began: Instant,
) -> Option<Result<Picture, Failure>> {
    loop {
        let frame = match camera.capture() {
            Ok(frame) => frame,
            Err(error) => return Some(Err(format!("{device}: {error}: is it unplugged?").into())),
        };
        // The driver's own clock is of several kinds.
        let time = began.elapsed();
        let picture = match format {
            Some(format) => Some(raw(&frame, format, time)),
            None => Picture::decoded(&frame, device, time),
        };
        if let Some(picture) = picture {
            return Some(Ok(picture));
        }
    }
}

fn raw(frame: &Frame, format: PixelFormat, time: Duration) -> Picture {
    let (width, height) = frame.resolution;
    let row = format.row_bytes(0, width);
    // Rows as long as the first plane's: I420's two colour planes are half as wide.
    let rows = match format {
        PixelFormat::Nv12 | PixelFormat::I420 => height as usize + height.div_ceil(2) as usize,
        _ => height as usize,
    };
    // `rscam` does not say how far rows are apart; a driver that pads them hands over more bytes.
    let stride =
        if frame.len().is_multiple_of(rows.max(1)) { frame.len() / rows.max(1) } else { row };
    let (stride, yuv) = (stride.max(row), YuvColour::default());
    Picture { bytes: frame.to_vec(), width, height, stride, format, yuv, time }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_size_that_the_camera_offers_is_taken() {
        let sizes = vec![(160, 120), (1280, 720), (800, 600), (320, 240)];
        assert_eq!(nearest_size(&ResolutionInfo::Discretes(sizes)), (800, 600));
        let steps = |min, max, step| nearest_size(&ResolutionInfo::Stepwise { min, max, step });
        assert_eq!(steps((32, 32), (4056, 3040), (2, 2)), (640, 480));
        assert_eq!(steps((100, 100), (300, 301), (7, 2)), (296, 300));
        assert_eq!(steps((800, 800), (900, 900), (0, 0)), (800, 800));
    }

    #[test]
    fn the_nearest_rate_that_the_camera_offers_is_taken() {
        let rates = |rates: &[(u32, u32)]| nearest(&IntervalInfo::Discretes(rates.to_vec()));
        assert_eq!(rates(&[(1, 60), (1, 25), (1, 5)]), (1, 25));
        assert_eq!(rates(&[(1001, 30_000), (0, 1)]), (1001, 30_000));
        assert_eq!(rates(&[]), WISHED_INTERVAL);
    }

    #[test]
    fn no_camera_names_the_way_without_one() {
        let error = open(63).err().unwrap().to_string();
        assert!(error.contains("/dev/video63") && error.contains("--source"), "{error}");
    }
}
