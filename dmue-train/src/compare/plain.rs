//! Classifiers of others as plain ONNX files, with a description of what they take.

use std::path::{Path, PathBuf};

use dmue_edge::face::align::FaceCrop;
use dmue_edge::model::Colour;
use serde::Deserialize;
use std::sync::Arc;
use tract_onnx::prelude::{
    DatumExt, Framework, InferenceModelExt, IntoRunnable, IntoTValue, Tensor, TractResult,
    TypedRunnableModel, tvec,
};

use crate::data::sample::CropSpec;
use crate::error::{Error, Result};

/// A file of descriptions: `[[model]]` tables.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    model: Vec<Description>,
}

/// What a plain ONNX classifier takes and gives.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// For the table.
    pub name: String,
    /// The ONNX file, relative to the description's folder. One input of one face, first output `[1, C]`.
    pub file: PathBuf,
    /// Names of the classes in the order of the output, as the data call them.
    pub classes: Vec<String>,
    /// Side of the crop in pixels.
    pub size: u32,
    /// `gray` or `rgb`.
    pub colour: Colour,
    /// Subtracted from pixels in 0..1.
    pub mean: f32,
    /// Divides the difference.
    pub std: f32,
    /// Whether channels stand last.
    #[serde(default)]
    pub channels_last: bool,
    /// Whether softmax is still to be taken of the output.
    #[serde(default)]
    pub logits: bool,
}

/// A plain classifier that is ready to run, by tract.
#[derive(Debug)]
pub struct Plain {
    /// As it was described.
    pub description: Description,
    plan: Arc<TypedRunnableModel>,
}

/// Opens every model of the list at `path`.
///
/// # Errors
/// A list that cannot be read, a model file that tract cannot run.
pub fn open(path: &Path) -> Result<Vec<Plain>> {
    let text = std::fs::read_to_string(path).map_err(Error::file(path))?;
    let list: List = toml::from_str(&text)
        .map_err(|error| Error::Config(format!("{}: {error}", path.display())))?;
    list.model.into_iter().map(|description| Plain::open(description, path)).collect()
}

impl Plain {
    fn open(mut description: Description, list: &Path) -> Result<Self> {
        description.file = list.with_file_name(&description.file);
        if !(description.std.is_finite() && description.std > 0. && description.mean.is_finite()) {
            let Description { name, mean, std, .. } = &description;
            let reason =
                format!("{name}: mean = {mean}, std = {std}: must be numbers, std above 0");
            return Err(Error::Config(reason));
        }
        let shape = description.shape();
        let load = || {
            tract_onnx::onnx()
                .model_for_path(&description.file)?
                .with_input_fact(0, f32::fact(shape).into())?
                .into_optimized()?
                .into_runnable()
        };
        let plan = load()
            .map_err(|error| Error::Config(format!("{}: {error:#}", description.file.display())))?;
        Ok(Self { description, plan })
    }

    /// What it takes.
    pub fn crop_spec(&self) -> CropSpec {
        CropSpec { size: self.description.size, colour: self.description.colour }
    }

    /// Probabilities `[C]` of a crop.
    ///
    /// # Errors
    /// A model that fails on it or gives another number of classes.
    pub fn probabilities(&self, crop: &FaceCrop) -> Result<Vec<f32>> {
        let Description { name, classes, logits, .. } = &self.description;
        let fail = |reason: String| Error::Config(format!("{name}: {reason}"));
        let values = self.run(crop).map_err(|error| fail(format!("{error:#}")))?;
        if values.len() != classes.len() || values.iter().any(|value| !value.is_finite()) {
            let (found, expected) = (values.len(), classes.len());
            return Err(fail(format!("gives {found} values, {expected} finite ones are needed")));
        }
        Ok(match logits {
            true => crate::export::values(
                &tch::Tensor::from_slice(&values).softmax(0, tch::Kind::Float),
            ),
            false => values,
        })
    }

    fn run(&self, crop: &FaceCrop) -> TractResult<Vec<f32>> {
        let Description { mean, std, channels_last, .. } = self.description;
        let (channels, area) = (crop.channels as usize, crop.pixels.len() / crop.channels as usize);
        let value = |index: usize| (f32::from(crop.pixels[index]) / 255. - mean) / std;
        let values: Vec<f32> = match channels_last {
            true => (0..crop.pixels.len()).map(value).collect(),
            false => (0..channels)
                .flat_map(|channel| (0..area).map(move |pixel| pixel * channels + channel))
                .map(value)
                .collect(),
        };
        let input = Tensor::from_shape(&self.description.shape(), &values)?;
        let outputs = self.plan.run(tvec!(input.into_tvalue()))?;
        Ok(outputs[0].to_plain_array_view::<f32>()?.iter().copied().collect())
    }
}

impl Description {
    fn shape(&self) -> [usize; 4] {
        let (side, channels) = (self.size as usize, self.colour.channels() as usize);
        match self.channels_last {
            true => [1, side, side, channels],
            false => [1, channels, side, side],
        }
    }
}
