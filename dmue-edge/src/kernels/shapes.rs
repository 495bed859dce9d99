//! From the shape of a tile, known when a model is loaded, to the code compiled for it.

/// `$kernel::sweep::<$lanes, PIXELS, VECTORS>($arguments)` for a `$shape` of pixels and vectors: of those that
/// `small`, `large` or `odd` registers hold ([`super::lanes::Lanes::TILES`]).
macro_rules! by_shape {
    (small, $($rest:tt)*) => {
        $crate::kernels::shapes::by_shape!(@ [
            (1, 1) (2, 1) (3, 1) (4, 1) (5, 1) (6, 1)
            (1, 2) (2, 2) (3, 2) (4, 2) (5, 2) (6, 2)
            (1, 3) (2, 3) (3, 3)
            (1, 4) (2, 4)
        ] $($rest)*)
    };
    (large, $($rest:tt)*) => {
        $crate::kernels::shapes::by_shape!(@ [
            (1, 1) (2, 1) (3, 1) (4, 1) (5, 1) (6, 1) (7, 1) (8, 1) (9, 1) (10, 1) (11, 1) (12, 1)
            (1, 2) (2, 2) (3, 2) (4, 2) (5, 2) (6, 2) (7, 2) (8, 2) (9, 2) (10, 2) (11, 2) (12, 2)
            (1, 3) (2, 3) (3, 3) (4, 3) (5, 3) (6, 3) (7, 3) (8, 3)
            (1, 4) (2, 4) (3, 4) (4, 4) (5, 4) (6, 4)
        ] $($rest)*)
    };
    (odd, $($rest:tt)*) => {
        $crate::kernels::shapes::by_shape!(@ [
            (1, 1) (2, 1) (3, 1) (4, 1) (5, 1) (6, 1) (7, 1) (8, 1) (9, 1) (10, 1) (11, 1) (12, 1)
        ] $($rest)*)
    };
    (@ [$(($p:literal, $v:literal))*] $shape:expr, $kernel:ident, $lanes:ty, $arguments:tt) => {
        match $shape {
            $(($p, $v) => $kernel::sweep::<$lanes, $p, $v> $arguments,)*
            (pixels, vectors) => unreachable!("no tile of {pixels} pixels and {vectors} vectors"),
        }
    };
}

pub(super) use by_shape;
