//! Which instructions this processor has, and the kernels compiled for each set.

use std::ops::Range;

use tract_core::internal::{TractResult, bail};

use super::dense::{self, Product};
use super::depthwise::{self, Depthwise};
use super::image::Steps;
use super::lanes::{self, Lanes};
use super::pool::{self, MaxPool};
use super::winograd::{self, Winograd};

/// A set of vector instructions that this processor is known to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InstructionSet(Set);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "aarch64")]
    Neon,
    Portable,
}

/// Every kernel for one set, as functions that the compiler may use its instructions in.
macro_rules! kernels {
    ($module:ident, $lanes:ty $(, $feature:meta)?) => {
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
                unsafe { multiply_by_shape::<$lanes>(product, shape, pixels, residual, output) }
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
            pub unsafe fn transform_inputs(winograd: &Winograd, input: &[f32], to: &mut [f32]) {
                unsafe { winograd::transform_inputs::<$lanes>(winograd, input, to) }
            }

            $(#[$feature])?
            pub unsafe fn transform_outputs(
                winograd: &Winograd,
                from: &[f32],
                residual: &[f32],
                output: &mut [f32],
            ) {
                unsafe { winograd::transform_outputs::<$lanes>(winograd, from, residual, output) }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
kernels!(avx2, lanes::Avx2, target_feature(enable = "avx2,fma"));
#[cfg(target_arch = "aarch64")]
kernels!(neon, lanes::Neon);
kernels!(portable, lanes::Portable);

/// Calls the kernel that is compiled for the set.
macro_rules! call {
    ($set:expr, $kernel:ident($($argument:expr),*)) => {
        unsafe {
            match $set.0 {
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
    /// The variable has a value of no meaning.
    pub fn chosen() -> TractResult<Option<Self>> {
        let Some(value) = std::env::var_os("DMUE_KERNELS") else { return Ok(Some(Self::best())) };
        match value.to_str() {
            Some("on") => Ok(Some(Self::best())),
            Some("portable") => Ok(Some(Self::PORTABLE)),
            Some("off") => Ok(None),
            _ => bail!(
                "the environment variable DMUE_KERNELS is {value:?}: it must be on, portable or off"
            ),
        }
    }

    fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            return Self(Set::Avx2);
        }
        #[cfg(target_arch = "aarch64")]
        return Self(Set::Neon);
        #[allow(unreachable_code, reason = "reached where no other set is")]
        Self::PORTABLE
    }

    /// Every set that this processor has.
    #[cfg(test)]
    pub fn all() -> Vec<Self> {
        let mut all = vec![Self::PORTABLE, Self::best()];
        all.dedup();
        all
    }

    /// [`Lanes::TILES`]
    pub fn tiles(self) -> &'static [(usize, usize)] {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => lanes::Avx2::TILES,
            #[cfg(target_arch = "aarch64")]
            Set::Neon => lanes::Neon::TILES,
            Set::Portable => lanes::Portable::TILES,
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
        residual: &[f32],
        output: &mut [f32],
    ) {
        call!(self, transform_outputs(winograd, from, residual, output))
    }
}

#[inline(always)]
unsafe fn multiply_by_shape<L: Lanes>(
    product: &Product<'_>,
    shape: (usize, usize),
    pixels: Range<usize>,
    residual: *const f32,
    output: *mut f32,
) {
    macro_rules! shapes {
        ($(($p:literal, $v:literal)),*) => {
            match shape {
                $(($p, $v) => unsafe { dense::sweep::<L, $p, $v>(product, pixels, residual, output) },)*
                (pixels, blocks) => unreachable!("no tile of {pixels} pixels and {blocks} vectors"),
            }
        };
    }
    shapes!(
        (1, 1),
        (2, 1),
        (3, 1),
        (4, 1),
        (5, 1),
        (6, 1),
        (1, 2),
        (2, 2),
        (3, 2),
        (4, 2),
        (5, 2),
        (6, 2),
        (1, 3),
        (2, 3),
        (3, 3),
        (1, 4),
        (2, 4)
    );
}
