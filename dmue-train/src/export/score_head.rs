//! The head behind `score` (method.md 4b): fitted on faces that the network was not trained on to
//! say whether its label is right.

use dmue_edge::uncertainty::{ShapeError, TwoLayerHead};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind, Tensor, nn};

use super::values;
use crate::config::{Optimiser as Settings, Rule};
use crate::data::corrupt::{Corruption, without_face};
use crate::data::dataset::Dataset;
use crate::model::dmue::Dmue;
use crate::model::uncertainty::{scale, unit};
use crate::train::epoch::normalise;
use crate::train::optimiser::Optimiser;

const HIDDEN: i64 = 16;
const STEPS: usize = 300;
/// Weight of the squared distance from where the head begins: a few thousand examples for 600 weights. Chosen by
/// four folds of held-out faces, from 0.0003 to 0.1: more cost crops without a face, less cost AURC.
const HELD: f64 = 0.003;
/// What the head begins as: log p of the most likely class, and of the next, and a constant.
const START: [f64; 3] = [1., -0.7, 1.5];
/// Of the other weights at the beginning.
const DEVIATION: f64 = 0.02;
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
const MIN_DEVIATION: f64 = 1e-6;

/// Faces per forward pass.
const BATCH: usize = 256;
/// What a corrupted face and a crop without a face count for, beside a face as it is.
const CORRUPTED: f64 = 0.25;
const WITHOUT_FACE: f64 = 0.25;

/// What the head learns from: each held-out face, its mirror image, the face in a bad condition, and a crop
/// without a face, whose label is never right.
#[derive(Debug)]
pub struct Examples {
    /// `[n, 4C+1]`
    inputs: Tensor,
    /// 1 where the predicted label is right `[n]`.
    right: Tensor,
    /// What each counts for `[n]`.
    weights: Tensor,
    /// Share of the faces as they are that are labelled right.
    accuracy: f64,
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

/// [SV sorted, SV of the predicted class, scaled SV, onehot(predicted), log-probabilities sorted]
/// for W = 0, both sorts largest first:
/// feature `[n,D]`, logits `[n,C]`, class means `[C,D]` -> `[n, 4C+1]`.
pub fn inputs(feature: &Tensor, logits: &Tensor, means: &Tensor) -> Tensor {
    let similarity = unit(feature).matmul(&means.transpose(0, 1));
    let predicted = logits.argmax(1, true);
    let (sorted, _) = similarity.sort(1, true);
    let one_hot = predicted.squeeze_dim(1).one_hot(logits.size()[1]).to_kind(Kind::Float);
    let own = similarity.gather(1, &predicted, false);
    let (likely, _) = logits.log_softmax(1, Kind::Float).sort(1, true);
    Tensor::cat(&[sorted, own, scale(&similarity), one_hot, likely], 1)
}

impl Examples {
    /// Runs the target branch over all views of the held-out faces.
    pub fn new(model: &Dmue, data: &Dataset, means: &Tensor, device: Device, seed: u64) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        let (mut inputs_of, mut right_of, mut weights_of, mut hits) = (vec![], vec![], vec![], 0.);
        let means = means.to_device(Device::Cpu);
        let indices: Vec<usize> = (0..data.len()).collect();
        for chunk in indices.chunks(BATCH) {
            let (images, labels) = data.batch(chunk, Device::Cpu);
            for (place, (view, weight, has_face)) in
                views(&images, &mut generator).into_iter().enumerate()
            {
                let output = model.forward_target(&normalise(&view.to_device(device)));
                let [logits, feature] =
                    [output.logits, output.feature].map(|values| values.to_device(Device::Cpu));
                let right = logits.argmax(1, false).eq_tensor(&labels).to_kind(Kind::Float);
                let right = right * if has_face { 1. } else { 0. };
                if place < 2 {
                    hits += right.sum(Kind::Double).double_value(&[]) / 2.;
                }
                inputs_of.push(inputs(&feature, &logits, &means));
                weights_of.push(right.full_like(weight));
                right_of.push(right);
            }
        }
        let [inputs, right, weights] =
            [inputs_of, right_of, weights_of].map(|parts| Tensor::cat(&parts, 0));
        Self { inputs, right, weights, accuracy: hits / data.len() as f64 }
    }

