//! `dmue predict`: every image is read, answered, reported and, if asked for, drawn.

use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use dmue_edge::abstain::{self, threshold_for};
use dmue_edge::engine::{Engine, FrameResult, Prediction};
use dmue_edge::face::detector::DetectorOptions;
use dmue_edge::photo::Photo;
use dmue_edge::session::SessionOptions;
use indicatif::{ProgressBar, ProgressStyle};

use crate::output::{OutputFolder, crop_picture};
use crate::{annotate, inputs, json, labels, report};

/// Name the expression of every face in the given images.
///
/// Prints each face's box, expression, confidence and probabilities and the time per stage. Images
/// without a face say so. An image that cannot be read is named with the reason, the others are
/// still done, and the exit status is 1. With --out the answers of a whole folder become a table.
#[derive(clap::Args)]
pub struct Arguments {
    /// Image files (PNG, JPEG, BMP, WebP) and folders, which are searched through
    #[arg(required = true, value_name = "FILE_OR_FOLDER")]
    pub paths: Vec<PathBuf>,
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
    pub model: Option<PathBuf>,
    /// Each image already is one tightly framed face: find nothing, answer the whole image
    #[arg(long)]
    pub cropped: bool,
    /// How sure the detector must be that something is a face, 0 to 1
    #[arg(long, value_name = "SCORE", default_value_t = DetectorOptions::default().minimum_score)]
    pub minimum_detection_score: f32,
    /// Width in pixels of the smallest face to report
    #[arg(long, value_name = "PIXELS", default_value_t = DetectorOptions::default().minimum_face)]
    pub minimum_face: f32,
    /// 1 looks at the whole picture only; each further level finds faces half as large and takes
    /// about five times as long
    #[arg(long, value_name = "COUNT", default_value_t = DetectorOptions::default().levels)]
    pub levels: u32,
    /// Share of wrong answers that is tolerated, above 0 and below 1: less sure ones become `unsure`
    #[arg(long, value_name = "SHARE")]
    pub tolerated_error: Option<f64>,
    #[command(flatten)]
    pub labels: labels::Options,
}

impl Arguments {
    /// The engine that they ask for.
    pub fn engine(&self) -> dmue_edge::Result<Engine> {
        let mut options = DetectorOptions::default();
        options.minimum_score = self.minimum_detection_score;
        options.minimum_face = self.minimum_face;
        options.levels = self.levels;
        let builder = Engine::builder().detector(options);
        match &self.model {
            Some(file) => builder.model_file(file).build(),
            None => builder.build(),
        }
    }

    /// The score below which an answer is unsure; none where no error rate was named.
    pub fn threshold(&self, engine: &Engine) -> dmue_edge::Result<Option<f64>> {
        let Some(rate) = self.tolerated_error else { return Ok(None) };
        let mut options = SessionOptions::default();
        options.tolerated_error = Some(rate);
        options.check()?;
        Ok(Some(threshold_for(&engine.model().manifest().abstention, rate)?.threshold))
    }
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
    /// Below this score an answer is unsure.
    pub threshold: Option<f64>,
    pub decode_ms: f64,
    pub result: &'a FrameResult,
}

/// Answers all images. Only what concerns every image (model, output folders, standard output) is
/// an error here.
pub fn run(arguments: &Arguments) -> Result<Outcome, Box<dyn Error>> {
    if let Some(out) = &arguments.labels.out {
        return labels::run(arguments, out);
    }
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

/// A picture and its answer.
pub struct Seen {
    pub photo: Photo,
    pub width: u32,
    pub height: u32,
    pub decode_ms: f64,
    pub result: FrameResult,
}

/// Reads and answers one image; with `cropped` it is one face.
pub fn look(engine: &Engine, cropped: bool, file: &Path) -> dmue_edge::Result<Seen> {
    let start = Instant::now();
    let photo = Photo::open(file)?;
    let decode_ms = start.elapsed().as_secs_f64() * 1e3;
    let frame = photo.view()?;
    let result = if cropped { engine.predict_crop(&frame)? } else { engine.predict(&frame)? };
    let (width, height) = (frame.width(), frame.height());
    Ok(Seen { photo, width, height, decode_ms, result })
}

/// Whether the score does not reach `threshold`.
pub fn is_unsure(face: &Prediction, threshold: f64) -> bool {
    abstain::answer(face.class_index, face.score, threshold) == abstain::Answer::Unsure
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
    threshold: Option<f64>,
    annotated: Option<OutputFolder>,
    crops: Option<OutputFolder>,
    colour: bool,
}

impl<'a> Run<'a> {
    fn new(arguments: &'a Arguments) -> Result<Self, Box<dyn Error>> {
        let engine = arguments.engine()?;
        let folder = |path: &Option<PathBuf>| path.as_deref().map(OutputFolder::create).transpose();
        Ok(Self {
            arguments,
            threshold: arguments.threshold(&engine)?,
            engine,
            annotated: folder(&arguments.annotate)?,
            crops: folder(&arguments.dump_crops)?,
            colour: io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        })
    }

    /// The lines to print about one image.
    fn answer(&mut self, file: &Path) -> Result<String, Failure> {
        let Seen { photo, width, height, decode_ms, result } =
            look(&self.engine, self.arguments.cropped, file)?;
        let manifest = self.engine.model().manifest();
        let answer = Answer {
            file,
            width,
            height,
            model: &manifest.name,
            classes: &manifest.classes,
            threshold: self.threshold,
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
pub fn progress_bar(files: usize) -> ProgressBar {
    if files < 2 || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} images, {per_sec}, {eta} left");
    ProgressBar::new(files as u64)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Says what failed on standard error; one that is closed does not keep the others from being done.
pub fn complain(reason: &str) {
    let _ = writeln!(io::stderr(), "error: {reason}");
}

/// Writes to standard output at once.
pub fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}
