//! The head behind `score` (method.md 4b): fitted on faces that the network was not trained on to
//! say whether its label is right.

use dmue_edge::uncertainty::{ShapeError, TwoLayerHead};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, Tensor, nn};

use super::familiarity::{Familiarity, Standardised};
use super::values;
use crate::config::{Optimiser as Settings, Rule};
use crate::data::corrupt::{Corruption, without_face};
use crate::data::dataset::Dataset;
use crate::error::Result;
use crate::model::uncertainty::{scale, unit};
use crate::train::optimiser::Optimiser;

const HIDDEN: i64 = 16;
const STEPS: usize = 300;
/// Weight of the squared distance from where the head begins: a few thousand examples for 600 weights. Chosen by
/// four folds of held-out faces, from 0.0003 to 0.1: more cost crops without a face, less cost AURC.
const HELD: f64 = 0.003;
/// The same for what the head makes of the familiarity, as a share: many examples speak of it.
const HELD_FAMILIARITY: f64 = 0.1;
/// What the head begins as: log p of the most likely class, and of the next, and a constant.
const START: [f64; 3] = [1., -0.7, 1.5];
/// Of the other weights at the beginning.
const DEVIATION: f64 = 0.02;
/// By how much the score's logit falls for each logit of familiarity below 0, at the beginning, in
/// [`FAMILIARITY_SCALE`].
const FALL: f64 = 1.;
/// Slope of PReLU for negative values at the beginning.
const SLOPE: f64 = 0.25;
/// Logits of familiarity that the head takes for one: inputs are of the size of 1.
const FAMILIARITY_SCALE: f64 = 4.;
const SETTINGS: Settings = Settings {
    rule: Rule::Adamw,
    body_rate: 1e-2,
    head_rate: 1e-2,
    uncertainty_rate: 0.,
    weight_decay: 0.,
    warmup: 0.,
    average: 0.,
    steps: None,
};

/// Faces per forward pass.
const BATCH: usize = 256;
/// Corrupted copies, and crops without a face, for each held-out face.
const ROUNDS: usize = 3;
/// What the corrupted copies of a face, and its crops without a face, count for beside the face as it is.
const CORRUPTED: f64 = 0.25;
const WITHOUT_FACE: f64 = 0.25;

/// Images `[n,ch,S,S]` in 0..1 on the CPU -> (feature `[n,D]`, logits `[n,C]`) on the CPU.
pub type Network<'a> = &'a dyn Fn(&Tensor) -> Result<(Tensor, Tensor)>;

/// What the head learns from: each held-out face, its mirror image, the face in bad conditions, and crops
/// without a face, whose label is never right.
#[derive(Debug)]
pub struct Examples {
    /// `[n, 4C+1+D]`
    inputs: Tensor,
    /// 1 where the predicted label is right `[n]`.
    right: Tensor,
    /// What each counts for `[n]`.
    weights: Tensor,
    /// 1 for faces in fair condition, 0 where there is none or nothing to see of it, 0.5 between `[n]`.
    familiar: Tensor,
    /// Share of the faces as they are that are labelled right.
    accuracy: f64,
    /// Values of an input before the feature, 4C+1.
    pairwise: i64,
}

/// The fitted head: sigmoid(W2 . PReLU(W1 x + b1) + b2).
#[derive(Debug)]
pub struct ScoreHead {
    weight1: Tensor,
    bias1: Tensor,
    slope: Tensor,
    weight2: Tensor,
    bias2: Tensor,
}

/// [SV sorted, SV of the predicted class, scaled SV, onehot(predicted), log-probabilities sorted, feature]
/// for W = 0, both sorts largest first:
/// feature `[n,D]`, logits `[n,C]`, class means `[C,D]` -> `[n, 4C+1+D]`.
pub fn inputs(feature: &Tensor, logits: &Tensor, means: &Tensor) -> Tensor {
    let similarity = unit(feature).matmul(&means.transpose(0, 1));
    let predicted = logits.argmax(1, true);
    let (sorted, _) = similarity.sort(1, true);
    let one_hot = predicted.squeeze_dim(1).one_hot(logits.size()[1]).to_kind(Kind::Float);
    let own = similarity.gather(1, &predicted, false);
    let (likely, _) = logits.log_softmax(1, Kind::Float).sort(1, true);
    let feature = feature.shallow_clone();
    Tensor::cat(&[sorted, own, scale(&similarity), one_hot, likely, feature], 1)
}

