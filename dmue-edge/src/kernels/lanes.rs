//! Eight floats at a time, or sixteen, on each instruction set.
//!
//! # Safety
//! Every function must be inlined into one that the processor's features are enabled for, and pointers
//! must be good for [`Lanes::BLOCKS`] times eight floats, of any alignment.

/// A vector of floats in registers.
pub(super) trait Lanes: Copy {
    /// The largest tiles, pixels by vectors, that compilers keep in registers; smaller ones fit, too.
    const TILES: &[(usize, usize)];
    /// Blocks of eight floats in a vector.
    const BLOCKS: usize = 1;

    unsafe fn splat(value: f32) -> Self;
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    /// The first `blocks` of its blocks, at least 1 and at most all, zeros behind; the pointer is good for these.
    #[inline(always)]
    unsafe fn load_blocks(from: *const f32, _blocks: usize) -> Self {
        unsafe { Self::load(from) }
    }
    /// As [`Self::load_blocks`].
    #[inline(always)]
    unsafe fn store_blocks(self, to: *mut f32, _blocks: usize) {
        unsafe { self.store(to) }
    }
    /// `self + a * b`
    unsafe fn add_product(self, a: Self, b: Self) -> Self;
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn sub(self, other: Self) -> Self;
    /// The larger of each; `self` where that is NaN.
    unsafe fn max(self, bound: Self) -> Self;
    /// The smaller of each; `self` where that is NaN.
    unsafe fn min(self, bound: Self) -> Self;
}

/// Whatever the compiler makes of loops over eight.
#[derive(Clone, Copy)]
pub(super) struct Portable(pub [f32; 8]);

impl Portable {
    #[inline(always)]
    fn map2(self, other: Self, function: impl Fn(f32, f32) -> f32) -> Self {
        Self(std::array::from_fn(|i| function(self.0[i], other.0[i])))
    }
}

impl Lanes for Portable {
    const TILES: &[(usize, usize)] = &[(2, 2)];

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self([value; 8])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        Self(unsafe { from.cast::<[f32; 8]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { to.cast::<[f32; 8]>().write_unaligned(self.0) }
    }

    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        self.map2(a.map2(b, |a, b| a * b), |sum, product| sum + product)
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        self.map2(other, |a, b| a + b)
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        self.map2(other, |a, b| a - b)
    }

    #[inline(always)]
    unsafe fn max(self, bound: Self) -> Self {
        self.map2(bound, |value, bound| if value < bound { bound } else { value })
    }

    #[inline(always)]
    unsafe fn min(self, bound: Self) -> Self {
        self.map2(bound, |value, bound| if value > bound { bound } else { value })
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{
        __m256, _mm256_add_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_max_ps, _mm256_min_ps,
        _mm256_set1_ps, _mm256_storeu_ps, _mm256_sub_ps,
    };

    /// One register; sixteen there are.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Avx2(pub __m256);

    impl super::Lanes for Avx2 {
        const TILES: &[(usize, usize)] = &[(6, 2), (3, 3), (2, 4)];

        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            Self(unsafe { _mm256_set1_ps(value) })
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            Self(unsafe { _mm256_loadu_ps(from) })
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            unsafe { _mm256_storeu_ps(to, self.0) }
        }

        #[inline(always)]
        unsafe fn add_product(self, a: Self, b: Self) -> Self {
            Self(unsafe { _mm256_fmadd_ps(a.0, b.0, self.0) })
        }

        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            Self(unsafe { _mm256_add_ps(self.0, other.0) })
        }

        #[inline(always)]
        unsafe fn sub(self, other: Self) -> Self {
            Self(unsafe { _mm256_sub_ps(self.0, other.0) })
        }

        // The instruction gives its second operand where either is NaN.
        #[inline(always)]
        unsafe fn max(self, bound: Self) -> Self {
            Self(unsafe { _mm256_max_ps(bound.0, self.0) })
        }

