//! Frames: where a C program's pixels are and what they mean.

use super::boundary::{self, invalid};
use super::status::{Failure, dmue_status};
use super::structs::{self, Versioned};
use crate::frame::{FrameView, PixelFormat, Plane, YuvColour};

/// How the bytes of a frame are laid out, 8 bits a sample. Where pixels share their colour, an odd
/// width or height is rounded up.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum dmue_pixel_format {
    /// One plane, one byte of luma a pixel.
    Gray8 = 1,
    /// One plane: red, green, blue.
    Rgb24 = 2,
    /// One plane: blue, green, red (OpenCV's order).
    Bgr24 = 3,
    /// One plane: red, green, blue and one byte that is ignored.
    Rgba32 = 4,
    /// One plane: blue, green, red and one byte that is ignored.
    Bgra32 = 5,
    /// Two planes: luma, then one U, V pair for each 2x2 pixels.
    Nv12 = 6,
    /// Three planes: luma, U, V, one byte of U and of V for each 2x2 pixels (YU12).
    I420 = 7,
    /// One plane: Y, U, Y, V for each two pixels of a row (YUY2).
    Yuyv = 8,
}

/// What the Y, U and V of a frame mean; other formats are not affected.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum dmue_yuv_colour {
    /// ITU-R BT.601, luma 16 to 235 and colour 16 to 240: most cameras.
    Bt601Limited = 0,
    /// ITU-R BT.601, all values 0 to 255: JPEG and Motion JPEG.
    Bt601Full = 1,
    /// ITU-R BT.709, luma 16 to 235 and colour 16 to 240: high-definition video.
    Bt709Limited = 2,
}

/// Pixels of the caller, read during a call and never kept. `dmue_frame_init`, then
/// `dmue_frame_set_buffer` or the fields by hand.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct dmue_frame {
    /// Written by `dmue_frame_init`.
    pub struct_size: u32,
    /// A `dmue_pixel_format`.
    pub format: u32,
    /// In pixels, 1 to 65535.
    pub width: u32,
    /// In pixels, 1 to 65535.
    pub height: u32,
    /// A `dmue_yuv_colour`; `DMUE_YUV_COLOUR_BT601_LIMITED` from `dmue_frame_init`.
    pub yuv_colour: u32,
    /// First byte of the first row of each plane that the format has; the others are not looked at.
    pub planes: [*const u8; 3],
    /// Bytes between the starts of two rows of each plane.
    pub strides: [usize; 3],
    /// Bytes that may be read from each plane's first byte on. The last row may end with its last
    /// pixel.
    pub sizes: [usize; 3],
}

// SAFETY: numbers and raw pointers only, the size first.
unsafe impl Versioned for dmue_frame {
    const NAME: &'static str = "dmue_frame";
    const FIRST_SIZE: usize = size_of::<Self>();

    fn defaults() -> Self {
        Self {
            struct_size: 0,
            format: 0,
            width: 0,
            height: 0,
            yuv_colour: dmue_yuv_colour::Bt601Limited as u32,
            planes: [std::ptr::null(); 3],
            strides: [0; 3],
            sizes: [0; 3],
        }
    }
}

/// Prepares a frame; `struct_size` is `sizeof(dmue_frame)`.
///
/// # Safety
/// `frame` points to `struct_size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dmue_frame_init(
    frame: *mut dmue_frame,
    struct_size: usize,
) -> dmue_status {
    // SAFETY: the caller's `struct_size` bytes.
    boundary::status(|| unsafe { structs::initialise(frame, struct_size) })
}

