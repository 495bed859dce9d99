//! The total loss (method.md section 5): the only place with weights.

use tch::Tensor;

use super::{auxiliary::auxiliary, latent::latent, ramp, similarity::similarity, soft::soft};
use crate::config::Method;
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
    /// Mean alpha of the batch, for the log.
    pub alpha: Tensor,
}

/// Computes every term of method.md sections 2 to 4 for one batch.
pub fn terms(model: &Dmue, outputs: &TrainOutputs, labels: &Tensor, method: &Method) -> LossTerms {
    let target = outputs.features.select(1, model.classes());
    let alpha = model.uncertainty.forward(&target, labels);
    let mined = latent(&outputs.mined_logits, labels, method.temperature);
    LossTerms {
        target: cross_entropy(&(&alpha * &outputs.target_logits), labels),
        soft: soft(&outputs.target_logits, &mined, labels),
        similarity: similarity(&outputs.features, labels),
        auxiliary: auxiliary(&outputs.auxiliary_logits, labels),
        alpha: alpha.detach().mean(alpha.kind()),
    }
}

/// CE, the mean over the images of -log softmax(logits)_y: logits `[N, C]`, labels `[N]` -> one value.
fn cross_entropy(logits: &Tensor, labels: &Tensor) -> Tensor {
    logits.log_softmax(1, logits.kind()).nll_loss(labels)
}

impl LossTerms {
    /// `w_u(e) * (L_wce + omega * L_soft + gamma * L_sp) + w_d(e) * L_aux`
    pub fn total(&self, method: &Method, epoch: f64) -> Tensor {
        let target = &self.target + method.omega * &self.soft + method.gamma * &self.similarity;
        ramp::up(epoch, method.beta) * target + ramp::down(epoch, method.beta) * &self.auxiliary
    }

    /// Name and value of each term, for progress and log.
    pub fn values(&self) -> [(&'static str, f64); 5] {
        let value = |term: &Tensor| term.double_value(&[]);
        [
            ("target", value(&self.target)),
            ("soft", value(&self.soft)),
            ("similarity", value(&self.similarity)),
            ("auxiliary", value(&self.auxiliary)),
            ("alpha", value(&self.alpha)),
        ]
    }
}
