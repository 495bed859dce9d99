//! L_soft: the target branch follows the mined distribution (method.md section 2).

use tch::Tensor;

/// `mean over N and C of (softmax(logits)_c * [c != y] - t_c)^2`. Squared distance, because it is
/// bounded and less sensitive to a wrong prediction than a divergence (seed, section 5).
///
/// logits `[N, C]` of the target branch, mined `[N, C]`, labels `[N]` -> one value.
pub fn soft(logits: &Tensor, mined: &Tensor, labels: &Tensor) -> Tensor {
    let (classes, kind) = (logits.size()[1], logits.kind());
    let negative: Tensor = 1. - labels.one_hot(classes).to_kind(kind);
    (logits.softmax(1, kind) * negative - mined).square().mean(kind)
}
