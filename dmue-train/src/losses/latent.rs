//! The mined latent distribution, LD-N (method.md section 2).

use tch::{Kind, Tensor};

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

/// Spreads `[N, C-1]` over C positions with a 0 at each row's label.
fn insert_zero(mined: &Tensor, labels: &Tensor, classes: i64) -> Tensor {
    let position = Tensor::arange(classes, (Kind::Int64, labels.device())).unsqueeze(0);
    let labels = labels.unsqueeze(1);
    let source =
        (&position - position.greater_tensor(&labels).to_kind(Kind::Int64)).clamp(0, classes - 2);
    let spread = mined.gather(1, &source, false);
    spread * position.not_equal_tensor(&labels).to_kind(mined.kind())
}
