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
    copies: i64,
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
        Self { copies, batch, instance }
    }

    /// One `[N,output,h,w]` for each copy, or for the last ones -> the same shapes.
    pub fn forward(&self, values: &[Tensor], mode: Mode) -> Vec<Tensor> {
        let left_out = self.copies as usize - values.len();
        let batches = self.batch.chunk(self.copies).split_off(left_out);
        let Some(affine) = &self.instance else {
            let pairs = values.iter().zip(&batches);
            return pairs.map(|(value, batch)| batch.forward(value, mode)).collect();
        };
        let each = values.iter().zip(&batches).zip(affine.chunk(self.copies).split_off(left_out));
        each.map(|((value, batch), affine)| {
            let [first, second] = halves(value);
            Tensor::cat(&[affine.by_instance(&first), batch.forward(&second, mode)], 1)
        })
        .collect()
    }
}

impl Affine {
    fn new(path: &nn::Path, name: &str, rows: i64) -> Self {
        Self {
            scale: path.var(&format!("{name}_weight"), &[rows], nn::Init::Const(1.)),
            shift: path.var(&format!("{name}_bias"), &[rows], nn::Init::Const(0.)),
        }
    }

    /// Views of each copy's share.
    fn chunk(&self, copies: i64) -> Vec<Self> {
        let pairs = self.scale.chunk(copies, 0).into_iter().zip(self.shift.chunk(copies, 0));
        pairs.map(|(scale, shift)| Self { scale, shift }).collect()
    }

    /// Each channel of each image by its own mean and variance.
    fn by_instance(&self, value: &Tensor) -> Tensor {
        let none = None::<&Tensor>;
        let (scale, shift) = (Some(&self.scale), Some(&self.shift));
        value.instance_norm(scale, shift, none, none, true, MOMENTUM, EPSILON, true)
    }
}

impl Batch {
    /// Views of each copy's share.
    fn chunk(&self, copies: i64) -> Vec<Self> {
        let [means, variances] =
            [&self.running_mean, &self.running_var].map(|running| running.chunk(copies, 0));
        let running = means.into_iter().zip(variances);
        let parts = self.affine.chunk(copies).into_iter().zip(running);
        parts
            .map(|(affine, (running_mean, running_var))| Self { affine, running_mean, running_var })
            .collect()
    }

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

/// The first and the second half of the channels: `[N,K,h,w]` -> twice `[N,K/2,h,w]`; of an odd K
/// the second half is the larger.
fn halves(value: &Tensor) -> [Tensor; 2] {
    let channels = value.size()[1];
    let first = channels / 2;
    [(0, first), (first, channels - first)].map(|(start, length)| value.narrow(1, start, length))
}
