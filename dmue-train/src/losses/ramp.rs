//! The two schedules of method.md section 5.

/// `w_u(e) = exp(-5 (1 - e/beta)^2)` for e <= beta, else 1: the weight of the target branch's terms.
pub fn up(epoch: f64, beta: f64) -> f64 {
    if epoch <= beta { (-5. * (1. - epoch / beta).powi(2)).exp() } else { 1. }
}

/// `w_d(e) = 1` for e <= beta, else `exp(-(1 - beta/e)^2)`: the weight of the auxiliary branches.
pub fn down(epoch: f64, beta: f64) -> f64 {
    if epoch <= beta { 1. } else { (-(1. - beta / epoch).powi(2)).exp() }
}
