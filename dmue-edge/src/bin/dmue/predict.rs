//! `dmue predict`: every image is read, answered, reported and, if asked for, drawn.

use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use dmue_edge::engine::{Engine, FrameResult};
use dmue_edge::face::detector::DetectorOptions;
use dmue_edge::photo::Photo;
use indicatif::{ProgressBar, ProgressStyle};

use crate::output::{OutputFolder, crop_picture};
use crate::{annotate, inputs, json, report};

/// Name the expression of every face in the given images.
///
/// Prints each face's box, expression, confidence and probabilities and the time per stage. Images
/// without a face say so. An image that cannot be read is named with the reason, the others are
/// still done, and the exit status is 1.
#[derive(clap::Args)]
pub struct Arguments {
    /// Image files (PNG, JPEG, BMP, WebP) and folders, which are searched through
    #[arg(required = true, value_name = "FILE_OR_FOLDER")]
    paths: Vec<PathBuf>,
    /// Print one JSON object per image and line: file, width, height, model, faces (label, score,
    /// probabilities, detection_score, box, landmarks), timings_ms
    #[arg(long)]
    json: bool,
    /// With --json: the network's own outputs of each face too: logits, feature, alpha
    #[arg(long, requires = "json")]
    outputs: bool,
    /// Write each picture with boxes, labels and scores to DIR/NAME-annotated.png
    #[arg(long, value_name = "DIR")]
    annotate: Option<PathBuf>,
    /// Write each face as the network sees it to DIR/NAME-faceN.png
    #[arg(long, value_name = "DIR")]
    dump_crops: Option<PathBuf>,
    /// Use this model (NAME.dmue.onnx) instead of the embedded one
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Each image already is one tightly framed face: find nothing, answer the whole image
    #[arg(long)]
    cropped: bool,
    /// How sure the detector must be that something is a face, 0 to 1
    #[arg(long, value_name = "SCORE", default_value_t = DetectorOptions::default().minimum_score)]
    minimum_detection_score: f32,
    /// Width in pixels of the smallest face to report
    #[arg(long, value_name = "PIXELS", default_value_t = DetectorOptions::default().minimum_face)]
    minimum_face: f32,
    /// 1 looks at the whole picture only; each further level finds faces half as large and takes
    /// about five times as long
    #[arg(long, value_name = "COUNT", default_value_t = DetectorOptions::default().levels)]
    levels: u32,
}

/// How the run ended.
pub struct Outcome {
    /// Inputs that could not be read or answered.
    pub failed: usize,
}

/// What is known about one image.
pub struct Answer<'a> {
    pub file: &'a Path,
    pub width: u32,
    pub height: u32,
    pub model: &'a str,
    pub classes: &'a [String],
    pub decode_ms: f64,
    pub result: &'a FrameResult,
}

/// Answers all images. Only what concerns every image (model, output folders, standard output) is
/// an error here.
pub fn run(arguments: &Arguments) -> Result<Outcome, Box<dyn Error>> {
    let mut run = Run::new(arguments)?;
    let inputs = inputs::collect(&arguments.paths);
    let bar = progress_bar(inputs.len());
    let mut failed = 0;
    for input in inputs {
        let (file, answered) = match input {
            Ok(path) => (path.clone(), run.answer(&path)),
            Err(reason) => (PathBuf::new(), Err(Failure::Image(reason))),
        };
        match answered {
            Ok(line) => bar.suspend(|| print(&line))?,
            Err(Failure::Output(error)) => return Err(error.into()),
            Err(Failure::Image(reason)) => {
                failed += 1;
                bar.suspend(|| complain(&reason));
                if arguments.json && !file.as_os_str().is_empty() {
                    bar.suspend(|| print(&(json::error_line(&file, &reason)? + "\n")))?;
                }
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(Outcome { failed })
}

/// Why an image has no answer.
enum Failure {
    /// This image cannot be read or answered; others may.
    Image(String),
    /// Nothing can be written any more.
    Output(io::Error),
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::Output(error.into())
    }
}

impl From<dmue_edge::Error> for Failure {
    fn from(error: dmue_edge::Error) -> Self {
        Self::Image(error.to_string())
    }
}

struct Run<'a> {
    arguments: &'a Arguments,
    engine: Engine,
    annotated: Option<OutputFolder>,
    crops: Option<OutputFolder>,
    colour: bool,
}

impl<'a> Run<'a> {
    fn new(arguments: &'a Arguments) -> Result<Self, Box<dyn Error>> {
        let mut options = DetectorOptions::default();
        options.minimum_score = arguments.minimum_detection_score;
        options.minimum_face = arguments.minimum_face;
        options.levels = arguments.levels;
        let mut builder = Engine::builder().detector(options);
        if let Some(file) = &arguments.model {
            builder = builder.model_file(file);
        }
        let folder = |path: &Option<PathBuf>| path.as_deref().map(OutputFolder::create).transpose();
        Ok(Self {
            arguments,
            engine: builder.build()?,
            annotated: folder(&arguments.annotate)?,
            crops: folder(&arguments.dump_crops)?,
            colour: io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        })
    }

    /// The lines to print about one image.
    fn answer(&mut self, file: &Path) -> Result<String, Failure> {
        let start = Instant::now();
        let photo = Photo::open(file).map_err(dmue_edge::Error::from)?;
        let decode_ms = start.elapsed().as_secs_f64() * 1e3;
        let frame = photo.view().map_err(dmue_edge::Error::from)?;
        let result = match self.arguments.cropped {
            true => self.engine.predict_crop(&frame)?,
            false => self.engine.predict(&frame)?,
        };
        let manifest = self.engine.model().manifest();
        let answer = Answer {
            file,
            width: frame.width(),
            height: frame.height(),
            model: &manifest.name,
            classes: &manifest.classes,
            decode_ms,
            result: &result,
        };
        let text = match self.arguments.json {
            true => json::line(&answer, self.arguments.outputs)? + "\n",
            false => report::text(&answer, self.colour),
        };
        self.write_pictures(file, photo, &result).map_err(Failure::Output)?;
        Ok(text)
    }

    fn write_pictures(
        &mut self,
        file: &Path,
        photo: Photo,
        result: &FrameResult,
    ) -> io::Result<()> {
        if let Some(folder) = &mut self.crops {
            let stem = folder.stem(file);
            for (number, prediction) in (1..).zip(&result.predictions) {
                if let Some(picture) = crop_picture(&prediction.crop) {
                    folder.write(&format!("{stem}-face{number}"), &picture)?;
                }
            }
        }
        if let Some(folder) = &mut self.annotated {
            let name = format!("{}-annotated", folder.stem(file));
            let mut picture = photo.into_pixels();
            annotate::draw(&mut picture, &result.predictions);
            folder.write(&name, &picture.into())?;
        }
        Ok(())
    }
}

/// On standard error, and only where somebody watches more than one file go by.
fn progress_bar(files: usize) -> ProgressBar {
    if files < 2 || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} images, {eta} left");
    ProgressBar::new(files as u64)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Says what failed on standard error; one that is closed does not keep the others from being done.
pub fn complain(reason: &str) {
    let _ = writeln!(io::stderr(), "error: {reason}");
}

fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}
