//! Pixels that belong to the caller: described once, checked once, then trusted.

mod format;
mod yuv;

pub use format::PixelFormat;
pub use yuv::YuvColour;

use crate::wide::widely;

/// The longest side of a frame in pixels; a longer one is taken for a mistake of the caller.
pub const MAXIMUM_SIDE: u32 = 65_535;

/// Why bytes cannot be seen as the frame that was described. Planes are counted from 0.
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
    /// Too few or too many planes.
    #[error("a frame of format {format:?} has {needed} planes, not {given}")]
    PlaneCount {
        /// The format given.
        format: PixelFormat,
        /// Planes of that format.
        needed: usize,
        /// Planes given.
        given: usize,
    },
    /// Rows would overlap.
    #[error(
        "a row of plane {plane} has {row} bytes of pixels but the stride is only {stride} bytes: \
         give the distance between the starts of two rows in bytes, not pixels"
    )]
    StrideTooSmall {
        /// Which plane.
        plane: usize,
        /// Stride given, in bytes.
        stride: usize,
        /// Bytes of pixels in one row.
        row: usize,
    },
    /// The slice ends before the last row does.
    #[error("plane {plane} of the frame needs {needed} bytes but only {available} were given")]
    TooFewBytes {
        /// Which plane.
        plane: usize,
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
        /// Rows of the plane.
        height: u32,
    },
}

/// Rows of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plane<'a> {
    /// From the first byte of the first row on; the last row may end with its last pixel, and bytes
    /// past it are ignored.
    pub bytes: &'a [u8],
    /// The distance in bytes between the starts of two rows.
    pub stride: usize,
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
    planes: [Plane<'a>; 3],
    width: u32,
    height: u32,
    format: PixelFormat,
    yuv: YuvColour,
}

impl<'a> FrameView<'a> {
    /// Describes `bytes` as `height` rows of `width` pixels, the rows `stride` bytes apart.
    ///
    /// Formats of several planes have them one after the other, each of whole rows, as V4L2 and
    /// FFmpeg's raw video do; [`PixelFormat::plane_stride`] says how far their rows are apart.
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
        let mut planes = [Plane::default(); 3];
        let mut rest = bytes;
        for (index, plane) in planes.iter_mut().enumerate().take(format.planes()) {
            let stride = format.plane_stride(index, stride);
            *plane = Plane { bytes: rest, stride };
            let whole = stride.saturating_mul(format.rows(index, height) as usize);
            rest = rest.get(whole..).unwrap_or_default();
        }
        Self::from_planes(planes.get(..format.planes()).unwrap_or_default(), width, height, format)
    }

    /// Describes a frame of `width` x `height` pixels by its planes, wherever they lie.
    ///
    /// # Errors
    /// As [`FrameView::new`], and [`FrameError::PlaneCount`].
    pub fn from_planes(
        planes: &[Plane<'a>],
        width: u32,
        height: u32,
        format: PixelFormat,
    ) -> Result<Self, FrameError> {
        if width == 0 || height == 0 {
            return Err(FrameError::Empty { width, height });
        }
        if width > MAXIMUM_SIDE || height > MAXIMUM_SIDE {
            return Err(FrameError::TooLarge { width, height });
        }
        let (needed, given) = (format.planes(), planes.len());
        if needed != given {
            return Err(FrameError::PlaneCount { format, needed, given });
        }
        let mut checked = [Plane::default(); 3];
        for (index, (slot, plane)) in checked.iter_mut().zip(planes).enumerate() {
            plane.check(index, format.row_bytes(index, width), format.rows(index, height))?;
            *slot = *plane;
        }
        Ok(Self { planes: checked, width, height, format, yuv: YuvColour::default() })
    }

    /// Says what the frame's Y, U and V mean; without it they are [`YuvColour::Bt601Limited`].
    /// Formats without them, gray among them, are not affected.
    pub const fn with_yuv(self, yuv: YuvColour) -> Self {
        Self { yuv, ..self }
    }

    /// Width in pixels, 1..=[`MAXIMUM_SIDE`].
    pub const fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels, 1..=[`MAXIMUM_SIDE`].
    pub const fn height(&self) -> u32 {
        self.height
    }

    /// The format that the frame was described with.
    pub const fn format(&self) -> PixelFormat {
        self.format
    }

    /// The planes of the format, each from its first byte to the end of what was handed over.
    pub fn planes(&self) -> &[Plane<'a>] {
        self.planes.get(..self.format.planes()).unwrap_or_default()
    }

    /// Red, green and blue at column `x`, row `y`; gray frames give the same value three times.
    /// A position outside the frame gives the nearest border pixel. Pixels that share their colour
    /// difference get it unchanged (no interpolation).
    #[inline]
    pub fn rgb(&self, x: u32, y: u32) -> [u8; 3] {
        let (x, y) = (x.min(self.width - 1) as usize, y.min(self.height - 1));
        let row = self.row(0, y);
        match self.format {
            PixelFormat::Gray8 => [row[x]; 3],
            PixelFormat::Rgb24 => rgb_of(&row[x * 3..]),
            PixelFormat::Rgba32 => rgb_of(&row[x * 4..]),
            PixelFormat::Bgr24 => bgr_of(&row[x * 3..]),
            PixelFormat::Bgra32 => bgr_of(&row[x * 4..]),
            PixelFormat::Nv12 => self.nv12(row, self.row(1, y / 2), x),
            PixelFormat::I420 => self.i420(row, self.row(1, y / 2), self.row(2, y / 2), x),
            PixelFormat::Yuyv => self.yuyv(row, x),
        }
    }

    /// The pixels of columns `x..x + width` of row `y` as red, green, blue, one behind the other, clamped as
    /// [`Self::rgb`] is: where the frame has them so, there; else in `bytes`. The format is looked at once a row.
    pub(crate) fn read_row<'b>(
        &'b self,
        x: u32,
        width: u32,
        y: u32,
        bytes: &'b mut Vec<u8>,
    ) -> &'b [u8] {
        let columns = x.min(self.width) as usize..x.saturating_add(width).min(self.width) as usize;
        let y = y.min(self.height - 1);
        let row = self.row(0, y);
        let samples = |size: usize| &row[columns.start * size..columns.end * size];
        if self.format == PixelFormat::Rgb24 {
            return samples(3);
        }
        bytes.resize(columns.len() * 3, 0);
        let pixels = bytes.as_chunks_mut::<3>().0;
        widely(|| match self.format {
            PixelFormat::Gray8 => convert(pixels, samples(1).iter().map(|gray| [*gray; 3])),
            PixelFormat::Rgb24 => {}
            PixelFormat::Rgba32 => convert(pixels, samples(4).chunks_exact(4).map(rgb_of)),
            PixelFormat::Bgr24 => convert(pixels, samples(3).chunks_exact(3).map(bgr_of)),
            PixelFormat::Bgra32 => convert(pixels, samples(4).chunks_exact(4).map(bgr_of)),
            PixelFormat::Nv12 => {
                let colour = self.row(1, y / 2);
                convert(pixels, columns.clone().map(|x| self.nv12(row, colour, x)));
            }
            PixelFormat::I420 => {
                let (u, v) = (self.row(1, y / 2), self.row(2, y / 2));
                convert(pixels, columns.clone().map(|x| self.i420(row, u, v, x)));
            }
            PixelFormat::Yuyv => {
                convert(pixels, columns.clone().map(|x| self.yuyv(row, x)));
            }
        });
        bytes
    }

    #[inline]
    fn nv12(&self, luma: &[u8], colour: &[u8], x: usize) -> [u8; 3] {
        self.yuv.rgb([luma[x], colour[x & !1], colour[x | 1]])
    }

    #[inline]
    fn i420(&self, luma: &[u8], u: &[u8], v: &[u8], x: usize) -> [u8; 3] {
        self.yuv.rgb([luma[x], u[x / 2], v[x / 2]])
    }

    #[inline]
    fn yuyv(&self, row: &[u8], x: usize) -> [u8; 3] {
        let pair = x / 2 * 4;
        self.yuv.rgb([row[x * 2], row[pair + 1], row[pair + 3]])
    }

    /// The pixels' bytes of one row of a plane that the format has.
    #[inline]
    fn row(&self, plane: usize, y: u32) -> &'a [u8] {
        let Plane { bytes, stride } = self.planes[plane];
        let start = y as usize * stride;
        &bytes[start..start + self.format.row_bytes(plane, self.width)]
    }
}

