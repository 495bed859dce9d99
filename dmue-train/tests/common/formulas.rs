//! method.md written out as loops in f64, and the inputs that they and the library are given.

use dmue_train::config::Method;
use serde::Deserialize;

use super::{Draws, Matrix};

/// Smallest range that min-max scaling divides by (method.md section 4, "guard max = min"): 1e-4 as
/// f32 holds it, because the edge does.
const SMALLEST_RANGE: f64 = 1e-4f32 as f64;

/// A batch as the network would give it: N images, C classes, D features.
#[derive(Clone, Debug, Deserialize)]
pub struct Batch {
    /// `[N]`
    pub labels: Vec<usize>,
    /// `[N]``[C+1]``[D]`, the target branch last.
    pub features: Vec<Matrix>,
    /// `[N]``[C]`
    pub target_logits: Matrix,
    /// `[C]``[N]``[C-1]`
    pub auxiliary_logits: Vec<Matrix>,
    /// `[C]``[N]``[C-1]`
    pub mined_logits: Vec<Matrix>,
    pub head: Head,
}

/// The paper's uncertainty head.
#[derive(Clone, Debug, Deserialize)]
pub struct Head {
    /// `[C]``[2C]`
    pub w1: Matrix,
    /// `[C]`
    pub b1: Vec<f64>,
    pub slope: f64,
    /// `[C]`
    pub w2: Vec<f64>,
    pub b2: f64,
}

/// Everything that the losses make of a batch.
#[derive(Clone, Debug, Deserialize)]
pub struct Expected {
    pub auxiliary: f64,
    /// `[N]``[C]`
    pub latent: Matrix,
    pub soft: f64,
    pub similarity: f64,
    /// SV, `[N]``[C]`
    pub pairwise: Matrix,
    /// `[N]`
    pub alpha: Vec<f64>,
    pub target: f64,
    pub total: f64,
}

impl Batch {
    /// Two to nine classes, of which some may be missing; all sizes drawn.
    pub fn random(seed: u64) -> Self {
        let mut draws = Draws::new(seed);
        let (classes, images) = (draws.whole(2, 9), draws.whole(2, 24));
        let size = draws.whole(1, 12);
        let present = draws.whole(1, classes);
        let labels = (0..images).map(|_| draws.whole(0, present - 1)).collect();
        let mut blocks = |count: usize, rows: usize, columns: usize, width: f64| -> Vec<Matrix> {
            (0..count).map(|_| draws.matrix(rows, columns, width)).collect()
        };
        Self {
            labels,
            features: blocks(images, classes + 1, size, 2.),
            auxiliary_logits: blocks(classes, images, classes - 1, 3.),
            mined_logits: blocks(classes, images, classes - 1, 3.),
            target_logits: draws.matrix(images, classes, 3.),
            head: Head {
                w1: draws.matrix(classes, 2 * classes, 1.),
                b1: draws.row(classes, 1.),
                slope: 0.25,
                w2: draws.row(classes, 1.),
                b2: draws.spread(1.),
            },
        }
    }

    pub fn classes(&self) -> usize {
        self.auxiliary_logits.len()
    }

    /// f^i of all images, `[N]``[D]`.
    pub fn branch(&self, index: usize) -> Matrix {
        self.features.iter().map(|image| image[index].clone()).collect()
    }
}

impl Expected {
    pub fn of(batch: &Batch, method: &Method, epoch: f64) -> Self {
        let (classes, labels) = (batch.classes(), &batch.labels);
        let latent = latent(&batch.mined_logits, labels, method.temperature);
        let pairwise = pairwise(&batch.branch(classes), labels, classes);
        let alpha: Vec<f64> = pairwise
            .iter()
            .zip(labels)
            .map(|(row, &label)| alpha(&batch.head, row, label))
            .collect();
        let terms = Self {
            auxiliary: auxiliary(&batch.auxiliary_logits, labels),
            soft: soft(&batch.target_logits, &latent, labels),
            similarity: similarity(batch),
            target: weighted_cross_entropy(&alpha, &batch.target_logits, labels),
            latent,
            pairwise,
            alpha,
            total: 0.,
        };
        let rising = terms.target + method.omega * terms.soft + method.gamma * terms.similarity;
        let total = up(epoch, method.beta) * rising + down(epoch, method.beta) * terms.auxiliary;
        Self { total, ..terms }
    }
}

pub fn softmax(logits: &[f64]) -> Vec<f64> {
    let exponentials: Vec<f64> = logits.iter().map(|logit| logit.exp()).collect();
    let sum: f64 = exponentials.iter().sum();
    exponentials.iter().map(|value| value / sum).collect()
}

/// Section 2: `1/C * sum_i CE(head_i(f_aux^i[y != i]), relabelled y)`.
pub fn auxiliary(logits: &[Matrix], labels: &[usize]) -> f64 {
    let mut sum = 0.;
    for (i, branch) in logits.iter().enumerate() {
        let (mut entropy, mut images) = (0., 0.);
        for (row, &y) in branch.iter().zip(labels) {
            if y != i {
                let relabelled = if y < i { y } else { y - 1 };
                entropy -= softmax(row)[relabelled].ln();
                images += 1.;
            }
        }
        if images > 0. {
            sum += entropy / images;
        }
    }
    sum / logits.len() as f64
}

