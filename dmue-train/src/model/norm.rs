//! What follows a convolution: batch normalisation of all channels, or of half of them beside
//! instance normalisation (IBN-a), for several copies side by side.

use tch::{Kind, Tensor, nn};

use super::network::EPSILON;
use super::spec::{Convolution, Norm};

const MOMENTUM: f64 = 0.1;

/// What a pass through the layers is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// By running statistics.
    Infer,
    /// By the batch's statistics, which move the running ones.
    Train,
    /// By running statistics, after they were made the batch's and scale and shift took up the
    /// difference.
    Calibrate,
}

/// The variables of a normalisation, stacked copy by copy.
#[derive(Debug)]
pub struct Normalisation {
    batch: Batch,
    /// Of the first half of the channels, where only the second is batch normalised.
    instance: Option<Affine>,
}

/// One value a normalised channel of each copy.
#[derive(Debug)]
struct Affine {
    scale: Tensor,
    shift: Tensor,
}

/// One value a batch normalised channel of each copy.
#[derive(Debug)]
struct Batch {
    affine: Affine,
    running_mean: Tensor,
    running_var: Tensor,
}

impl Normalisation {
    /// Makes the variables `norm_weight`, `norm_bias`, `running_mean` and `running_var` of the batch
    /// normalised channels, and `instance_norm_weight` and `instance_norm_bias` of the others.
    pub fn new(path: &nn::Path, spec: &Convolution, copies: i64) -> Self {
        let kept = spec.batch_normalised() * copies;
        let batch = Batch {
            affine: Affine::new(path, "norm", kept),
            running_mean: path.zeros_no_train("running_mean", &[kept]),
            running_var: path.ones_no_train("running_var", &[kept]),
        };
        let instance = match spec.norm {
            Norm::Batch => None,
            Norm::HalfInstance => {
                Some(Affine::new(path, "instance_norm", spec.output * copies - kept))
            }
        };
        Self { batch, instance }
    }

    /// `[N, copies*output, h, w]` -> the same shape.
    pub fn forward(&self, value: &Tensor, copies: i64, mode: Mode) -> Tensor {
        let Some(affine) = &self.instance else {
            return self.batch.forward(value, mode);
        };
        let [first, second] = halves(value, copies);
        joined(&affine.by_instance(&first), &self.batch.forward(&second, mode), copies)
    }
}

impl Affine {
    fn new(path: &nn::Path, name: &str, rows: i64) -> Self {
        Self {
            scale: path.var(&format!("{name}_weight"), &[rows], nn::Init::Const(1.)),
            shift: path.var(&format!("{name}_bias"), &[rows], nn::Init::Const(0.)),
        }
    }

    /// Each channel of each image by its own mean and variance.
    fn by_instance(&self, value: &Tensor) -> Tensor {
        let none = None::<&Tensor>;
        let (scale, shift) = (Some(&self.scale), Some(&self.shift));
        value.instance_norm(scale, shift, none, none, true, MOMENTUM, EPSILON, true)
    }
}

impl Batch {
    fn forward(&self, value: &Tensor, mode: Mode) -> Tensor {
        let Affine { scale, shift } = &self.affine;
        let (mean, variance) = (&self.running_mean, &self.running_var);
        if mode == Mode::Calibrate {
            calibrate(value, [scale, mean, variance], Some(shift));
        }
        let (running, train) = ((Some(mean), Some(variance)), mode == Mode::Train);
        let affine = (Some(scale), Some(shift));
        value.batch_norm(affine.0, affine.1, running.0, running.1, train, MOMENTUM, EPSILON, true)
    }
}

/// Makes `running_mean` and `running_var` `[K]` those of the channels of `value` `[N,K]` or
/// `[N,K,h,w]`; `scale` and `shift` `[K]` take up the difference, without a shift only the scale.
pub fn calibrate(
    value: &Tensor,
    [scale, running_mean, running_var]: [&Tensor; 3],
    shift: Option<&Tensor>,
) {
    let over: Vec<i64> = (0..value.dim() as i64).filter(|&dim| dim != 1).collect();
    let copy = |from: &Tensor, to: &Tensor| to.shallow_clone().copy_(from);
    tch::no_grad(|| {
        let mean = value.mean_dim(over.as_slice(), false, Kind::Float);
        let variance = value.var_dim(over.as_slice(), false, false);
        let factor = scale / (running_var + EPSILON).sqrt();
        if let Some(shift) = shift {
            copy(&(shift + (&mean - running_mean) * &factor), shift);
        }
        copy(&(factor * (&variance + EPSILON).sqrt()), scale);
        copy(&mean, running_mean);
        copy(&variance, running_var);
    });
}

/// The first and the second half of each copy's channels: `[N, copies*K, h, w]` -> twice
/// `[N, copies*K/2, h, w]`; of an odd K the second half is the larger.
fn halves(value: &Tensor, copies: i64) -> [Tensor; 2] {
    let split = value.unflatten(1, [copies, -1]);
    let channels = split.size()[2];
    let first = channels / 2;
    [(0, first), (first, channels - first)]
        .map(|(start, length)| split.narrow(2, start, length).flatten(1, 2))
}

fn joined(first: &Tensor, second: &Tensor, copies: i64) -> Tensor {
    let per_copy = |half: &Tensor| half.unflatten(1, [copies, -1]);
    Tensor::cat(&[per_copy(first), per_copy(second)], 2).flatten(1, 2)
}
