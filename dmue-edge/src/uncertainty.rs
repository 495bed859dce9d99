//! Pairwise uncertainty: how sure the network may be of its label, from the similarity of the
//! face's feature to the features of every class.
//!
//! The letters are the method's: C classes, D feature size, H hidden units, `f` a unit feature,
//! `mu_i` the mean unit feature of class i over the training faces, `n0` the weight of that prior,
//! `SV` the C mean similarities. [`crate::model::graph`] writes the same formulas as ONNX nodes;
//! loading a model compares the two.

/// Smallest norm a feature is divided by: a zero feature stays zero instead of turning into NaN.
pub const MIN_NORM: f32 = 1e-12;

/// Smallest range that min-max scaling divides by. A cosine in f32 is good to about 1e-7, so a
/// spread below 1e-4 is close to rounding noise and must not be blown up to 0..1.
pub const MIN_RANGE: f32 = 1e-4;

/// Parts of the uncertainty whose sizes do not belong together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{part} has {found} values where {expected} are needed; build it for the \
     same classes and feature size"
)]
pub struct ShapeError {
    /// Which part.
    pub part: &'static str,
    /// How many values it has.
    pub found: usize,
    /// How many it must have.
    pub expected: usize,
}

/// `feature` `[D]` divided by its Euclidean norm: `f = r / ||r||_2`; a zero feature stays zero.
pub fn unit(feature: &[f32]) -> Vec<f32> {
    let norm = dot(feature, feature).sqrt().max(MIN_NORM);
    feature.iter().map(|value| value / norm).collect()
}

/// What training knows of the classes: `mu_i` `[C, D]` and the weight `n0 > 0` it has beside seen
/// frames (section 7).
#[derive(Clone, Debug, PartialEq)]
pub struct Prior {
    class_means: Vec<f32>,
    weight: f32,
    feature_size: usize,
}

impl Prior {
    /// `class_means` is `[C, D]` row major, the mean of each class's *unit* features (so rows are
    /// shorter than 1).
    ///
    /// # Errors
    /// When `class_means` is not `classes * feature_size` long or either is zero.
    pub fn new(
        class_means: Vec<f32>,
        weight: f32,
        classes: usize,
        feature_size: usize,
    ) -> Result<Self, ShapeError> {
        let expected = classes.max(1).saturating_mul(feature_size.max(1));
        check_length("class_means", class_means.len(), expected)?;
        Ok(Self { class_means, weight, feature_size: feature_size.max(1) })
    }

    /// `mu_i`, `[C, D]` row major.
    pub fn class_means(&self) -> &[f32] {
        &self.class_means
    }

    /// `n0`, the number of frames that the prior counts for.
    pub fn weight(&self) -> f32 {
        self.weight
    }

    /// C.
    pub fn classes(&self) -> usize {
        self.class_means.len() / self.feature_size
    }

    /// D.
    pub fn feature_size(&self) -> usize {
        self.feature_size
    }
}

/// Running sums of a window of frames: `s_i` `[C, D]` of unit features and `n_i` `[C]`, the
/// (weighted) count behind each.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassSums {
    /// `s_i`, `[C, D]` row major.
    pub sums: Vec<f32>,
    /// `n_i >= 0`, `[C]`.
    pub counts: Vec<f32>,
}

/// Section 7: `SV[i] = (n0 <f, mu_i> + <f, s_i>) / (n0 + n_i)`, `[C]` values in -1..1.
///
/// `unit_feature` is `f` `[D]`; without a `window` (W = 0) all `s_i` and `n_i` are zero.
pub fn similarity(unit_feature: &[f32], prior: &Prior, window: Option<&ClassSums>) -> Vec<f32> {
    let rows = prior.class_means.chunks_exact(prior.feature_size).enumerate();
    rows.map(|(class, mean)| {
        let seen = window.and_then(|window| window.of_class(class, prior.feature_size));
        let (sum, count) = seen.map_or((0.0, 0.0), |(sum, n)| (dot(unit_feature, sum), n));
        (prior.weight * dot(unit_feature, mean) + sum) / (prior.weight + count)
    })
    .collect()
}

impl ClassSums {
    fn of_class(&self, class: usize, feature_size: usize) -> Option<(&[f32], f32)> {
        let sum = self.sums.chunks_exact(feature_size).nth(class)?;
        Some((sum, *self.counts.get(class)?))
    }
}

