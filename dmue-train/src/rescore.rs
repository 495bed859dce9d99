//! Another head for the score of a model file, from faces that its network has not seen.

use dmue_edge::model::file::ModelFile;
use dmue_edge::model::{Inference, Model};
use dmue_edge::parallel;
use tch::Tensor;

use crate::data::dataset::{Dataset, Source, crops};
use crate::error::Result;
use crate::export::score_head::{self, Examples};

/// Fits the score's head of `file` anew on the distinct faces of `source`, as the exporter does on those that a run
/// keeps apart, and takes its thresholds away, which were those of the old score. Gives the share of the faces
/// that are labelled right.
///
/// # Errors
/// A class of the data that the model does not know; no face.
pub fn rescore(file: &mut ModelFile, mut source: Source, seed: u64) -> Result<f64> {
    let model = Model::from_file(file.clone()).map_err(dmue_edge::Error::from)?;
    source.drop_duplicates();
    let data = Dataset::new(&source.labelled_as(&file.manifest.classes)?)?;
    let prior = file.uncertainty.prior();
    let shape = [prior.classes() as i64, prior.feature_size() as i64];
    let means = Tensor::from_slice(prior.class_means()).view(shape);
    let examples = Examples::new(&|images| outputs(&model, images), &data, &means, seed)?;
    let head = score_head::fit(&examples, seed).to_edge()?;
    file.uncertainty = file.uncertainty.clone().with_score_head(head)?;
    file.manifest.abstention.clear();
    Ok(examples.accuracy())
}

/// (feature `[n,D]`, logits `[n,C]`) of images `[n,ch,S,S]` in 0..1, on as many threads as libtorch takes.
fn outputs(model: &Model, images: &Tensor) -> Result<(Tensor, Tensor)> {
    let threads = tch::get_num_threads().max(1) as usize;
    let found = parallel::map(&crops(images)?, threads, |crop| model.infer(crop));
    let found: Vec<Inference> = found.into_iter().collect::<dmue_edge::Result<_>>()?;
    let rows = |values: fn(&Inference) -> &[f32]| {
        let rows: Vec<&[f32]> = found.iter().map(values).collect();
        Tensor::from_slice(&rows.concat()).view([found.len() as i64, -1])
    };
    Ok((rows(|found| &found.feature), rows(|found| &found.logits)))
}
