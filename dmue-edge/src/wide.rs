//! Loops over pixels with wider vectors than every processor of a kind has.

/// Does the work, compiled for AVX2 where the processor has it; loops in it must be `#[inline(always)]` to gain.
/// No product is fused with a sum, so the answer is the same everywhere, to the bit.
#[inline(always)]
pub(crate) fn widely<R>(work: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has it.
        return unsafe { with_avx2(work) };
    }
    work()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn with_avx2<R>(work: impl FnOnce() -> R) -> R {
    work()
}