        #[inline(always)]
        unsafe fn min(self, bound: Self) -> Self {
            Self(unsafe { _mm256_min_ps(bound.0, self.0) })
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use avx2::Avx2;

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::{
        __m512, _mm256_loadu_ps, _mm256_storeu_ps, _mm512_add_ps, _mm512_castps512_ps256,
        _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_max_ps, _mm512_min_ps, _mm512_set1_ps,
        _mm512_storeu_ps, _mm512_sub_ps, _mm512_zextps256_ps512,
    };

    /// One register of sixteen floats; thirty-two there are.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Avx512(pub __m512);

    impl super::Lanes for Avx512 {
        const TILES: &[(usize, usize)] = &[(12, 2), (8, 3), (6, 4)];
        const BLOCKS: usize = 2;

        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            Self(unsafe { _mm512_set1_ps(value) })
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            Self(unsafe { _mm512_loadu_ps(from) })
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            unsafe { _mm512_storeu_ps(to, self.0) }
        }

        #[inline(always)]
        unsafe fn load_blocks(from: *const f32, blocks: usize) -> Self {
            match blocks {
                1 => Self(unsafe { _mm512_zextps256_ps512(_mm256_loadu_ps(from)) }),
                _ => unsafe { Self::load(from) },
            }
        }

        #[inline(always)]
        unsafe fn store_blocks(self, to: *mut f32, blocks: usize) {
            match blocks {
                1 => unsafe { _mm256_storeu_ps(to, _mm512_castps512_ps256(self.0)) },
                _ => unsafe { self.store(to) },
            }
        }

        #[inline(always)]
        unsafe fn add_product(self, a: Self, b: Self) -> Self {
            Self(unsafe { _mm512_fmadd_ps(a.0, b.0, self.0) })
        }

        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            Self(unsafe { _mm512_add_ps(self.0, other.0) })
        }

        #[inline(always)]
        unsafe fn sub(self, other: Self) -> Self {
            Self(unsafe { _mm512_sub_ps(self.0, other.0) })
        }

        // The instruction gives its second operand where either is NaN.
        #[inline(always)]
        unsafe fn max(self, bound: Self) -> Self {
            Self(unsafe { _mm512_max_ps(bound.0, self.0) })
        }

