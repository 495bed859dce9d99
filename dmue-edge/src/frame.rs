//! Pixels that belong to the caller: described once, checked once, then trusted.

/// The longest side of a frame in pixels; a longer one is taken for a mistake of the caller.
pub const MAXIMUM_SIDE: u32 = 65_535;

/// How the bytes of one pixel are laid out; 8 bits a channel, channels interleaved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PixelFormat {
    /// One byte of luma.
    Gray8,
    /// Red, green, blue.
    Rgb24,
    /// Blue, green, red (OpenCV's order).
    Bgr24,
    /// Red, green, blue and one byte that is ignored.
    Rgba32,
    /// Blue, green, red and one byte that is ignored.
    Bgra32,
}

impl PixelFormat {
    /// Bytes of one pixel: 1, 3 or 4.
    pub const fn bytes_per_pixel(self) -> usize {
        match self {
            Self::Gray8 => 1,
            Self::Rgb24 | Self::Bgr24 => 3,
            Self::Rgba32 | Self::Bgra32 => 4,
        }
    }

    /// Red, green and blue of one pixel of [`Self::bytes_per_pixel`] bytes.
    #[inline]
    fn rgb(self, pixel: &[u8]) -> [u8; 3] {
        match (self, pixel) {
            (Self::Rgb24 | Self::Rgba32, [r, g, b, ..])
            | (Self::Bgr24 | Self::Bgra32, [b, g, r, ..]) => [*r, *g, *b],
            (_, [gray, ..]) => [*gray; 3],
            (_, []) => [0; 3],
        }
    }
}

/// Why bytes cannot be seen as the frame that was described.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// Width or height is zero.
    #[error("the frame is {width}x{height} pixels: both sides must be at least 1")]
    Empty {
        /// Width given, in pixels.
        width: u32,
        /// Height given, in pixels.
        height: u32,
    },
    /// A side is longer than [`MAXIMUM_SIDE`].
    #[error(
        "the frame is {width}x{height} pixels: no side may exceed {MAXIMUM_SIDE}; \
         check that width and height are not byte counts"
    )]
    TooLarge {
        /// Width given, in pixels.
        width: u32,
        /// Height given, in pixels.
        height: u32,
    },
    /// Rows would overlap.
    #[error(
        "a row has {row} bytes of pixels but the stride is only {stride} bytes: \
         give the distance between the starts of two rows in bytes, not pixels"
    )]
    StrideTooSmall {
        /// Stride given, in bytes.
        stride: usize,
        /// Bytes of pixels in one row.
        row: usize,
    },
    /// The slice ends before the last row does.
    #[error("the frame needs {needed} bytes but only {available} were given")]
    TooFewBytes {
        /// Bytes up to the end of the last row's pixels.
        needed: usize,
        /// Bytes given.
        available: usize,
    },
    /// Stride times height does not fit into the address space.
    #[error("a stride of {stride} bytes times {height} rows exceeds the address space")]
    Overflow {
        /// Stride given, in bytes.
        stride: usize,
        /// Height given, in pixels.
        height: u32,
    },
}

/// A borrowed frame whose description was checked against its bytes.
///
/// ```
/// use dmue_edge::frame::{FrameView, PixelFormat};
///
/// let bytes = [10, 20, 30, 40, 50, 60]; // two pixels
/// let frame = FrameView::new(&bytes, 2, 1, 6, PixelFormat::Rgb24)?;
/// assert_eq!(frame.rgb(1, 0), [40, 50, 60]);
/// # Ok::<(), dmue_edge::frame::FrameError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct FrameView<'a> {
    bytes: &'a [u8],
    width: u32,
    height: u32,
    stride: usize,
    format: PixelFormat,
}

impl<'a> FrameView<'a> {
    /// Describes `bytes` as `height` rows of `width` pixels, the rows `stride` bytes apart.
    ///
    /// The last row may end with its last pixel. Bytes past it are ignored.
    ///
    /// # Errors
    /// [`FrameError`], one variant per way in which the description does not fit the bytes.
    pub fn new(
        bytes: &'a [u8],
        width: u32,
        height: u32,
        stride: usize,
        format: PixelFormat,
    ) -> Result<Self, FrameError> {
        if width == 0 || height == 0 {
            return Err(FrameError::Empty { width, height });
        }
        if width > MAXIMUM_SIDE || height > MAXIMUM_SIDE {
            return Err(FrameError::TooLarge { width, height });
        }
        let row = width as usize * format.bytes_per_pixel();
        if stride < row {
            return Err(FrameError::StrideTooSmall { stride, row });
        }
        let needed = stride
            .checked_mul(height as usize - 1)
            .and_then(|before_last| before_last.checked_add(row))
            .ok_or(FrameError::Overflow { stride, height })?;
        if bytes.len() < needed {
            return Err(FrameError::TooFewBytes { needed, available: bytes.len() });
        }
        Ok(Self { bytes, width, height, stride, format })
    }

