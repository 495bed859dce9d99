//! mu_i, the mean unit feature of each class (method.md section 7).

use tch::{Device, Kind, Tensor};

use super::target_outputs;
use crate::data::dataset::Dataset;
use crate::model::dmue::Dmue;
use crate::model::uncertainty::unit;

/// `[C, D]` over the training images as they are, by their labels; rows are shorter than 1.
pub fn class_means(model: &Dmue, data: &Dataset, device: Device) -> Tensor {
    let (_, feature) = target_outputs(model, data, device);
    let labels: Vec<i64> = data.labels.iter().map(|&label| label as i64).collect();
    let members =
        Tensor::from_slice(&labels).one_hot(data.classes.len() as i64).to_kind(Kind::Double);
    let counts = members.sum_dim_intlist([0i64].as_slice(), false, Kind::Double).clamp_min(1.);
    let sums = members.transpose(0, 1).matmul(&unit(&feature.to_kind(Kind::Double)));
    (sums / counts.unsqueeze(1)).to_kind(Kind::Float)
}
