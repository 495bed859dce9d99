//! The total loss (method.md section 5): the only place with weights.

use tch::Tensor;

use super::auxiliary::{auxiliary, auxiliary_of_all};
use super::latent::{latent, latent_of_all};
use super::{ramp, similarity::similarity, soft::soft};
use crate::config::{Latent, Method};
use crate::model::dmue::{Dmue, TrainOutputs};

/// The named terms of one batch, unweighted, one value each.
#[derive(Debug)]
pub struct LossTerms {
    /// L_wce, cross entropy of alpha * logits.
    pub target: Tensor,
    /// L_soft
    pub soft: Tensor,
    /// L_sp
    pub similarity: Tensor,
    /// L_aux
    pub auxiliary: Tensor,
    /// L_teach, 0 without teachers.
    pub teach: Tensor,
    /// Mean alpha of the batch, for the log.
    pub alpha: Tensor,
}

/// What a batch is to be answered with.
#[derive(Clone, Copy, Debug)]
pub struct Targets<'a> {
    /// `[N]`
    pub labels: &'a Tensor,
    /// Distributions `[N, C]`, in place of the labels in the target branch's term.
    pub shares: Option<&'a Tensor>,
    /// What the teachers say at their temperature, `[N, C]`.
    pub taught: Option<&'a Tensor>,
}

/// Computes the terms of method.md sections 2 to 4 that `method` asks for; the others are 0, and
/// alpha is 1.
pub fn terms(
    model: &Dmue,
    outputs: &TrainOutputs,
    targets: &Targets<'_>,
    method: &Method,
) -> LossTerms {
    let labels = targets.labels;
    let options = (outputs.target_logits.kind(), labels.device());
    let alpha = match method.trains_alpha() {
        true => {
            let target = outputs.features.select(1, model.auxiliary_branches());
            model.uncertainty.forward(&target, labels)
        }
        false => Tensor::ones([1, 1], options),
    };
    let logits = &alpha * &outputs.target_logits;
    let target = match targets.shares {
        Some(shares) => soft_cross_entropy(&logits, shares),
        None => cross_entropy(&logits, labels),
    };
    let zero = || Tensor::zeros([] as [i64; 0], options);
    let mut terms = LossTerms {
        target,
        soft: zero(),
        similarity: zero(),
        auxiliary: zero(),
        teach: targets.taught.map_or_else(zero, |taught| {
            teach(&(alpha.detach() * &outputs.target_logits), taught, method.teacher_temperature)
        }),
        alpha: alpha.detach().mean(alpha.kind()),
    };
    if let Some(kind) = method.auxiliary() {
        terms.mine(kind, outputs, labels, method);
    }
    terms
}

/// CE, the mean over the images of -log softmax(logits)_y: logits `[N, C]`, labels `[N]` -> one value.
fn cross_entropy(logits: &Tensor, labels: &Tensor) -> Tensor {
    logits.log_softmax(1, logits.kind()).nll_loss(labels)
}

/// The mean over the images of -sum_c q_c log softmax(logits)_c: logits and q `[N, C]` -> one value.
fn soft_cross_entropy(logits: &Tensor, shares: &Tensor) -> Tensor {
    let kind = logits.kind();
    -(logits.log_softmax(1, kind) * shares.to_kind(kind))
        .sum_dim_intlist([1i64].as_slice(), false, kind)
        .mean(kind)
}

/// L_teach (Hinton et al., 2015): T^2 KL(taught || softmax(logits / T)), the mean over the images.
fn teach(logits: &Tensor, taught: &Tensor, temperature: f64) -> Tensor {
    let kind = logits.kind();
    let taught = taught.to_kind(kind);
    let certain = taught.xlogy(&taught).sum_dim_intlist([1i64].as_slice(), false, kind).mean(kind);
    (soft_cross_entropy(&(logits / temperature), &taught) + certain) * temperature.powi(2)
}

impl LossTerms {
    /// The terms of the auxiliary branches.
    fn mine(&mut self, kind: Latent, outputs: &TrainOutputs, labels: &Tensor, method: &Method) {
        let mined = match kind {
            Latent::Negative => latent(&outputs.mined_logits, labels, method.temperature),
            Latent::All => latent_of_all(&outputs.mined_logits, labels),
        };
        self.soft = soft(&outputs.target_logits, &mined, labels);
        self.similarity = similarity(&outputs.features, labels);
        self.auxiliary = match kind {
            Latent::Negative => auxiliary(&outputs.auxiliary_logits, labels),
            Latent::All => auxiliary_of_all(&outputs.auxiliary_logits, labels),
        };
    }

    /// `w_u(e) * (L_wce + omega * L_soft + gamma * L_sp) + w_d(e) * L_aux`, the target's term alone
    /// and without a ramp where there are no auxiliary branches; with teachers their weight times L_teach more.
    pub fn total(&self, method: &Method, epoch: f64) -> Tensor {
        let own = self.own(method, epoch);
        if method.teachers.is_empty() { own } else { own + method.teacher_weight * &self.teach }
    }

    fn own(&self, method: &Method, epoch: f64) -> Tensor {
        if method.auxiliary().is_none() {
            return self.target.shallow_clone();
        }
        let target = &self.target + method.omega * &self.soft + method.gamma * &self.similarity;
        ramp::up(epoch, method.beta) * target + ramp::down(epoch, method.beta) * &self.auxiliary
    }

    /// Name and value of each term, for progress and log.
    pub fn values(&self) -> [(&'static str, f64); 6] {
        let value = |term: &Tensor| term.double_value(&[]);
        [
            ("target", value(&self.target)),
            ("soft", value(&self.soft)),
            ("similarity", value(&self.similarity)),
            ("auxiliary", value(&self.auxiliary)),
            ("teach", value(&self.teach)),
            ("alpha", value(&self.alpha)),
        ]
    }
}
