//! The mined latent distribution, LD-N and LD-A (method.md section 2).

use tch::{Kind, Tensor};

/// Added to each share, so that a row without any other share still sums to 1.
const SMALLEST_SHARE: f64 = 1e-12;

/// For an image with y = i, branch i has never been told that it is class i: its softmax over the
/// other classes, tempered to p^(1/T) / sum p^(1/T), with a 0 put at position i, is the image's
/// latent distribution.
///
/// logits `[C, N, C-1]` without dropout, labels `[N]` -> t `[N, C]`, detached; rows sum to 1.
pub fn latent(logits: &Tensor, labels: &Tensor, temperature: f64) -> Tensor {
    let (classes, others) = (logits.size()[0], logits.size()[2]);
    let own = labels.view([1, -1, 1]).expand([1, -1, others], true);
    let logits = logits.detach().gather(0, &own, false).squeeze_dim(0); // [N, C-1]
    // softmax(z)^(1/T), renormalised, is softmax(z / T).
    let mined = (&logits / temperature).softmax(1, logits.kind());
    insert_zero(&mined, labels, classes)
}

/// LD-A, the ablation: the mean of all branches' softmaxes, with a 0 put at the label's position and
/// the rest renormalised.
///
/// logits `[C, N, C]` without dropout, labels `[N]` -> t `[N, C]`, detached; rows sum to 1.
pub fn latent_of_all(logits: &Tensor, labels: &Tensor) -> Tensor {
    let kind = logits.kind();
    let mean = logits.detach().softmax(2, kind).mean_dim([0i64].as_slice(), false, kind);
    negative(&mean, labels)
}

/// Shares `[N, C]` over the classes other than the label `[N]`: 0 at its position, the rest
/// renormalised (a row that had nothing else becomes uniform over them).
pub fn negative(shares: &Tensor, labels: &Tensor) -> Tensor {
    let kind = shares.kind();
    let others: Tensor = 1. - labels.one_hot(shares.size()[1]).to_kind(kind);
    let kept = (shares + SMALLEST_SHARE) * others;
    &kept / kept.sum_dim_intlist([1i64].as_slice(), true, kind)
}

/// Spreads `[N, C-1]` over C positions with a 0 at each row's label.
fn insert_zero(mined: &Tensor, labels: &Tensor, classes: i64) -> Tensor {
    let position = Tensor::arange(classes, (Kind::Int64, labels.device())).unsqueeze(0);
    let labels = labels.unsqueeze(1);
    let source =
        (&position - position.greater_tensor(&labels).to_kind(Kind::Int64)).clamp(0, classes - 2);
    let spread = mined.gather(1, &source, false);
    spread * position.not_equal_tensor(&labels).to_kind(mined.kind())
}