impl Examples {
    /// Runs the network over all views of the held-out faces.
    ///
    /// # Errors
    /// Those of `network`.
    pub fn new(network: Network<'_>, data: &Dataset, means: &Tensor, seed: u64) -> Result<Self> {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        let mut parts: [Vec<Tensor>; 4] = Default::default();
        let (mut hits, means) = (0., means.to_device(Device::Cpu));
        let indices: Vec<usize> = (0..data.len()).collect();
        for chunk in indices.chunks(BATCH) {
            let (images, labels) = data.batch(chunk, Device::Cpu);
            for (place, view) in views(&images, &mut generator).into_iter().enumerate() {
                let (feature, logits) = network(&view.images)?;
                let right = logits.argmax(1, false).eq_tensor(&labels).to_kind(Kind::Float);
                let right = right * if view.has_face { 1. } else { 0. };
                if place < 2 {
                    hits += right.sum(Kind::Double).double_value(&[]) / 2.;
                }
                let weights = right.full_like(view.weight);
                let familiar = Tensor::from_slice(&view.familiar);
                let found = [inputs(&feature, &logits, &means), right, weights, familiar];
                parts.iter_mut().zip(found).for_each(|(part, found)| part.push(found));
            }
        }
        let [inputs, right, weights, familiar] = parts.map(|parts| Tensor::cat(&parts, 0));
        let pairwise = inputs.size()[1] - means.size()[1];
        let accuracy = hits / data.len() as f64;
        Ok(Self { inputs, right, weights, familiar, accuracy, pairwise })
    }

    /// Share of the held-out faces, as they are and mirrored, that are labelled right.
    pub fn accuracy(&self) -> f64 {
        self.accuracy
    }
}

/// Faces in one condition.
struct View {
    images: Tensor,
    /// What each counts for.
    weight: f64,
    has_face: bool,
    /// As in [`Examples`], of each image.
    familiar: Vec<f32>,
}

/// As they are and mirrored; then, in turns, corrupted and without a face.
fn views(images: &Tensor, generator: &mut ChaCha8Rng) -> Vec<View> {
    let count = images.size()[0] as usize;
    let whole =
        |images: Tensor| View { images, weight: 1., has_face: true, familiar: vec![1.; count] };
    let mut views = vec![whole(images.shallow_clone()), whole(images.flip([3]))];
    for _ in 0..ROUNDS {
        views.push(corrupted(images, generator));
        views.push(View {
            images: without_face(images, generator),
            weight: WITHOUT_FACE / ROUNDS as f64,
            has_face: false,
            familiar: vec![0.; count],
        });
    }
    views
}

/// Each face in a condition and of a severity of its own.
fn corrupted(images: &Tensor, generator: &mut ChaCha8Rng) -> View {
    let each = (0..images.size()[0]).map(|row| {
        let kind = Corruption::ALL[generator.random_range(0..Corruption::ALL.len())];
        let severity: f64 = generator.random();
        let image = kind.apply(&images.narrow(0, row, 1), &[severity], generator);
        (image, kind.leaves_a_face(severity).map_or(0.5, f32::from))
    });
    let (images, familiar): (Vec<_>, Vec<_>) = each.unzip();
    let images = Tensor::cat(&images, 0);
    View { images, weight: CORRUPTED / ROUNDS as f64, has_face: true, familiar }
}

/// Full-batch AdamW on the cross entropy of "the label is right", from the pairwise values and the familiarity, which
/// is fitted first; inputs are standardised for the fit, and that and the familiarity are folded into W1 and b1.
pub fn fit(examples: &Examples, seed: u64) -> ScoreHead {
    tch::manual_seed(seed as i64);
    let pairwise = examples.inputs.narrow(1, 0, examples.pairwise);
    let feature = examples.inputs.slice(1, examples.pairwise, None, 1);
    let familiarity = Familiarity::fit(&feature, &examples.familiar);
    let Standardised { values, mean, deviation } = Standardised::new(&pairwise);
    let known = familiarity.logits(&feature).unsqueeze(1) / FAMILIARITY_SCALE;
    let inputs = Tensor::cat(&[values, known], 1);
    let store = nn::VarStore::new(Device::Cpu);
    let head = ScoreHead::new(&store.root(), inputs.size()[1]);
    let begun = [&head.weight1, &head.weight2].map(|weight| weight.detach().copy());
    let held = Tensor::ones([inputs.size()[1]], (Kind::Float, Device::Cpu));
    let _ = held.narrow(0, -1, 1).fill_(HELD_FAMILIARITY);
    let mut optimiser = Optimiser::new(&store, &SETTINGS);
    for step in 0..STEPS {
        let logits = head.logits(&inputs);
        let loss = logits.binary_cross_entropy_with_logits(
            &examples.right,
            Some(&examples.weights),
            None,
            tch::Reduction::Mean,
        );
        let moved = ((&head.weight1 - &begun[0]).square() * &held).sum(Kind::Float)
            + (&head.weight2 - &begun[1]).square().sum(Kind::Float);
        optimiser.step(&(loss + moved * HELD), step as f64, STEPS as f64);
    }
    head.folded(&mean, &deviation, &familiarity)
}

