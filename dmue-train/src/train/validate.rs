//! Accuracy of the target branch during training.

use tch::Device;

use crate::data::dataset::Dataset;
use crate::model::dmue::{Dmue, TargetOutputs};
use crate::train::epoch::normalise;

/// Images per forward pass.
const BATCH: usize = 256;

/// Shares of right answers.
#[derive(Clone, Copy, Debug)]
pub struct Validation {
    /// Of all images, 0..1.
    pub accuracy: f64,
    /// Mean over the classes of the share of each class, 0..1.
    pub mean_recall: f64,
}

/// The target branch's outputs for all images, batch by batch.
pub fn outputs(model: &Dmue, data: &Dataset, device: Device) -> Vec<(TargetOutputs, Vec<usize>)> {
    let indices: Vec<usize> = (0..data.len()).collect();
    let batches = indices.chunks(BATCH).map(|chunk| {
        let (images, _) = data.batch(chunk, device);
        (model.forward_target(&normalise(&images)), chunk.to_vec())
    });
    batches.collect()
}

/// Runs the target branch over all images.
pub fn validate(model: &Dmue, data: &Dataset, device: Device) -> Validation {
    let mut right = vec![0usize; data.classes.len()];
    for (output, chunk) in outputs(model, data, device) {
        let predicted = output.logits.argmax(1, false).to_device(Device::Cpu);
        for (row, &index) in chunk.iter().enumerate() {
            let label = data.labels[index];
            right[label] += usize::from(predicted.int64_value(&[row as i64]) == label as i64);
        }
    }
    let counts = data.counts();
    let recalls: Vec<f64> = right
        .iter()
        .zip(&counts)
        .filter(|(_, count)| **count > 0)
        .map(|(&right, &count)| right as f64 / count as f64)
        .collect();
    Validation {
        accuracy: right.iter().sum::<usize>() as f64 / data.len() as f64,
        mean_recall: recalls.iter().sum::<f64>() / recalls.len() as f64,
    }
}
