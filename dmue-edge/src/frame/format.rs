//! How the bytes of a picture are laid out.

/// The layout of a frame's pixels, 8 bits a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PixelFormat {
    /// One plane, one byte of luma a pixel.
    Gray8,
    /// One plane: red, green, blue.
    Rgb24,
    /// One plane: blue, green, red (OpenCV's order).
    Bgr24,
    /// One plane: red, green, blue and one byte that is ignored.
    Rgba32,
    /// One plane: blue, green, red and one byte that is ignored.
    Bgra32,
    /// Two planes: luma, then one interleaved U, V pair for each 2x2 pixels.
    Nv12,
    /// Three planes: luma, then U, then V, one byte of each for 2x2 pixels (also called YU12).
    I420,
    /// One plane: Y, U, Y, V for each two pixels of a row (also called YUY2).
    Yuyv,
}

impl PixelFormat {
    /// Every format there is.
    pub const ALL: [Self; 8] = [
        Self::Gray8,
        Self::Rgb24,
        Self::Bgr24,
        Self::Rgba32,
        Self::Bgra32,
        Self::Nv12,
        Self::I420,
        Self::Yuyv,
    ];

    /// How many planes a frame of this format has: 1, 2 or 3.
    pub const fn planes(self) -> usize {
        match self {
            Self::Nv12 => 2,
            Self::I420 => 3,
            _ => 1,
        }
    }

    /// Bytes that one row of `plane` needs for `width` pixels; 0 past the last plane. An odd width
    /// is rounded up where two pixels share their colour.
    pub const fn row_bytes(self, plane: usize, width: u32) -> usize {
        let (width, pairs) = (width as usize, width.div_ceil(2) as usize);
        match (self, plane) {
            (Self::Gray8 | Self::Nv12 | Self::I420, 0) => width,
            (Self::Rgb24 | Self::Bgr24, 0) => width.saturating_mul(3),
            (Self::Rgba32 | Self::Bgra32, 0) => width.saturating_mul(4),
            (Self::Yuyv, 0) => pairs.saturating_mul(4),
            (Self::Nv12, 1) => pairs.saturating_mul(2),
            (Self::I420, 1 | 2) => pairs,
            _ => 0,
        }
    }

    /// Rows of `plane` in a frame of `height` rows; 0 past the last plane. An odd height is rounded
    /// up where two rows share their colour.
    pub const fn rows(self, plane: usize, height: u32) -> u32 {
        match (self, plane) {
            (_, 0) => height,
            (Self::Nv12, 1) | (Self::I420, 1 | 2) => height.div_ceil(2),
            _ => 0,
        }
    }

    /// The distance in bytes between the rows of `plane` when all planes lie in one buffer whose
    /// first plane has rows `stride` bytes apart: I420's colour planes have half of it, rounded up.
    pub const fn plane_stride(self, plane: usize, stride: usize) -> usize {
        match (self, plane) {
            (Self::I420, 1 | 2) => stride.div_ceil(2),
            (Self::Nv12, 1) => stride.saturating_add(stride % 2),
            _ => stride,
        }
    }
}