        #[inline(always)]
        unsafe fn min(self, bound: Self) -> Self {
            Self(unsafe { _mm512_min_ps(bound.0, self.0) })
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod odd {
    use super::{Avx2, Avx512, Lanes};

    /// So many registers of sixteen floats and one of eight: an odd number of blocks without a gap.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Odd<const N: usize>([Avx512; N], Avx2);

    impl<const N: usize> Odd<N> {
        #[inline(always)]
        unsafe fn map2(
            self,
            other: Self,
            wide: impl Fn(Avx512, Avx512) -> Avx512,
            last: impl Fn(Avx2, Avx2) -> Avx2,
        ) -> Self {
            let mut all = self;
            for i in 0..N {
                all.0[i] = wide(self.0[i], other.0[i]);
            }
            all.1 = last(self.1, other.1);
            all
        }
    }

    impl<const N: usize> Lanes for Odd<N> {
        // Twenty-four registers of sums.
        const TILES: &[(usize, usize)] = &[(24 / (N + 1), 1)];
        const BLOCKS: usize = 2 * N + 1;

        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            unsafe { Self([Avx512::splat(value); N], Avx2::splat(value)) }
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            unsafe {
                let mut all = Self([Avx512::splat(0.0); N], Avx2::load(from.add(N * 16)));
                for i in 0..N {
                    all.0[i] = Avx512::load(from.add(i * 16));
                }
                all
            }
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            unsafe {
                for i in 0..N {
                    self.0[i].store(to.add(i * 16));
                }
                self.1.store(to.add(N * 16));
            }
        }

        #[inline(always)]
        unsafe fn load_blocks(from: *const f32, blocks: usize) -> Self {
            if blocks == Self::BLOCKS {
                return unsafe { Self::load(from) };
            }
            unsafe {
                let mut all = Self::splat(0.0);
                for i in 0..N {
                    if blocks > 2 * i {
                        all.0[i] = Avx512::load_blocks(from.add(i * 16), (blocks - 2 * i).min(2));
                    }
                }
                all
            }
        }

        #[inline(always)]
        unsafe fn store_blocks(self, to: *mut f32, blocks: usize) {
            if blocks == Self::BLOCKS {
                return unsafe { self.store(to) };
            }
            for i in 0..N {
                if blocks > 2 * i {
                    let blocks = (blocks - 2 * i).min(2);
                    unsafe { self.0[i].store_blocks(to.add(i * 16), blocks) };
                }
            }
        }

        #[inline(always)]
        unsafe fn add_product(self, a: Self, b: Self) -> Self {
            unsafe {
                let mut all = self;
                for i in 0..N {
                    all.0[i] = self.0[i].add_product(a.0[i], b.0[i]);
                }
                all.1 = self.1.add_product(a.1, b.1);
                all
            }
        }

        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            unsafe { self.map2(other, |a, b| a.add(b), |a, b| a.add(b)) }
        }

        #[inline(always)]
        unsafe fn sub(self, other: Self) -> Self {
            unsafe { self.map2(other, |a, b| a.sub(b), |a, b| a.sub(b)) }
        }

        #[inline(always)]
        unsafe fn max(self, bound: Self) -> Self {
            unsafe { self.map2(bound, |a, b| a.max(b), |a, b| a.max(b)) }
        }

        #[inline(always)]
        unsafe fn min(self, bound: Self) -> Self {
            unsafe { self.map2(bound, |a, b| a.min(b), |a, b| a.min(b)) }
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use avx512::Avx512;
#[cfg(target_arch = "x86_64")]
pub(super) use odd::Odd;

#[cfg(target_arch = "aarch64")]
mod neon {
    use std::arch::aarch64::{
        float32x4_t, vaddq_f32, vdupq_n_f32, vfmaq_f32, vld1q_f32, vmaxq_f32, vminq_f32, vst1q_f32,
        vsubq_f32,
    };

    /// Two registers of thirty-two.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Neon(pub float32x4_t, pub float32x4_t);

    impl super::Lanes for Neon {
        const TILES: &[(usize, usize)] = &[(6, 2), (3, 3), (2, 4)];

        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            unsafe { Self(vdupq_n_f32(value), vdupq_n_f32(value)) }
        }

        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            unsafe { Self(vld1q_f32(from), vld1q_f32(from.add(4))) }
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            unsafe {
                vst1q_f32(to, self.0);
                vst1q_f32(to.add(4), self.1);
            }
        }

        #[inline(always)]
        unsafe fn add_product(self, a: Self, b: Self) -> Self {
            unsafe { Self(vfmaq_f32(self.0, a.0, b.0), vfmaq_f32(self.1, a.1, b.1)) }
        }

        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            unsafe { Self(vaddq_f32(self.0, other.0), vaddq_f32(self.1, other.1)) }
        }

        #[inline(always)]
        unsafe fn sub(self, other: Self) -> Self {
            unsafe { Self(vsubq_f32(self.0, other.0), vsubq_f32(self.1, other.1)) }
        }

        // NaN where either is.
        #[inline(always)]
        unsafe fn max(self, bound: Self) -> Self {
            unsafe { Self(vmaxq_f32(self.0, bound.0), vmaxq_f32(self.1, bound.1)) }
        }

        #[inline(always)]
        unsafe fn min(self, bound: Self) -> Self {
            unsafe { Self(vminq_f32(self.0, bound.0), vminq_f32(self.1, bound.1)) }
        }
    }
}

#[cfg(target_arch = "aarch64")]
pub(super) use neon::Neon;