/// Section 4: `SV` scaled by its own minimum and maximum, `[C]` values in 0..1. Where the two are
/// closer than [`MIN_RANGE`], that is what it divides by, so equal similarities give zeros.
pub fn scale(similarities: &[f32]) -> Vec<f32> {
    let minimum = similarities.iter().copied().fold(f32::INFINITY, f32::min);
    let maximum = similarities.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let range = (maximum - minimum).max(MIN_RANGE);
    similarities.iter().map(|value| (value - minimum) / range).collect()
}

/// Index of the largest of `logits` `[C]`, the first of equals; 0 for none.
pub fn predicted_class(logits: &[f32]) -> usize {
    let mut best = 0;
    let mut largest = f32::NEG_INFINITY;
    for (class, &logit) in logits.iter().enumerate() {
        if logit > largest {
            (best, largest) = (class, logit);
        }
    }
    best
}

/// Section 4, the paper's head: `[scaled SV, onehot(predicted)]`, 2C values.
pub fn alpha_input(similarities: &[f32], predicted: usize) -> Vec<f32> {
    let mut input = scale(similarities);
    input.extend(one_hot(similarities.len(), predicted));
    input
}

/// Section 4b, the score's head: `[SV sorted, SV of predicted, scaled SV, onehot(predicted),
/// log-probabilities sorted]`, 4C + 1 values, both sorts largest first. `logits` is `[C]`. A head that tells
/// faces from other things takes the feature `[D]`, not normalised, behind them.
pub fn score_input(similarities: &[f32], logits: &[f32]) -> Vec<f32> {
    let predicted = predicted_class(logits);
    let mut input = sorted(similarities.to_vec());
    input.push(similarities.get(predicted).copied().unwrap_or(0.0));
    input.extend(alpha_input(similarities, predicted));
    input.extend(sorted(log_softmax(logits)));
    input
}

fn sorted(mut values: Vec<f32>) -> Vec<f32> {
    values.sort_by(|a, b| b.total_cmp(a));
    values
}

fn log_softmax(logits: &[f32]) -> Vec<f32> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = logits.iter().map(|logit| (logit - largest).exp()).sum();
    logits.iter().map(|logit| logit - largest - sum.ln()).collect()
}

/// `sigmoid(W2 . PReLU(W1 x + b1) + b2)`: the two-layer form of both heads (section 4).
#[derive(Clone, Debug, PartialEq)]
pub struct TwoLayerHead {
    w1: Vec<f32>,
    b1: Vec<f32>,
    prelu: f32,
    w2: Vec<f32>,
    b2: f32,
    inputs: usize,
}

impl TwoLayerHead {
    /// `w1` `[H, inputs]` row major, `b1` `[H]`, `prelu` the one slope for negative values, `w2`
    /// `[1, H]`, `b2`.
    ///
    /// # Errors
    /// When `w1` or `w2` do not fit the H of `b1`, or H or `inputs` is zero.
    pub fn new(
        inputs: usize,
        w1: Vec<f32>,
        b1: Vec<f32>,
        prelu: f32,
        w2: Vec<f32>,
        b2: f32,
    ) -> Result<Self, ShapeError> {
        let (inputs, hidden) = (inputs.max(1), b1.len().max(1));
        check_length("a head's b1", b1.len(), hidden)?;
        check_length("a head's w1", w1.len(), hidden.saturating_mul(inputs))?;
        check_length("a head's w2", w2.len(), hidden)?;
        Ok(Self { w1, b1, prelu, w2, b2, inputs })
    }

    /// The head's answer in 0..1 for `input` `[inputs]`.
    pub fn forward(&self, input: &[f32]) -> f32 {
        let hidden = self.w1.chunks_exact(self.inputs).zip(&self.b1).map(|(row, bias)| {
            let value = dot(row, input) + bias;
            if value < 0.0 { self.prelu * value } else { value }
        });
        let logit: f32 = hidden.zip(&self.w2).map(|(value, weight)| value * weight).sum();
        1.0 / (1.0 + (-(logit + self.b2)).exp())
    }

    /// How many values it takes.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// H, its hidden units.
    pub fn hidden(&self) -> usize {
        self.b1.len()
    }

    /// `(w1 [H, inputs], b1 [H], prelu, w2 [1, H], b2)`, as [`TwoLayerHead::new`] took them.
    pub fn weights(&self) -> (&[f32], &[f32], f32, &[f32], f32) {
        (&self.w1, &self.b1, self.prelu, &self.w2, self.b2)
    }