    /// Width in pixels, 1..=[`MAXIMUM_SIDE`].
    pub const fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels, 1..=[`MAXIMUM_SIDE`].
    pub const fn height(&self) -> u32 {
        self.height
    }

    /// Red, green and blue at column `x`, row `y`; gray frames give the same value three times.
    /// A position outside the frame gives the nearest border pixel.
    #[inline]
    pub fn rgb(&self, x: u32, y: u32) -> [u8; 3] {
        let size = self.format.bytes_per_pixel();
        let start = x.min(self.width - 1) as usize * size;
        self.format.rgb(&self.row(y)[start..start + size])
    }

    /// The pixels of columns `x..x + width` of row `y` as red, green and blue, clamped as
    /// [`Self::rgb`] is.
    pub(crate) fn rgb_row(
        &self,
        x: u32,
        width: u32,
        y: u32,
    ) -> impl Iterator<Item = [u8; 3]> + use<'a> {
        let size = self.format.bytes_per_pixel();
        let start = x.min(self.width) as usize;
        let end = x.saturating_add(width).min(self.width) as usize;
        let format = self.format;
        self.row(y)[start * size..end * size].chunks_exact(size).map(move |pixel| format.rgb(pixel))
    }

    fn row(&self, y: u32) -> &'a [u8] {
        let start = y.min(self.height - 1) as usize * self.stride;
        &self.bytes[start..start + self.width as usize * self.format.bytes_per_pixel()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FORMATS: [PixelFormat; 5] = [
        PixelFormat::Gray8,
        PixelFormat::Rgb24,
        PixelFormat::Bgr24,
        PixelFormat::Rgba32,
        PixelFormat::Bgra32,
    ];

    #[test]
    fn every_format_gives_the_same_colour() {
        let layouts: [(PixelFormat, &[u8]); 4] = [
            (PixelFormat::Rgb24, &[1, 2, 3]),
            (PixelFormat::Bgr24, &[3, 2, 1]),
            (PixelFormat::Rgba32, &[1, 2, 3, 99]),
            (PixelFormat::Bgra32, &[3, 2, 1, 99]),
        ];
        for (format, bytes) in layouts {
            let frame = FrameView::new(bytes, 1, 1, bytes.len(), format).unwrap();
            assert_eq!(frame.rgb(0, 0), [1, 2, 3], "{format:?}");
        }
    }

    #[test]
    fn padding_between_rows_is_skipped_and_the_last_row_needs_none() {
        let bytes = [1, 2, 0, 0, 3, 4];
        let frame = FrameView::new(&bytes, 2, 2, 4, PixelFormat::Gray8).unwrap();
        let gray = |x, y| frame.rgb(x, y)[0];
        assert_eq!([gray(0, 0), gray(1, 0), gray(0, 1), gray(1, 1)], [1, 2, 3, 4]);
        assert_eq!(gray(9, 9), 4, "outside is the nearest border pixel");
    }

    #[test]
    fn every_mismatch_has_its_own_error() {
        let bytes = [0; 12];
        let new = |width, height, stride| {
            FrameView::new(&bytes, width, height, stride, PixelFormat::Rgb24).unwrap_err()
        };
        assert_eq!(new(0, 2, 6), FrameError::Empty { width: 0, height: 2 });
        assert_eq!(new(2, 0, 6), FrameError::Empty { width: 2, height: 0 });
        assert_eq!(new(70_000, 1, 210_000), FrameError::TooLarge { width: 70_000, height: 1 });
        assert_eq!(new(2, 2, 5), FrameError::StrideTooSmall { stride: 5, row: 6 });
        assert_eq!(new(2, 3, 6), FrameError::TooFewBytes { needed: 18, available: 12 });
        assert_eq!(new(2, 3, usize::MAX), FrameError::Overflow { stride: usize::MAX, height: 3 });
    }

    proptest! {
        #[test]
        fn no_description_panics(
            length in 0usize..300,
            width in prop_oneof![0u32..20, any::<u32>()],
            height in prop_oneof![0u32..20, any::<u32>()],
            stride in prop_oneof![0usize..64, any::<usize>()],
            format in prop::sample::select(&FORMATS[..]),
            (x, y) in any::<(u32, u32)>(),
        ) {
            let bytes = vec![7; length];
            if let Ok(frame) = FrameView::new(&bytes, width, height, stride, format) {
                prop_assert_eq!(frame.rgb(x, y), [7; 3]);
                prop_assert!(frame.rgb_row(x, width, y).all(|rgb| rgb == [7; 3]));
            }
        }
    }
}
