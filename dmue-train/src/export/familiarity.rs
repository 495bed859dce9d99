//! How much a feature looks like that of a face in fair condition: what the score is to fall with where there is none.

use tch::{Kind, Tensor};

/// Weight of the squared weights: the examples can be told apart almost without error.
const DECAY: f64 = 1e-3;
/// Of Newton's method, which needs some ten.
const STEPS: usize = 30;
const MIN_DEVIATION: f64 = 1e-6;

/// Inputs of a fit, `[n,k]`, less their mean `[1,k]` and divided by their deviation `[1,k]`.
pub(super) struct Standardised {
    pub values: Tensor,
    pub mean: Tensor,
    pub deviation: Tensor,
}

impl Standardised {
    pub fn new(values: &Tensor) -> Self {
        let mean = values.mean_dim([0i64].as_slice(), true, values.kind());
        let deviation = values.std_dim([0i64].as_slice(), true, true).clamp_min(MIN_DEVIATION);
        Self { values: (values - &mean) / &deviation, mean, deviation }
    }
}

/// Logistic regression on a feature: its logit is above 0 for faces, below for what is none.
#[derive(Debug)]
pub struct Familiarity {
    /// `[D]`
    weight: Tensor,
    bias: f64,
}

impl Familiarity {
    /// Tells those of the features `[n,D]` that are `familiar` `[n]`, 1, from those that are not, 0; both kinds count
    /// the same, all others not at all. Needs at least one of each.
    pub fn fit(feature: &Tensor, familiar: &Tensor) -> Self {
        let told = familiar.not_equal(0.5).nonzero().squeeze_dim(1);
        let (feature, familiar) = (feature.index_select(0, &told), familiar.index_select(0, &told));
        let (feature, familiar) = (feature.to_kind(Kind::Double), familiar.to_kind(Kind::Double));
        let Standardised { values: inputs, mean, deviation } = Standardised::new(&feature);
        let inputs = Tensor::cat(
            &[&inputs, &inputs.new_ones([inputs.size()[0], 1], (Kind::Double, inputs.device()))],
            1,
        );
        let solved = newton(&inputs, &familiar);
        let weight = solved.narrow(0, 0, solved.size()[0] - 1) / deviation.squeeze_dim(0);
        let constant = solved.get(-1).double_value(&[]);
        let bias = constant - weight.dot(&mean.squeeze_dim(0)).double_value(&[]);
        Self { weight: weight.to_kind(Kind::Float), bias }
    }

    /// `[n,D]` -> `[n]`
    pub fn logits(&self, feature: &Tensor) -> Tensor {
        feature.matmul(&self.weight) + self.bias
    }

    /// `[D]`
    pub fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// What is added to weight . feature.
    pub fn bias(&self) -> f64 {
        self.bias
    }
}

/// Weights `[k]` of the least balanced cross entropy of `familiar` `[n]` given `inputs` `[n,k]`, the last of which is the
/// constant; all f64.
fn newton(inputs: &Tensor, familiar: &Tensor) -> Tensor {
    let share = familiar.mean(Kind::Double);
    let balance =
        (familiar / &share + (1. - familiar) / (1. - &share)) / (2. * familiar.size()[0] as f64);
    let decay = inputs.new_full([inputs.size()[1]], 2. * DECAY, (Kind::Double, inputs.device()));
    let _ = decay.narrow(0, -1, 1).fill_(1e-9); // not held, but the matrix stays invertible
    let mut weights = decay.zeros_like();
    for _ in 0..STEPS {
        let likely = inputs.matmul(&weights).sigmoid();
        let gradient = inputs.tr().matmul(&(&balance * (&likely - familiar))) + &decay * &weights;
        let curvature: Tensor = &balance * &likely * (1. - &likely);
        let hessian = (inputs * curvature.unsqueeze(1)).tr().matmul(inputs) + decay.diag(0);
        weights -= Tensor::linalg_solve(&hessian, &gradient, true);
    }
    weights
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    /// Two clouds of features that overlap, and some that are to be left out.
    fn examples() -> (Tensor, Tensor) {
        tch::manual_seed(5);
        let options = (Kind::Float, Device::Cpu);
        let noise = Tensor::randn([400, 3], options) * Tensor::from_slice(&[1f32, 5., 0.]);
        let familiar =
            Tensor::cat(&[Tensor::ones([100], options), Tensor::zeros([300], options)], 0);
        let feature = noise + familiar.unsqueeze(1) * Tensor::from_slice(&[2f32, -3., 0.]) + 7.;
        let unsaid = Tensor::full([50, 3], 1e3, options);
        (
            Tensor::cat(&[feature, unsaid], 0),
            Tensor::cat(&[familiar, Tensor::full([50], 0.5, options)], 0),
        )
    }

    #[test]
    fn no_step_away_from_the_fit_lowers_its_loss() {
        let (feature, familiar) = examples();
        let found = Familiarity::fit(&feature, &familiar);
        let rows = Vec::<f32>::try_from(feature.flatten(0, 1)).unwrap();
        let familiar = Vec::<f32>::try_from(&familiar).unwrap();
        let weight = Vec::<f32>::try_from(found.weight()).unwrap();
        assert_eq!(weight[2], 0., "a value that never changes says nothing");
        // Deviations of the 400 rows that count, as the decay is of standardised weights.
        let deviation = |column: usize| {
            let values: Vec<f64> = (0..400).map(|row| f64::from(rows[3 * row + column])).collect();
            let mean = values.iter().sum::<f64>() / 400.;
            (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 399.).sqrt()
        };
        let deviations = [deviation(0), deviation(1)];
        let loss = |weight: [f64; 2], bias: f64| {
            let each = (0..400).map(|row| {
                let logit = weight[0] * f64::from(rows[3 * row])
                    + weight[1] * f64::from(rows[3 * row + 1])
                    + bias;
                match familiar[row] {
                    1. => (1. + (-logit).exp()).ln() / 200.,
                    _ => (1. + logit.exp()).ln() / 600.,
                }
            });
            let decay: f64 = (0..2).map(|place| (weight[place] * deviations[place]).powi(2)).sum();
            each.sum::<f64>() + DECAY * decay
        };
        let (weight, bias) = ([0, 1].map(|place| f64::from(weight[place])), found.bias());
        let least = loss(weight, bias);
        for step in [1e-2, -1e-2] {
            assert!(loss([weight[0] + step, weight[1]], bias) > least);
            assert!(loss([weight[0], weight[1] + step], bias) > least);
            assert!(loss(weight, bias + step) > least);
        }
    }

    #[test]
    fn examples_that_can_be_told_without_error_have_a_finite_fit() {
        let feature = Tensor::from_slice(&[0f32, 1., 10., 11.]).view([4, 1]);
        let familiar = Tensor::from_slice(&[0f32, 0., 1., 1.]);
        let logits =
            Vec::<f32>::try_from(Familiarity::fit(&feature, &familiar).logits(&feature)).unwrap();
        assert!(logits[1] < -1. && logits[2] > 1. && logits[3] < 100., "{logits:?}");
    }
}