    /// The head that gives sigmoid(`scale` z + `shift`) where this one gives sigmoid(z).
    fn recalibrated(&self, scale: f32, shift: f32) -> Self {
        let w2 = self.w2.iter().map(|weight| scale * weight).collect();
        Self { w2, b2: scale * self.b2 + shift, ..self.clone() }
    }
}

/// The two answers about one face, both in 0..1, higher is more certain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Confidence {
    /// Estimate of the probability that the predicted label is right (section 4b).
    pub score: f32,
    /// The paper's confidence, fed with the predicted class (section 4).
    pub alpha: f32,
}

/// Everything a model file knows about uncertainty: the prior and the two heads.
#[derive(Clone, Debug, PartialEq)]
pub struct PairwiseUncertainty {
    prior: Prior,
    score_head: TwoLayerHead,
    alpha_head: TwoLayerHead,
}

impl PairwiseUncertainty {
    /// Joins the parts.
    ///
    /// # Errors
    /// When `score_head` takes neither 4C + 1 nor 4C + 1 + D values, or `alpha_head` not 2C.
    pub fn new(
        prior: Prior,
        score_head: TwoLayerHead,
        alpha_head: TwoLayerHead,
    ) -> Result<Self, ShapeError> {
        let classes = prior.classes();
        let sizes = score_input_sizes(classes, prior.feature_size);
        if !sizes.contains(&score_head.inputs) {
            check_length("score_head's input", score_head.inputs, sizes[0])?;
        }
        check_length("alpha_head's input", alpha_head.inputs, alpha_inputs(classes))?;
        Ok(Self { prior, score_head, alpha_head })
    }

    /// Both answers for one face from its `feature` `[D]` (any length) and `logits` `[C]`.
    pub fn confidence(
        &self,
        feature: &[f32],
        logits: &[f32],
        window: Option<&ClassSums>,
    ) -> Confidence {
        let similarities = similarity(&unit(feature), &self.prior, window);
        let predicted = predicted_class(logits);
        let mut score_input = score_input(&similarities, logits);
        if self.takes_feature() {
            score_input.extend_from_slice(feature);
        }
        Confidence {
            score: self.score_head.forward(&score_input),
            alpha: self.alpha_head.forward(&alpha_input(&similarities, predicted)),
        }
    }

    /// The same with score sigmoid(`scale` z + `shift`) where it was sigmoid(z); `scale` above 0 keeps the
    /// order of scores.
    pub fn recalibrated(&self, scale: f32, shift: f32) -> Self {
        Self { score_head: self.score_head.recalibrated(scale, shift), ..self.clone() }
    }

    /// The same with another head for `score`.
    ///
    /// # Errors
    /// As [`PairwiseUncertainty::new`].
    pub fn with_score_head(self, score_head: TwoLayerHead) -> Result<Self, ShapeError> {
        Self::new(self.prior, score_head, self.alpha_head)
    }

    /// Whether the score's head takes the feature behind the 4C + 1 values of [`score_input`].
    pub fn takes_feature(&self) -> bool {
        self.score_head.inputs > score_inputs(self.prior.classes())
    }

    /// Class means and prior weight.
    pub fn prior(&self) -> &Prior {
        &self.prior
    }

    /// The head of `score`.
    pub fn score_head(&self) -> &TwoLayerHead {
        &self.score_head
    }

    /// The head of `alpha`.
    pub fn alpha_head(&self) -> &TwoLayerHead {
        &self.alpha_head
    }
}

/// 4C + 1, the length of [`score_input`].
pub fn score_inputs(classes: usize) -> usize {
    classes.saturating_mul(4).saturating_add(1)
}

/// How many values a score's head may take: those of [`score_input`], or the feature `[D]` behind them, too.
pub(crate) fn score_input_sizes(classes: usize, feature_size: usize) -> [usize; 2] {
    let pairwise = score_inputs(classes);
    [pairwise, pairwise.saturating_add(feature_size)]
}

/// 2C, the length of [`alpha_input`].
pub fn alpha_inputs(classes: usize) -> usize {
    classes.saturating_mul(2)
}

fn one_hot(classes: usize, hot: usize) -> impl Iterator<Item = f32> {
    (0..classes).map(move |class| f32::from(u8::from(class == hot)))
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn check_length(part: &'static str, found: usize, expected: usize) -> Result<(), ShapeError> {
    if found == expected { Ok(()) } else { Err(ShapeError { part, found, expected }) }
}

#[cfg(test)]
mod tests;