/// Section 2: `p_j^(1/T) / sum_k p_k^(1/T)` of branch y, with a 0 put at position y.
pub fn latent(logits: &[Matrix], labels: &[usize], temperature: f64) -> Matrix {
    let mut rows = vec![];
    for (n, &y) in labels.iter().enumerate() {
        let probabilities = softmax(&logits[y][n]);
        let powers: Vec<f64> = probabilities.iter().map(|p| p.powf(1. / temperature)).collect();
        let sum: f64 = powers.iter().sum();
        let mut row: Vec<f64> = powers.iter().map(|power| power / sum).collect();
        row.insert(y, 0.);
        rows.push(row);
    }
    rows
}

/// Section 2: mean over N and C of `(softmax(head_tar)_c * [c != y] - t_c)^2`.
pub fn soft(logits: &Matrix, latent: &Matrix, labels: &[usize]) -> f64 {
    let mut sum = 0.;
    for ((row, target), &y) in logits.iter().zip(latent).zip(labels) {
        for (c, p) in softmax(row).into_iter().enumerate() {
            let kept = if c == y { 0. } else { p };
            sum += (kept - target[c]).powi(2);
        }
    }
    sum / (labels.len() * logits[0].len()) as f64
}

/// Section 3: `L_sp = 1/C * sum_i 1/N_i^2 * ||M^i * A_tar - M^i * A_aux^i||_F^2`.
pub fn similarity(batch: &Batch) -> f64 {
    let (classes, labels) = (batch.classes(), &batch.labels);
    let target = normalised_gram(&batch.branch(classes));
    let mut sum = 0.;
    for i in 0..classes {
        let images = labels.iter().filter(|&&y| y != i).count() as f64;
        let auxiliary = normalised_gram(&batch.branch(i));
        for (q, &y_q) in labels.iter().enumerate() {
            for (p, &y_p) in labels.iter().enumerate() {
                if y_q != i && y_p != i {
                    sum += (target[q][p] - auxiliary[q][p]).powi(2) / images.powi(2);
                }
            }
        }
    }
    sum / classes as f64
}

/// Rows `r / ||r||_2` with `r = f[j] . f^T`.
fn normalised_gram(features: &Matrix) -> Matrix {
    let row = |f: &Vec<f64>| {
        let r: Vec<f64> = features.iter().map(|other| dot(f, other)).collect();
        let norm = dot(&r, &r).sqrt();
        r.iter().map(|value| value / norm).collect()
    };
    features.iter().map(row).collect()
}

/// Section 4: `SV_a[i]` = mean of `cos(a, x)` over the images x != a with `y_x = i`.
pub fn pairwise(features: &Matrix, labels: &[usize], classes: usize) -> Matrix {
    let mut rows = vec![];
    for (a, f) in features.iter().enumerate() {
        let mut row = vec![0.; classes];
        for (i, value) in row.iter_mut().enumerate() {
            let others = (0..labels.len()).filter(|&x| x != a && labels[x] == i);
            let cosines: Vec<f64> = others.map(|x| cosine(f, &features[x])).collect();
            if !cosines.is_empty() {
                *value = cosines.iter().sum::<f64>() / cosines.len() as f64;
            }
        }
        rows.push(row);
    }
    rows
}

/// Section 4: `sigmoid(W2 . PReLU(W1 . [scaled SV, onehot] + b1) + b2)`.
pub fn alpha(head: &Head, pairwise: &[f64], label: usize) -> f64 {
    let low = pairwise.iter().copied().fold(f64::INFINITY, f64::min);
    let high = pairwise.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let range = (high - low).max(SMALLEST_RANGE);
    let mut input: Vec<f64> = pairwise.iter().map(|value| (value - low) / range).collect();
    input.extend((0..pairwise.len()).map(|c| if c == label { 1. } else { 0. }));
    let mut logit = head.b2;
    for ((row, bias), weight) in head.w1.iter().zip(&head.b1).zip(&head.w2) {
        let value = dot(row, &input) + bias;
        logit += weight * if value < 0. { head.slope * value } else { value };
    }
    1. / (1. + (-logit).exp())
}

/// Section 4: `CE(alpha * logits_tar, y)`.
pub fn weighted_cross_entropy(alpha: &[f64], logits: &Matrix, labels: &[usize]) -> f64 {
    let mut sum = 0.;
    for ((alpha, row), &y) in alpha.iter().zip(logits).zip(labels) {
        let scaled: Vec<f64> = row.iter().map(|logit| alpha * logit).collect();
        sum -= softmax(&scaled)[y].ln();
    }
    sum / labels.len() as f64
}

/// Section 5, `w_u(e)`.
pub fn up(epoch: f64, beta: f64) -> f64 {
    if epoch > beta { 1. } else { (-5. * (1. - epoch / beta) * (1. - epoch / beta)).exp() }
}

/// Section 5, `w_d(e)`.
pub fn down(epoch: f64, beta: f64) -> f64 {
    if epoch > beta { (-(1. - beta / epoch) * (1. - beta / epoch)).exp() } else { 1. }
}

pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

pub fn cosine(a: &[f64], b: &[f64]) -> f64 {
    dot(a, b) / (dot(a, a).sqrt() * dot(b, b).sqrt())
}
