//! What an exported model's answers say about how sure it is.

use dmue_edge::model::{Inference, Model};
use dmue_edge::uncertainty::unit;

use crate::report::confidence::MAX_SOFTMAX;
use crate::report::opened::Measure;
use crate::report::statistics::largest;

/// Measures of the confidence in each answer, the shipped score first: largest calibrated probability,
/// entropy, energy (log of the sum of exp(logits)) and cosine to the answer's class mean.
pub fn measures(model: &Model, inferences: &[Inference]) -> Vec<Measure> {
    let means = model.uncertainty().prior().class_means();
    let measure = |name, confidence: &dyn Fn(&Inference) -> f64| Measure {
        name,
        confidence: inferences.iter().map(confidence).collect(),
        knows_label: false,
    };
    vec![
        measure("score", &|inference| inference.score.into()),
        measure(MAX_SOFTMAX, &|inference| wide(&inference.probabilities).fold(0., f64::max)),
        measure("entropy", &|inference| {
            wide(&inference.probabilities)
                .map(|share| share * share.max(f64::MIN_POSITIVE).ln())
                .sum()
        }),
        measure("energy", &|inference| {
            let top = wide(&inference.logits).fold(f64::NEG_INFINITY, f64::max);
            top + wide(&inference.logits).map(|logit| (logit - top).exp()).sum::<f64>().ln()
        }),
        measure("feature-centroid distance", &|inference| {
            let answer = largest(&wide(&inference.probabilities).collect::<Vec<_>>());
            let size = inference.feature.len();
            wide(&unit(&inference.feature))
                .zip(wide(&means[answer * size..][..size]))
                .map(|(a, b)| a * b)
                .sum()
        }),
    ]
}

fn wide(values: &[f32]) -> impl Iterator<Item = f64> {
    values.iter().map(|&value| value.into())
}