impl Plane<'_> {
    fn check(&self, plane: usize, row: usize, rows: u32) -> Result<(), FrameError> {
        let Self { bytes, stride } = *self;
        if stride < row {
            return Err(FrameError::StrideTooSmall { plane, stride, row });
        }
        let needed = stride
            .checked_mul(rows as usize - 1)
            .and_then(|before_last| before_last.checked_add(row))
            .ok_or(FrameError::Overflow { stride, height: rows })?;
        match bytes.len() < needed {
            true => Err(FrameError::TooFewBytes { plane, needed, available: bytes.len() }),
            false => Ok(()),
        }
    }
}

#[inline(always)]
fn convert(pixels: &mut [[u8; 3]], from: impl Iterator<Item = [u8; 3]>) {
    pixels.iter_mut().zip(from).for_each(|(pixel, rgb)| *pixel = rgb);
}

/// Rows of some columns of a frame as RGB, each converted once where it is asked for several times in a row.
pub(crate) struct RowReader<'a> {
    frame: &'a FrameView<'a>,
    x: u32,
    width: u32,
    /// The row that `bytes` hold.
    held: Option<u32>,
    bytes: Vec<u8>,
}

impl<'a> RowReader<'a> {
    pub fn new(frame: &'a FrameView<'a>, x: u32, width: u32) -> Self {
        Self { frame, x, width, held: None, bytes: Vec::new() }
    }

    pub fn row(&mut self, y: u32) -> &[u8] {
        if self.held == Some(y) && !self.bytes.is_empty() {
            return &self.bytes;
        }
        self.held = Some(y);
        self.frame.read_row(self.x, self.width, y, &mut self.bytes)
    }
}

#[inline]
fn rgb_of(pixel: &[u8]) -> [u8; 3] {
    [pixel[0], pixel[1], pixel[2]]
}

#[inline]
fn bgr_of(pixel: &[u8]) -> [u8; 3] {
    [pixel[2], pixel[1], pixel[0]]
}

#[cfg(test)]
mod tests;