    /// Share of the held-out faces, as they are and mirrored, that are labelled right.
    pub fn accuracy(&self) -> f64 {
        self.accuracy
    }
}

/// (images, what each counts for, whether there is a face): as they are, mirrored, corrupted, without a face.
fn views(images: &Tensor, generator: &mut ChaCha8Rng) -> [(Tensor, f64, bool); 4] {
    let corrupted = (0..images.size()[0]).map(|row| {
        let kind = Corruption::ALL[generator.random_range(0..Corruption::ALL.len())];
        kind.apply(&images.narrow(0, row, 1), &[generator.random()], generator)
    });
    let corrupted = Tensor::cat(&corrupted.collect::<Vec<_>>(), 0);
    [
        (images.shallow_clone(), 1., true),
        (images.flip([3]), 1., true),
        (corrupted, CORRUPTED, true),
        (without_face(images, generator), WITHOUT_FACE, false),
    ]
}

/// Full-batch AdamW on the cross entropy of "the label is right"; inputs are standardised for the
/// fit and the standardisation is folded into W1 and b1.
pub fn fit(examples: &Examples, seed: u64) -> ScoreHead {
    tch::manual_seed(seed as i64);
    let mean = examples.inputs.mean_dim([0i64].as_slice(), true, Kind::Float);
    let deviation = examples.inputs.std_dim([0i64].as_slice(), true, true).clamp_min(MIN_DEVIATION);
    let inputs = (&examples.inputs - &mean) / &deviation;
    let store = nn::VarStore::new(Device::Cpu);
    let head = ScoreHead::new(&store.root(), inputs.size()[1]);
    let begun = [&head.weight1, &head.weight2].map(|weight| weight.detach().copy());
    let mut optimiser = Optimiser::new(&store, &SETTINGS);
    for step in 0..STEPS {
        let logits = head.logits(&inputs);
        let loss = logits.binary_cross_entropy_with_logits(
            &examples.right,
            Some(&examples.weights),
            None,
            tch::Reduction::Mean,
        );
        let moved = (&head.weight1 - &begun[0]).square().sum(Kind::Float)
            + (&head.weight2 - &begun[1]).square().sum(Kind::Float);
        optimiser.step(&(loss + moved * HELD), step as f64, STEPS as f64);
    }
    head.folded(&mean, &deviation)
}

impl ScoreHead {
    /// The lead of the most likely class over the next, from which the fit moves as far as examples ask for.
    fn new(path: &nn::Path, inputs: i64) -> Self {
        let normal =
            |fan_in: i64| nn::Init::Randn { mean: 0., stdev: DEVIATION / (fan_in as f64).sqrt() };
        let head = Self {
            weight1: path.var("w1_weight", &[HIDDEN, inputs], normal(inputs)),
            bias1: path.var("b1", &[HIDDEN], nn::Init::Const(0.)),
            // A slope of 1 starts as a linear head; few examples speak for more.
            slope: path.var("prelu", &[1], nn::Init::Const(1.)),
            weight2: path.var("w2_weight", &[1, HIDDEN], normal(HIDDEN)),
            bias2: path.var("b2", &[1], nn::Init::Const(START[2])),
        };
        let likely = inputs - (inputs - 1) / 4; // the first of the C sorted log-probabilities
        tch::no_grad(|| {
            for (place, value) in [(likely, START[0]), (likely + 1, START[1])] {
                let _ = head.weight1.narrow(0, 0, 1).narrow(1, place, 1).fill_(value);
            }
            let _ = head.weight2.narrow(1, 0, 1).fill_(1.);
        });
        head
    }

    /// The same head for inputs that are not standardised.
    fn folded(self, mean: &Tensor, deviation: &Tensor) -> Self {
        tch::no_grad(|| {
            let weight1 = &self.weight1 / deviation;
            let bias1 = &self.bias1 - weight1.matmul(&mean.transpose(0, 1)).squeeze_dim(1);
            Self { weight1, bias1, ..self }
        })
    }

    /// `[n, 4C+1]` -> scores `[n]` in 0..1.
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
