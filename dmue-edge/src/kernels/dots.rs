//! Sums of products of bytes, eight or sixteen outputs at a time, on each instruction set.
//!
//! # Safety
//! As in [`super::lanes`]: inlined where the features are, pointers good for [`Lanes::BLOCKS`] times eight
//! words, or as many bytes.

use std::ops::Range;

use super::int8::{self, Part};
use super::lanes::{Lanes, Portable};
use super::shapes::by_shape;

/// A vector of 32-bit numbers in registers: sums, or four bytes of an input or of weights each.
pub(super) trait Dots: Copy {
    /// As many floats.
    type Floats: Lanes;
    /// What inputs are lowered by before they are multiplied, for instructions that want them signed.
    const LOWERED: i32 = 0;

    unsafe fn load(from: *const i32) -> Self;
    /// Four bytes, for every output.
    unsafe fn broadcast(from: *const i32) -> Self;
    /// `self + a[0] b[0] + a[1] b[1] + a[2] b[2] + a[3] b[3]`, `a` unsigned, `b` signed; sums wrap round.
    unsafe fn add_dot(self, a: Self, b: Self) -> Self;
    unsafe fn to_floats(self) -> Self::Floats;
    /// The nearest whole numbers, of two equally near ones the even one, plus `zero_point`, within 0..=255.
    unsafe fn rounded(values: Self::Floats, zero_point: i32) -> Self;
    unsafe fn load_bytes(from: *const u8) -> Self;
    /// Of numbers within 0..=255.
    unsafe fn store_bytes(self, to: *mut u8);
}

/// Whatever the compiler makes of loops over eight.
#[derive(Clone, Copy)]
pub(super) struct PortableDots([i32; 8]);

impl Dots for PortableDots {
    type Floats = Portable;

