//! Faces, expressions and how sure they are, live: from a camera, a video or a folder of images.
//!
//! ```text
//! cargo run --example webcam
//! ```
#![allow(clippy::print_stdout, reason = "a program may print")]

#[cfg(target_os = "linux")]
mod camera;
mod canvas;
mod draw;
mod history;
mod moment;
mod panel;
mod record;
mod source;
mod streams;
mod strip;
mod terminal;
mod window;
#[path = "../y4m.rs"]
mod y4m;

use std::io::{IsTerminal, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use clap::Parser;
use dmue_edge::face::detector::DetectorOptions;
use dmue_edge::{Engine, Session, SessionOptions};

use crate::history::History;
use crate::moment::Moment;
use crate::record::Recorder;
use crate::source::{Failure, Pace, Picture, Pictures};

/// Faces, expressions and how sure they are, live.
#[derive(Parser)]
#[command(name = "webcam")]
struct Arguments {
    /// Camera N of Linux, /dev/videoN
    #[arg(long, value_name = "N", default_value_t = 0, conflicts_with = "source")]
    camera: u32,
    /// Instead of a camera: a folder of images, a video file, or - for Y4M, MJPEG or PPM on standard
    /// input
    #[arg(long, value_name = "FOLDER|VIDEO|-")]
    source: Option<PathBuf>,
    /// Pictures per second of sources that do not say: folders, MJPEG, PPM
    #[arg(long, value_name = "RATE", default_value_t = 15.0)]
    rate: f64,
    /// Text instead of a window
    #[arg(long)]
    terminal: bool,
    /// Write one JSON object a picture and line to FILE; examples/webcam/record.rs has the fields
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Share of wrong answers that is tolerated, above 0 and below 1: less sure ones become `unsure`
    #[arg(long, value_name = "SHARE")]
    tolerated_error: Option<f64>,
    /// How thoroughly the whole picture is searched: 1 finds faces from 1/12 of its longer side on, each
    /// further level finds faces half as large and takes about five times as long
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    levels: u32,
    /// Use this model (NAME.dmue.onnx) instead of the embedded one
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
}

/// Where answers are shown.
trait Screen {
    /// Shows a picture and what was said about it.
    fn show(&mut self, moment: &Moment<'_>) -> Result<(), Failure>;

    /// False once the user has closed it.
    fn is_open(&mut self) -> bool {
        true
    }

    /// After the last picture.
    fn end(&mut self, _stopped: &dyn Fn() -> bool) -> Result<(), Failure> {
        Ok(())
    }
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let stop = stop_on_ctrl_c()?;
    let (pictures, pace) = pictures(arguments)?;
    let mut detector = DetectorOptions::default();
    detector.levels = arguments.levels;
    let mut builder = Engine::builder().detector(detector);
    if let Some(file) = &arguments.model {
        builder = builder.model_file(file);
    }
    let engine = Arc::new(builder.build()?);
    let mut options = SessionOptions::default();
    options.tolerated_error = arguments.tolerated_error;
    let watcher = Watcher {
        session: Session::new(Arc::clone(&engine), options)?,
        engine,
        history: History::default(),
        recorder: arguments.record.as_deref().map(Recorder::create).transpose()?,
        screen: match arguments.terminal {
            true => Box::new(terminal::Terminal::new()),
            false => Box::new(window::Desktop::default()),
        },
    };
    watcher.watch(&source::start(pictures, pace), &stop)
}

fn pictures(arguments: &Arguments) -> Result<(Pictures, Pace), Failure> {
    let Some(source) = &arguments.source else {
        return Ok((open_camera(arguments.camera)?, Pace::Newest));
    };
    let rate = arguments.rate;
    if !(0.001..=1000.0).contains(&rate) {
        return Err(format!("--rate {rate}: from 0.001 to 1000 pictures per second").into());
    }
    // Somebody looks at it: at its own speed. Into a file or a pipe: as fast as it goes.
    let seen = !arguments.terminal || stdout().is_terminal();
    let pace = if seen { Pace::Timed } else { Pace::All };
    Ok((source::open(source, Duration::from_secs_f64(1.0 / rate))?, pace))
}

#[cfg(target_os = "linux")]
fn open_camera(index: u32) -> Result<Pictures, Failure> {
    camera::open(index)
}

#[cfg(not(target_os = "linux"))]
fn open_camera(_: u32) -> Result<Pictures, Failure> {
    Err("cameras are read on Linux only: pipe FFmpeg's Y4M output into --source -".into())
}

/// Set by the first Ctrl-C, which lets the picture at hand be finished; a second one ends at once.
fn stop_on_ctrl_c() -> Result<Arc<AtomicBool>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(130); // 128 + SIGINT, as shells have it
        }
    })?;
    Ok(stop)
}

/// Everything that a picture goes through.
struct Watcher {
    engine: Arc<Engine>,
    session: Session,
    history: History,
    recorder: Option<Recorder>,
    screen: Box<dyn Screen>,
}

impl Watcher {
    /// Until the source ends, the screen is closed or `stop` is set.
    fn watch(
        mut self,
        pictures: &Receiver<Result<Picture, Failure>>,
        stop: &AtomicBool,
    ) -> Result<(), Failure> {
        let stopped = || stop.load(Ordering::Relaxed);
        let mut count = 0_u64;
        while !stopped() && self.screen.is_open() {
            match pictures.recv_timeout(Duration::from_millis(20)) {
                Ok(picture) => {
                    self.answer(&picture?)?;
                    count += 1;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) if count == 0 => {
                    return Err("the source holds no picture that can be read".into());
                }
                Err(RecvTimeoutError::Disconnected) => return self.screen.end(&stopped),
            }
        }
        Ok(())
    }

    fn answer(&mut self, picture: &Picture) -> Result<(), Failure> {
        let start = Instant::now();
        let result = self.session.process(&picture.view()?, picture.time)?;
        let total_ms = start.elapsed().as_secs_f64() * 1e3;
        self.history.push(&result, picture.time);
        let moment = Moment {
            picture,
            result: &result,
            total_ms,
            classes: &self.engine.model().manifest().classes,
            threshold: self.session.threshold().map(|threshold| threshold.threshold),
            history: &self.history,
        };
        if let Some(recorder) = &mut self.recorder {
            recorder.write(&moment)?;
        }
        self.screen.show(&moment)
    }
}

#[cfg(test)]
mod tests;
