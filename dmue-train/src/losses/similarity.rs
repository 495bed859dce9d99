//! L_sp, the similarity preserving loss (seed eq. 1-5, method.md section 3).

use tch::Tensor;

/// `1/C * sum_i 1/N_i^2 * ||M^i * A_tar - M^i * A_aux^i||_F^2`, where row j of A is
/// `r / ||r||` with `r = f_j . f^T` over the full batch, M^i is 0 in the rows and columns of the
/// images of class i and 1 elsewhere, and N_i counts the images with y != i.
///
/// features `[N, C+1, D]` (index C is the target branch), labels `[N]` -> one value. Its gradient
/// reaches every branch.
pub fn similarity(features: &Tensor, labels: &Tensor) -> Tensor {
    let (classes, kind) = (features.size()[1] - 1, features.kind());
    let rows = similarity_rows(&features.transpose(0, 1)); // [C+1, N, N]
    let difference = rows.narrow(0, 0, classes) - rows.narrow(0, classes, 1);
    let other: Tensor = 1. - labels.one_hot(classes).transpose(0, 1).to_kind(kind); // [C, N]
    let mask = other.unsqueeze(2) * other.unsqueeze(1);
    let counts = other.sum_dim_intlist([1i64].as_slice(), false, kind).clamp_min(1.);
    let squares = (difference * mask).square().sum_dim_intlist([1i64, 2].as_slice(), false, kind);
    (squares / counts.square()).mean(kind)
}

/// Seed eq. 2 and 3 for every branch: `[B, N, D]` -> `[B, N, N]`.
fn similarity_rows(features: &Tensor) -> Tensor {
    let gram = features.bmm(&features.transpose(1, 2));
    let norm = gram.square().sum_dim_intlist([2i64].as_slice(), true, gram.kind());
    &gram / (norm + 1e-24).sqrt()
}
