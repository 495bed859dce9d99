//! The pairwise uncertainty of the paper (method.md section 4), on tensors.

use dmue_edge::uncertainty::{MIN_NORM, MIN_RANGE};
use tch::{Tensor, nn};

/// The two-layer head that turns similarity values and a label into alpha in 0..1.
#[derive(Debug)]
pub struct Uncertainty {
    /// W1 `[C, 2C]`
    pub weight1: Tensor,
    /// b1 `[C]`
    pub bias1: Tensor,
    /// PReLU's slope, one value.
    pub slope: Tensor,
    /// W2 `[1, C]`
    pub weight2: Tensor,
    /// b2 `[1]`
    pub bias2: Tensor,
}

impl Uncertainty {
    /// Makes the variables for C classes.
    pub fn new(path: &nn::Path, classes: i64) -> Self {
        let uniform = |fan_in: i64| {
            let bound = 1. / (fan_in as f64).sqrt();
            nn::Init::Uniform { lo: -bound, up: bound }
        };
        Self {
            weight1: path.var("w1", &[classes, 2 * classes], uniform(2 * classes)),
            bias1: path.var("b1", &[classes], nn::Init::Const(0.)),
            slope: path.var("prelu", &[1], nn::Init::Const(0.25)),
            weight2: path.var("w2", &[1, classes], uniform(classes)),
            bias2: path.var("b2", &[1], nn::Init::Const(0.)),
        }
    }

    /// alpha = sigmoid(W2 . PReLU(W1 . `[SV, onehot]` + b1) + b2): feature `[N,D]`, labels `[N]` -> `[N,1]`.
    pub fn forward(&self, feature: &Tensor, labels: &Tensor) -> Tensor {
        let classes = self.bias1.size1().unwrap_or(0);
        self.judge(&similarity(feature, labels, classes), labels)
    }

    /// alpha for similarity values `[N,C]` that come from elsewhere than the batch: labels `[N]` ->
    /// `[N,1]`.
    pub fn judge(&self, similarity: &Tensor, labels: &Tensor) -> Tensor {
        let classes = similarity.size()[1];
        let one_hot = labels.one_hot(classes).to_kind(similarity.kind());
        let input = Tensor::cat(&[scale(similarity), one_hot], 1);
        input
            .linear(&self.weight1, Some(&self.bias1))
            .prelu(&self.slope)
            .linear(&self.weight2, Some(&self.bias2))
            .sigmoid()
    }
}

/// SV `[N,C]`: the mean cosine between image a and the batch's images x != a of each class.
/// A class without such an image gets 0.
pub fn similarity(feature: &Tensor, labels: &Tensor, classes: i64) -> Tensor {
    let unit = unit(feature);
    let cosine = unit.matmul(&unit.transpose(0, 1));
    let others: Tensor = 1. - Tensor::eye(cosine.size()[0], (feature.kind(), feature.device()));
    let members = labels.one_hot(classes).to_kind(feature.kind());
    let counts = others.matmul(&members);
    (cosine * others).matmul(&members) / counts.clamp_min(1.)
}

/// Rows scaled to 0..1 by their own minimum and maximum; the range counts at least [`MIN_RANGE`], so
/// a constant row becomes 0, as on the edge.
pub fn scale(values: &Tensor) -> Tensor {
    let (low, high) = (values.amin([1i64].as_slice(), true), values.amax([1i64].as_slice(), true));
    (values - &low) / (high - low).clamp_min(f64::from(MIN_RANGE))
}

/// Rows divided by their Euclidean norm; the norm counts at least [`MIN_NORM`], as on the edge.
pub fn unit(feature: &Tensor) -> Tensor {
    let squares = feature.square().sum_dim_intlist([1i64].as_slice(), true, feature.kind());
    // Clamped before the root, which has no finite gradient at 0.
    feature / squares.clamp_min(f64::from(MIN_NORM).powi(2)).sqrt()
}