impl ScoreHead {
    /// The lead of the most likely class over the next, from which the fit moves as far as examples ask for.
    fn new(path: &nn::Path, inputs: i64) -> Self {
        let normal =
            |fan_in: i64| nn::Init::Randn { mean: 0., stdev: DEVIATION / (fan_in as f64).sqrt() };
        let head = Self {
            weight1: path.var("w1_weight", &[HIDDEN, inputs], normal(inputs)),
            bias1: path.var("b1", &[HIDDEN], nn::Init::Const(0.)),
            slope: path.var("prelu", &[1], nn::Init::Const(SLOPE)),
            weight2: path.var("w2_weight", &[1, HIDDEN], normal(HIDDEN)),
            bias2: path.var("b2", &[1], nn::Init::Const(START[2])),
        };
        // Behind 3C+1 values: the C sorted log-probabilities, then the familiarity.
        let (likely, known) = (inputs - 1 - (inputs - 2) / 4, inputs - 1);
        let set = |weight: &Tensor, row: i64, place: i64, value: f64| {
            let _ = weight.narrow(0, row, 1).narrow(1, place, 1).fill_(value);
        };
        tch::no_grad(|| {
            set(&head.weight1, 0, likely, START[0]);
            set(&head.weight1, 0, likely + 1, START[1]);
            set(&head.weight2, 0, 0, 1.);
            // Two units whose sum is the familiarity below 0, and 0 above.
            let fall = FALL / (1. - SLOPE * SLOPE);
            for (unit, sign, weight) in [(1, 1., -SLOPE * fall), (2, -1., -fall)] {
                let _ = head.weight1.narrow(0, unit, 1).fill_(0.);
                set(&head.weight1, unit, known, sign);
                set(&head.weight2, 0, unit, weight);
            }
        });
        head
    }

    /// The same head for inputs that are not standardised, with the feature in the familiarity's place.
    fn folded(self, mean: &Tensor, deviation: &Tensor, familiarity: &Familiarity) -> Self {
        tch::no_grad(|| {
            let places = self.weight1.size()[1] - 1;
            let pairwise = self.weight1.narrow(1, 0, places) / deviation;
            let known = self.weight1.narrow(1, places, 1) / FAMILIARITY_SCALE;
            let bias1 = &self.bias1 - pairwise.matmul(&mean.transpose(0, 1)).squeeze_dim(1)
                + known.squeeze_dim(1) * familiarity.bias();
            let of_feature = known.matmul(&familiarity.weight().unsqueeze(0));
            Self { weight1: Tensor::cat(&[pairwise, of_feature], 1), bias1, ..self }
        })
    }

    /// `[n, 4C+1+D]` -> scores `[n]` in 0..1.
    pub fn scores(&self, inputs: &Tensor) -> Tensor {
        tch::no_grad(|| self.logits(inputs).sigmoid())
    }

    fn logits(&self, inputs: &Tensor) -> Tensor {
        inputs
            .linear(&self.weight1, Some(&self.bias1))
            .prelu(&self.slope)
            .linear(&self.weight2, Some(&self.bias2))
            .squeeze_dim(1)
    }

    /// In the edge's type.
    ///
    /// # Errors
    /// None that a fitted head can cause.
    pub fn to_edge(&self) -> Result<TwoLayerHead, ShapeError> {
        TwoLayerHead::new(
            self.weight1.size()[1] as usize,
            values(&self.weight1),
            values(&self.bias1),
            values(&self.slope)[0],
            values(&self.weight2),
            values(&self.bias2)[0],
        )
    }
}