/// Describes pixels that lie in one buffer of `size` bytes, and checks that they fit.
///
/// `stride` is the distance in bytes between the starts of two rows of the first plane, 0 for rows
/// without padding. Formats of several planes have them one after the other, each of whole rows;
/// I420's U and V rows are half as far apart, rounded up. `yuv_colour` is left as it is.
///
/// Fails with `DMUE_STATUS_FRAME` if the buffer is too small or the stride shorter than a row.
///
/// # Safety
/// `frame` was initialised; `data` points to `size` bytes that live as long as the frame is used.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn dmue_frame_set_buffer(
    frame: *mut dmue_frame,
    format: u32,
    width: u32,
    height: u32,
    data: *const u8,
    size: usize,
    stride: usize,
) -> dmue_status {
    boundary::status(|| {
        // SAFETY: the caller's initialised structure.
        let mut described = unsafe { structs::read(frame) }?;
        // SAFETY: the caller's `size` bytes.
        let bytes = unsafe { boundary::slice(data, size, "data") }?;
        let pixel_format = pixel_format(format)?;
        let stride = if stride == 0 { pixel_format.row_bytes(0, width) } else { stride };
        let view = FrameView::new(bytes, width, height, stride, pixel_format)?;
        (described.format, described.width, described.height) = (format, width, height);
        for (index, Plane { bytes, stride }) in view.planes().iter().enumerate() {
            described.planes[index] = bytes.as_ptr();
            described.strides[index] = *stride;
            described.sizes[index] = bytes.len();
        }
        // SAFETY: the caller's initialised structure.
        unsafe { structs::write(frame, &described) }
    })
}

impl dmue_frame {
    /// The frame that is described, checked.
    ///
    /// # Safety
    /// The planes that the format has point to `sizes` bytes that live for `'a` and that nobody
    /// changes meanwhile.
    pub(super) unsafe fn view<'a>(&self) -> Result<FrameView<'a>, Failure> {
        let format = pixel_format(self.format)?;
        let mut planes = [Plane::default(); 3];
        for (index, plane) in planes.iter_mut().enumerate().take(format.planes()) {
            let name = format!("planes[{index}] of the frame");
            boundary::check(self.planes[index], &name)?;
            // SAFETY: this function's own condition.
            let bytes = unsafe { boundary::slice(self.planes[index], self.sizes[index], &name) }?;
            *plane = Plane { bytes, stride: self.strides[index] };
        }
        let planes = &planes[..format.planes()];
        let view = FrameView::from_planes(planes, self.width, self.height, format)?;
        Ok(view.with_yuv(yuv_colour(self.yuv_colour)?))
    }
}

/// The checked frame behind a pointer.
///
/// # Safety
/// `frame` is null or was initialised; its planes are as [`dmue_frame::view`] needs them.
pub(super) unsafe fn frame_view<'a>(frame: *const dmue_frame) -> Result<FrameView<'a>, Failure> {
    // SAFETY: this function's own condition.
    unsafe { structs::read(frame)?.view() }
}

fn pixel_format(number: u32) -> Result<PixelFormat, Failure> {
    use dmue_pixel_format as c;
    let formats = [
        (c::Gray8, PixelFormat::Gray8),
        (c::Rgb24, PixelFormat::Rgb24),
        (c::Bgr24, PixelFormat::Bgr24),
        (c::Rgba32, PixelFormat::Rgba32),
        (c::Bgra32, PixelFormat::Bgra32),
        (c::Nv12, PixelFormat::Nv12),
        (c::I420, PixelFormat::I420),
        (c::Yuyv, PixelFormat::Yuyv),
    ];
    let known = formats.into_iter().find(|(c, _)| *c as u32 == number);
    known
        .map(|(_, format)| format)
        .ok_or_else(|| invalid(format!("format {number} is no dmue_pixel_format")))
}

fn yuv_colour(number: u32) -> Result<YuvColour, Failure> {
    use dmue_yuv_colour as c;
    let colours = [
        (c::Bt601Limited, YuvColour::Bt601Limited),
        (c::Bt601Full, YuvColour::Bt601Full),
        (c::Bt709Limited, YuvColour::Bt709Limited),
    ];
    let known = colours.into_iter().find(|(c, _)| *c as u32 == number);
    known
        .map(|(_, colour)| colour)
        .ok_or_else(|| invalid(format!("yuv_colour {number} is no dmue_yuv_colour")))
}