    #[inline(always)]
    unsafe fn load(from: *const i32) -> Self {
        Self(unsafe { from.cast::<[i32; 8]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn broadcast(from: *const i32) -> Self {
        Self([unsafe { from.read_unaligned() }; 8])
    }

    #[inline(always)]
    unsafe fn add_dot(self, a: Self, b: Self) -> Self {
        Self(std::array::from_fn(|i| {
            let (a, b) = (a.0[i].to_ne_bytes(), b.0[i].to_ne_bytes());
            let product = |k: usize| i32::from(a[k]) * i32::from(b[k].cast_signed());
            self.0[i].wrapping_add(product(0) + product(1) + product(2) + product(3))
        }))
    }

    #[inline(always)]
    unsafe fn to_floats(self) -> Portable {
        Portable(self.0.map(|value| value as f32))
    }

    #[inline(always)]
    unsafe fn rounded(values: Portable, zero_point: i32) -> Self {
        Self(
            values.0.map(|value| {
                (value.round_ties_even() as i32).saturating_add(zero_point).clamp(0, 255)
            }),
        )
    }

    #[inline(always)]
    unsafe fn load_bytes(from: *const u8) -> Self {
        Self(unsafe { from.cast::<[u8; 8]>().read() }.map(i32::from))
    }

    #[inline(always)]
    unsafe fn store_bytes(self, to: *mut u8) {
        unsafe { to.cast::<[u8; 8]>().write(self.0.map(|value| value as u8)) }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Dots;
    use crate::kernels::lanes::{Avx2, Avx512};

    /// Without an instruction for it: products of every other byte, two at a time.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Avx2Dots(__m256i);

    impl Dots for Avx2Dots {
        type Floats = Avx2;

        #[inline(always)]
        unsafe fn load(from: *const i32) -> Self {
            Self(unsafe { _mm256_loadu_si256(from.cast()) })
        }

        #[inline(always)]
        unsafe fn broadcast(from: *const i32) -> Self {
            Self(unsafe { _mm256_set1_epi32(from.read_unaligned()) })
        }

        #[inline(always)]
        unsafe fn add_dot(self, a: Self, b: Self) -> Self {
            unsafe {
                let even = _mm256_and_si256(a.0, _mm256_set1_epi16(0xff));
                let odd = _mm256_srli_epi16::<8>(a.0);
                let of_even = _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(b.0));
                let of_odd = _mm256_srai_epi16::<8>(b.0);
                let sum = _mm256_add_epi32(self.0, _mm256_madd_epi16(even, of_even));
                Self(_mm256_add_epi32(sum, _mm256_madd_epi16(odd, of_odd)))
            }
        }

        #[inline(always)]
        unsafe fn to_floats(self) -> Avx2 {
            Avx2(unsafe { _mm256_cvtepi32_ps(self.0) })
        }

        #[inline(always)]
        unsafe fn rounded(values: Avx2, zero_point: i32) -> Self {
            unsafe {
                // What no 32-bit number holds becomes the least one: first into reach.
                let reach = _mm256_set1_ps(65_536.0);
                let values = _mm256_max_ps(
                    _mm256_min_ps(values.0, reach),
                    _mm256_sub_ps(_mm256_setzero_ps(), reach),
                );
                let whole =
                    _mm256_add_epi32(_mm256_cvtps_epi32(values), _mm256_set1_epi32(zero_point));
                let least = _mm256_max_epi32(whole, _mm256_setzero_si256());
                Self(_mm256_min_epi32(least, _mm256_set1_epi32(255)))
            }
        }

        #[inline(always)]
        unsafe fn load_bytes(from: *const u8) -> Self {
            Self(unsafe { _mm256_cvtepu8_epi32(_mm_loadl_epi64(from.cast())) })
        }

        #[inline(always)]
        unsafe fn store_bytes(self, to: *mut u8) {
            unsafe {
                let (low, high) =
                    (_mm256_castsi256_si128(self.0), _mm256_extracti128_si256::<1>(self.0));
                let words = _mm_packus_epi32(low, high);
                _mm_storel_epi64(to.cast(), _mm_packus_epi16(words, words));
            }
        }
    }

    /// AVX-512 with VNNI.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Vnni(__m512i);

    impl Dots for Vnni {
        type Floats = Avx512;

        #[inline(always)]
        unsafe fn load(from: *const i32) -> Self {
            Self(unsafe { _mm512_loadu_si512(from.cast()) })
        }

        #[inline(always)]
        unsafe fn broadcast(from: *const i32) -> Self {
            Self(unsafe { _mm512_set1_epi32(from.read_unaligned()) })
        }

        #[inline(always)]
        unsafe fn add_dot(self, a: Self, b: Self) -> Self {
            Self(unsafe { _mm512_dpbusd_epi32(self.0, a.0, b.0) })
        }

        #[inline(always)]
        unsafe fn to_floats(self) -> Avx512 {
            Avx512(unsafe { _mm512_cvtepi32_ps(self.0) })
        }

        #[inline(always)]
        unsafe fn rounded(values: Avx512, zero_point: i32) -> Self {
            unsafe {
                let reach = _mm512_set1_ps(65_536.0);
                let values = _mm512_max_ps(
                    _mm512_min_ps(values.0, reach),
                    _mm512_sub_ps(_mm512_setzero_ps(), reach),
                );
                let whole =
                    _mm512_add_epi32(_mm512_cvtps_epi32(values), _mm512_set1_epi32(zero_point));
                let least = _mm512_max_epi32(whole, _mm512_setzero_si512());
                Self(_mm512_min_epi32(least, _mm512_set1_epi32(255)))
            }
        }

        #[inline(always)]
        unsafe fn load_bytes(from: *const u8) -> Self {
            Self(unsafe { _mm512_cvtepu8_epi32(_mm_loadu_si128(from.cast())) })
        }

        #[inline(always)]
        unsafe fn store_bytes(self, to: *mut u8) {
            unsafe { _mm_storeu_si128(to.cast(), _mm512_cvtepi32_epi8(self.0)) }
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2Dots, Vnni};

#[cfg(target_arch = "aarch64")]
mod neon {
    use std::arch::aarch64::*;
    use std::arch::asm;

    use super::Dots;
    use crate::kernels::lanes::Neon;

    /// With `DOT` by the dot product instructions of ARMv8.2, which take signed bytes; else by products of pairs.
    #[derive(Clone, Copy)]
    pub(in super::super) struct NeonDots<const DOT: bool>(int32x4_t, int32x4_t);

    /// # Safety
    /// With `DOT` the processor has the instruction.
    #[inline(always)]
    unsafe fn dot<const DOT: bool>(mut sum: int32x4_t, a: int32x4_t, b: int32x4_t) -> int32x4_t {
        // SAFETY: registers only.
        unsafe {
            if !DOT {
                let (a, b) = (vreinterpretq_s8_s32(a), vreinterpretq_s8_s32(b));
                let low = vpaddlq_s16(vmull_s8(vget_low_s8(a), vget_low_s8(b)));
                let high = vpaddlq_s16(vmull_high_s8(a, b));
                return vaddq_s32(sum, vpaddq_s32(low, high));
            }
            asm!(
                ".arch_extension dotprod",
                "sdot {sum:v}.4s, {a:v}.16b, {b:v}.16b",
                sum = inout(vreg) sum,
                a = in(vreg) a,
                b = in(vreg) b,
                options(pure, nomem, nostack, preserves_flags)
            );
        }
        sum
    }

    impl<const DOT: bool> Dots for NeonDots<DOT> {
        type Floats = Neon;
        const LOWERED: i32 = 128;

        #[inline(always)]
        unsafe fn load(from: *const i32) -> Self {
            unsafe { Self(vld1q_s32(from), vld1q_s32(from.add(4))) }
        }

        #[inline(always)]
        unsafe fn broadcast(from: *const i32) -> Self {
            unsafe {
                // 128 less, as a signed byte.
                let bytes = vdupq_n_s32(from.read_unaligned() ^ 0x8080_8080_u32.cast_signed());
                Self(bytes, bytes)
            }
        }

        #[inline(always)]
        unsafe fn add_dot(self, a: Self, b: Self) -> Self {
            unsafe { Self(dot::<DOT>(self.0, a.0, b.0), dot::<DOT>(self.1, a.1, b.1)) }
        }

        #[inline(always)]
        unsafe fn to_floats(self) -> Neon {
            unsafe { Neon(vcvtq_f32_s32(self.0), vcvtq_f32_s32(self.1)) }
        }

        #[inline(always)]
        unsafe fn rounded(values: Neon, zero_point: i32) -> Self {
            unsafe {
                let half = |values| {
                    let whole = vqaddq_s32(vcvtnq_s32_f32(values), vdupq_n_s32(zero_point));
                    vminq_s32(vmaxq_s32(whole, vdupq_n_s32(0)), vdupq_n_s32(255))
                };
                Self(half(values.0), half(values.1))
            }
        }

        #[inline(always)]
        unsafe fn load_bytes(from: *const u8) -> Self {
            unsafe {
                let words = vmovl_u8(vld1_u8(from));
                let (low, high) = (vmovl_u16(vget_low_u16(words)), vmovl_u16(vget_high_u16(words)));
                Self(vreinterpretq_s32_u32(low), vreinterpretq_s32_u32(high))
            }
        }

        #[inline(always)]
        unsafe fn store_bytes(self, to: *mut u8) {
            unsafe {
                let words = vcombine_u16(vqmovun_s32(self.0), vqmovun_s32(self.1));
                vst1_u8(to, vqmovn_u16(words));
            }
        }
    }
}

#[cfg(target_arch = "aarch64")]
pub(super) use neon::NeonDots;

/// Who takes products of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Set {
    #[cfg(target_arch = "x86_64")]
    Vnni,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "aarch64")]
    Neon,
    #[cfg(target_arch = "aarch64")]
    NeonPairs,
    Portable,
}

impl Set {
    /// [`Lanes::TILES`], [`Lanes::BLOCKS`] and [`Dots::LOWERED`].
    pub fn tiles(self) -> (&'static [(usize, usize)], usize, i32) {
        fn of<D: Dots>() -> (&'static [(usize, usize)], usize, i32) {
            (D::Floats::TILES, D::Floats::BLOCKS, D::LOWERED)
        }
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Vnni => of::<Vnni>(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => of::<Avx2Dots>(),
            #[cfg(target_arch = "aarch64")]
            Self::Neon | Self::NeonPairs => of::<NeonDots<true>>(),
            Self::Portable => of::<PortableDots>(),
        }
    }

    /// [`int8::sweep`] in tiles of this many pixels and vectors.
    ///
    /// # Safety
    /// As there.
    pub unsafe fn multiply(self, part: &Part<'_>, shape: (usize, usize), pixels: Range<usize>) {
        unsafe {
            match self {
                #[cfg(target_arch = "x86_64")]
                Self::Vnni => vnni(part, shape, pixels),
                #[cfg(target_arch = "x86_64")]
                Self::Avx2 => avx2(part, shape, pixels),
                #[cfg(target_arch = "aarch64")]
                Self::Neon => by_shape!(small, shape, int8, NeonDots<true>, (part, pixels)),
                #[cfg(target_arch = "aarch64")]
                Self::NeonPairs => by_shape!(small, shape, int8, NeonDots<false>, (part, pixels)),
                Self::Portable => by_shape!(small, shape, int8, PortableDots, (part, pixels)),
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512vnni,avx2,fma")]
unsafe fn vnni(part: &Part<'_>, shape: (usize, usize), pixels: Range<usize>) {
    unsafe { by_shape!(large, shape, int8, Vnni, (part, pixels)) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2(part: &Part<'_>, shape: (usize, usize), pixels: Range<usize>) {
    unsafe { by_shape!(small, shape, int8, Avx2Dots, (part, pixels)) }
}
