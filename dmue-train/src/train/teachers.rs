//! Exported models whose answers are learnt from (distillation).

use std::path::PathBuf;

use dmue_edge::model::{Colour, Model};
use dmue_edge::parallel;
use tch::{Device, Kind, Tensor};

use crate::error::{Error, Result};
use crate::export::values;

/// Models of the same classes, asked about the very faces that the network sees.
#[derive(Debug)]
pub struct Teachers {
    models: Vec<Model>,
    temperature: f64,
    /// `[C]`, added to the teachers' logits.
    shift: Tensor,
}

impl Teachers {
    /// Opens the files; none where there are none. `shift` `[C]` is what makes an answer for the data's class
    /// shares one for the batches'.
    ///
    /// # Errors
    /// A file that the edge refuses, or one of other classes.
    pub fn open(
        files: &[PathBuf],
        temperature: f64,
        classes: &[String],
        shift: &[f64],
    ) -> Result<Option<Self>> {
        let models = files.iter().map(|file| {
            let model = Model::open(file).map_err(dmue_edge::Error::from)?;
            let found = &model.manifest().classes;
            if found != classes {
                let file = file.display();
                return Err(Error::Config(format!(
                    "method.teachers: {file} knows the classes {found:?}, the data have {classes:?}: a teacher \
                     needs the same, in the same order (data.classes chooses and orders them)"
                )));
            }
            Ok(model)
        });
        let models: Vec<Model> = models.collect::<Result<_>>()?;
        let shift = Tensor::from_slice(shift).to_kind(Kind::Float);
        Ok((!models.is_empty()).then_some(Self { models, temperature, shift }))
    }

    /// The mean of the teachers' softmax((logits + shift) / T): images `[N,ch,S,S]` in 0..1 -> `[N,C]` on
    /// `device`.
    ///
    /// # Errors
    /// A face that a teacher fails on.
    pub fn shares(&self, images: &Tensor, device: Device) -> Result<Tensor> {
        let images = images.to_device(Device::Cpu);
        let answers = self.models.iter().map(|model| {
            let faces = faces(model, &images);
            let threads = tch::get_num_threads().max(1) as usize;
            let rows = parallel::map(&faces, threads, |face| Ok(model.infer_tensor(face)?.logits));
            let rows: Vec<Vec<f32>> = rows.into_iter().collect::<Result<_>>()?;
            let logits = Tensor::from_slice(&rows.concat()).view([faces.len() as i64, -1]);
            Ok(((logits + &self.shift) / self.temperature).softmax(1, Kind::Float))
        });
        let answers: Vec<Tensor> = answers.collect::<Result<_>>()?;
        let mean = Tensor::stack(&answers, 0).mean_dim([0i64].as_slice(), false, Kind::Float);
        Ok(mean.to_device(device))
    }
}

/// Each face as the model takes it: its size, colour and normalisation.
fn faces(model: &Model, images: &Tensor) -> Vec<Vec<f32>> {
    let input = &model.manifest().input;
    let side = i64::from(input.size);
    let resized = match images.size()[2] == side {
        true => images.shallow_clone(),
        false => images.upsample_bilinear2d([side, side], false, None, None),
    };
    let coloured = match (input.colour, resized.size()[1]) {
        (Colour::Gray, 1) | (Colour::Rgb, 3) => resized,
        (Colour::Gray, _) => gray(&resized),
        (Colour::Rgb, _) => resized.repeat([1, 3, 1, 1]),
    };
    let column = |values: &[f32]| Tensor::from_slice(values).view([1, -1, 1, 1]);
    let normalised = (coloured - column(&input.mean)) / column(&input.std);
    (0..normalised.size()[0]).map(|row| values(&normalised.get(row))).collect()
}

/// ITU-R BT.601 luma of `[N,3,S,S]`.
fn gray(images: &Tensor) -> Tensor {
    let weights = Tensor::from_slice(&[0.299f32, 0.587, 0.114]).view([1, 3, 1, 1]);
    (images * weights).sum_dim_intlist([1i64].as_slice(), true, Kind::Float)
}
