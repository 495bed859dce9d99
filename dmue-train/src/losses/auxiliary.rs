//! L_aux: what the auxiliary branches learn (method.md section 2).

use tch::{Kind, Tensor};

/// `1/C * sum_i CE(head_i(f[y != i]), relabelled y)`: branch i learns from images with y != i only,
/// where label y stays y if y < i, else becomes y - 1.
///
/// logits `[C, N, C-1]`, labels `[N]` -> one value. A branch without an image counts 0.
pub fn auxiliary(logits: &Tensor, labels: &Tensor) -> Tensor {
    let (classes, kind) = (logits.size()[0], logits.kind());
    let branch = Tensor::arange(classes, (Kind::Int64, labels.device())).unsqueeze(1);
    let labels = labels.unsqueeze(0); // [1, N]
    let seen = labels.not_equal_tensor(&branch).to_kind(kind); // [C, N]
    let relabelled = (&labels - labels.greater_tensor(&branch).to_kind(Kind::Int64))
        .clamp(0, classes - 2)
        .unsqueeze(2);
    let nll = -logits.log_softmax(2, kind).gather(2, &relabelled, false).squeeze_dim(2);
    let counts = seen.sum_dim_intlist([1i64].as_slice(), false, kind).clamp_min(1.);
    ((nll * seen).sum_dim_intlist([1i64].as_slice(), false, kind) / counts).mean(kind)
}

/// The same for LD-A (method.md section 2): every branch learns all C classes from the whole batch,
/// `1/C * sum_i CE(head_i(f), y)`.
///
/// logits `[C, N, C]`, labels `[N]` -> one value.
pub fn auxiliary_of_all(logits: &Tensor, labels: &Tensor) -> Tensor {
    let (classes, kind) = (logits.size()[0], logits.kind());
    let labels = labels.view([1, -1, 1]).expand([classes, -1, 1], true);
    -logits.log_softmax(2, kind).gather(2, &labels, false).mean(kind)
}
