//! Which instructions this processor has, and the kernels compiled for each set.

use std::ops::Range;

use tract_core::internal::{TractResult, bail};

use super::dense::{self, Product};
use super::depthwise::{self, Depthwise};
use super::dots;
use super::image::Steps;
use super::instance_norm::{self, InstanceNorm};
use super::lanes::{self, Lanes};
use super::pool::{self, MaxPool};
use super::shapes::by_shape;
use super::winograd::{self, Winograd};

/// A set of vector instructions that this processor is known to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InstructionSet(Set);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "aarch64")]
    Neon,
    Portable,
}

/// Every kernel for one set, as functions that the compiler may use its instructions in.
macro_rules! kernels {
    ($module:ident, $multiply:path, $lanes:ty $(, $feature:meta)?) => {
        mod $module {
            use super::*;

            $(#[$feature])?
            pub unsafe fn multiply(
                product: &Product<'_>,
                shape: (usize, usize),
                pixels: Range<usize>,
                residual: *const f32,
                output: *mut f32,
            ) {
                unsafe { $multiply(product, shape, pixels, residual, output) }
            }

            $(#[$feature])?
            pub unsafe fn filter(
                depthwise: &Depthwise,
                input: *const f32,
                pixels: Range<usize>,
                output: *mut f32,
                target: &Steps,
            ) {
                unsafe { depthwise::sweep::<$lanes>(depthwise, input, pixels, output, target) }
            }

            $(#[$feature])?
            pub unsafe fn pool(pool: &MaxPool, input: *const f32, output: *mut f32) {
                unsafe { pool::sweep::<$lanes>(pool, input, output) }
            }

            $(#[$feature])?
            pub unsafe fn instance_norm(norm: &InstanceNorm, input: *const f32, output: *mut f32) {
                unsafe { instance_norm::sweep::<$lanes>(norm, input, output) }
            }

            $(#[$feature])?
            pub unsafe fn transform_inputs(winograd: &Winograd, input: &[f32], to: &mut [f32]) {
                unsafe { winograd::transform_inputs::<$lanes>(winograd, input, to) }
            }

            $(#[$feature])?
            pub unsafe fn transform_outputs(
                winograd: &Winograd,
                from: &[f32],
                residual: *const f32,
                output: *mut f32,
            ) {
                unsafe { winograd::transform_outputs::<$lanes>(winograd, from, residual, output) }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
kernels!(avx512, multiply_large, lanes::Avx2, target_feature(enable = "avx512f,avx512vl,avx2,fma"));
#[cfg(target_arch = "x86_64")]
kernels!(avx2, multiply_small::<lanes::Avx2>, lanes::Avx2, target_feature(enable = "avx2,fma"));
#[cfg(target_arch = "aarch64")]
kernels!(neon, multiply_small::<lanes::Neon>, lanes::Neon);
kernels!(portable, multiply_small::<lanes::Portable>, lanes::Portable);

/// Calls the kernel that is compiled for the set.
macro_rules! call {
    ($set:expr, $kernel:ident($($argument:expr),*)) => {
        unsafe {
            match $set.0 {
                #[cfg(target_arch = "x86_64")]
                Set::Avx512 => avx512::$kernel($($argument),*),
                #[cfg(target_arch = "x86_64")]
                Set::Avx2 => avx2::$kernel($($argument),*),
                #[cfg(target_arch = "aarch64")]
                Set::Neon => neon::$kernel($($argument),*),
                Set::Portable => portable::$kernel($($argument),*),
            }
        }
    };
}

impl InstructionSet {
    /// Any processor has it.
    pub const PORTABLE: Self = Self(Set::Portable);

    /// The best one here, or what the environment variable `DMUE_KERNELS` says; none where it is `off`.
    ///
    /// # Errors
    /// The variable has a value of no meaning, or names instructions that are not here.
    pub fn chosen() -> TractResult<Option<Self>> {
        let Some(value) = std::env::var_os("DMUE_KERNELS") else { return Ok(Some(Self::best())) };
        match value.to_str() {
            Some("on") => Ok(Some(Self::best())),
            Some("off") => Ok(None),
            name => match Self::all().into_iter().find(|set| name == Some(set.name())) {
                Some(set) => Ok(Some(set)),
                None => bail!(
                    "the environment variable DMUE_KERNELS is {value:?}: it must be on, off or, on this processor, one \
                     of {:?}",
                    Self::all().into_iter().map(Self::name).collect::<Vec<_>>()
                ),
            },
        }
    }

    fn name(self) -> &'static str {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => "avx2",
            #[cfg(target_arch = "aarch64")]
            Set::Neon => "neon",
            Set::Portable => "portable",
        }
    }

    fn best() -> Self {
        Self::all().first().copied().unwrap_or(Self::PORTABLE)
    }

    /// Every set that this processor has, the best one first.
    pub fn all() -> Vec<Self> {
        let mut all = vec![];
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl") {
                all.push(Self(Set::Avx512));
            }
            all.push(Self(Set::Avx2));
        }
        #[cfg(target_arch = "aarch64")]
        all.push(Self(Set::Neon));
        all.push(Self::PORTABLE);
        all
    }

    /// [`Lanes::TILES`] and [`Lanes::BLOCKS`] of the vectors that products of so many blocks are taken of.
    #[cfg_attr(
        not(target_arch = "x86_64"),
        expect(unused_variables, reason = "vectors of one length there")
    )]
    pub fn tiles(self, blocks: usize) -> (&'static [(usize, usize)], usize) {
        fn of<L: Lanes>() -> (&'static [(usize, usize)], usize) {
            (L::TILES, L::BLOCKS)
        }
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => match blocks {
                _ if blocks.is_multiple_of(2) => of::<lanes::Avx512>(),
                _ if blocks.is_multiple_of(3) => of::<lanes::Odd<1>>(),
                _ if blocks.is_multiple_of(5) => of::<lanes::Odd<2>>(),
                _ => of::<lanes::Avx512>(),
            },
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => of::<lanes::Avx2>(),
            #[cfg(target_arch = "aarch64")]
            Set::Neon => of::<lanes::Neon>(),
            Set::Portable => of::<lanes::Portable>(),
        }
    }

    /// Who takes products of bytes.
    pub fn dots(self) -> dots::Set {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 if is_x86_feature_detected!("avx512vnni") => dots::Set::Vnni,
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 | Set::Avx2 => dots::Set::Avx2,
            #[cfg(target_arch = "aarch64")]
            Set::Neon if std::arch::is_aarch64_feature_detected!("dotprod") => dots::Set::Neon,
            #[cfg(target_arch = "aarch64")]
            Set::Neon => dots::Set::NeonPairs,
            Set::Portable => dots::Set::Portable,
        }
    }

    /// [`dense::sweep`] in tiles of this many pixels and vectors.
    ///
    /// # Safety
    /// As [`dense::sweep`].
    pub unsafe fn multiply(
        self,
        product: &Product<'_>,
        shape: (usize, usize),
        pixels: Range<usize>,
        residual: *const f32,
        output: *mut f32,
    ) {
        call!(self, multiply(product, shape, pixels, residual, output))
    }

    /// [`depthwise::sweep`]
    ///
    /// # Safety
    /// As [`depthwise::sweep`].
    pub unsafe fn filter(
        self,
        depthwise: &Depthwise,
        input: *const f32,
        pixels: Range<usize>,
        output: *mut f32,
        target: &Steps,
    ) {
        call!(self, filter(depthwise, input, pixels, output, target))
    }

    /// [`pool::sweep`]
    ///
    /// # Safety
    /// As [`pool::sweep`].
    pub unsafe fn pool(self, pool: &MaxPool, input: *const f32, output: *mut f32) {
        call!(self, pool(pool, input, output))
    }

    /// [`instance_norm::sweep`]
    ///
    /// # Safety
    /// As [`instance_norm::sweep`].
    pub unsafe fn instance_norm(self, norm: &InstanceNorm, input: *const f32, output: *mut f32) {
        call!(self, instance_norm(norm, input, output))
    }

    /// [`winograd::transform_inputs`]
    ///
    /// # Safety
    /// As [`winograd::transform_inputs`].
    pub unsafe fn transform_inputs(self, winograd: &Winograd, input: &[f32], to: &mut [f32]) {
        call!(self, transform_inputs(winograd, input, to))
    }

    /// [`winograd::transform_outputs`]
    ///
    /// # Safety
    /// As [`winograd::transform_outputs`].
    pub unsafe fn transform_outputs(
        self,
        winograd: &Winograd,
        from: &[f32],
        residual: *const f32,
        output: *mut f32,
    ) {
        call!(self, transform_outputs(winograd, from, residual, output))
    }
}

#[inline(always)]
unsafe fn multiply_small<L: Lanes>(
    product: &Product<'_>,
    shape: (usize, usize),
    pixels: Range<usize>,
    residual: *const f32,
    output: *mut f32,
) {
    unsafe { by_shape!(small, shape, dense, L, (product, pixels, residual, output)) }
}

/// In the vectors that [`InstructionSet::tiles`] chose.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn multiply_large(
    product: &Product<'_>,
    shape: (usize, usize),
    pixels: Range<usize>,
    residual: *const f32,
    output: *mut f32,
) {
    use lanes::{Avx512, Odd};
    unsafe {
        match product.blocks_each() {
            3 => by_shape!(odd, shape, dense, Odd<1>, (product, pixels, residual, output)),
            5 => by_shape!(odd, shape, dense, Odd<2>, (product, pixels, residual, output)),
            _ => by_shape!(large, shape, dense, Avx512, (product, pixels, residual, output)),
        }
    }
}
