//! Image files: decoded to RGB, upright as their EXIF orientation asks.

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageError, ImageReader, Limits, RgbImage};

use crate::frame::{FrameError, FrameView, MAXIMUM_SIDE, PixelFormat};

/// The most memory that decoding may take, in bytes: enough for 170 megapixels of RGB, so that a
/// small file that claims to be huge is refused instead of exhausting the device.
const MAXIMUM_DECODED_BYTES: u64 = 512 << 20;

/// The longest file that is read, in bytes: longer ones, and devices that never end, would fill the
/// memory before any decoder sees them.
const LONGEST_FILE: u64 = 512 << 20;

/// Why an image could not be read. `name` is the file's path as it was given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PhotoError {
    /// The file could not be opened or read.
    #[error("{name}: {reason}")]
    Unreadable {
        /// The file.
        name: String,
        /// What the operating system said.
        reason: std::io::Error,
    },
    /// The file has no bytes.
    #[error("{name}: the file is empty")]
    Empty {
        /// The file.
        name: String,
    },
    /// The file is longer than an image of the largest size that is decoded.
    #[error("{name}: the file is longer than {LONGEST_FILE} bytes: shrink the image first")]
    TooLong {
        /// The file.
        name: String,
    },
    /// The content is of no known image format; the file's extension is not looked at.
    #[error("{name}: not an image that can be read (PNG, JPEG, BMP and WebP can)")]
    UnknownFormat {
        /// The file.
        name: String,
    },
    /// The image is larger than a frame may be or than the memory set aside for decoding.
    #[error(
        "{name}: {width}x{height} pixels are too many \
         (at most {MAXIMUM_SIDE} a side and 170 megapixels): shrink it first"
    )]
    TooLarge {
        /// The file.
        name: String,
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// The content is of a known format but damaged, cut short or of an unknown variant.
    #[error("{name}: the image is damaged or incomplete: {reason}")]
    Damaged {
        /// The file.
        name: String,
        /// What the decoder said.
        reason: String,
    },
}

/// An RGB image in memory, upright.
#[derive(Clone, Debug)]
pub struct Photo {
    pixels: RgbImage,
}

impl Photo {
    /// Reads an image file (PNG, JPEG, BMP or WebP, recognised by content).
    ///
    /// # Errors
    /// [`PhotoError`], which names the file and the reason.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, PhotoError> {
        let name = path.as_ref().display().to_string();
        match read(path.as_ref()) {
            Ok(Some(bytes)) => decode(&bytes, name),
            Ok(None) => Err(PhotoError::TooLong { name }),
            Err(reason) => Err(PhotoError::Unreadable { name, reason }),
        }
    }

    /// Decodes an image file's bytes; errors call it "image".
    ///
    /// # Errors
    /// As [`Photo::open`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PhotoError> {
        decode(bytes, "image".into())
    }

    /// The pixels as a frame.
    ///
    /// # Errors
    /// None for a photo that this type decoded.
    pub fn view(&self) -> Result<FrameView<'_>, FrameError> {
        let (width, height) = self.pixels.dimensions();
        let stride = PixelFormat::Rgb24.row_bytes(0, width);
        FrameView::new(self.pixels.as_raw(), width, height, stride, PixelFormat::Rgb24)
    }

    /// The pixels, to draw on.
    pub fn into_pixels(self) -> RgbImage {
        self.pixels
    }
}

/// Pixels that are decoded already.
impl From<RgbImage> for Photo {
    fn from(pixels: RgbImage) -> Self {
        Self { pixels }
    }
}

/// The whole file; none if it is longer than [`LONGEST_FILE`].
fn read(path: &Path) -> std::io::Result<Option<Vec<u8>>> {
    let file = File::open(path)?;
    if file.metadata()?.len() > LONGEST_FILE {
        return Ok(None);
    }
    // A device has no length.
    let mut bytes = Vec::new();
    file.take(LONGEST_FILE + 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes).filter(|bytes| bytes.len() as u64 <= LONGEST_FILE))
}

fn decode(bytes: &[u8], name: String) -> Result<Photo, PhotoError> {
    if bytes.is_empty() {
        return Err(PhotoError::Empty { name });
    }
    // Guessing looks at bytes in memory and cannot fail for want of them.
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
    let Some(reader) = reader.ok().filter(|reader| reader.format().is_some()) else {
        return Err(PhotoError::UnknownFormat { name });
    };
    let decoder = match reader.into_decoder() {
        Ok(decoder) => decoder,
        Err(ImageError::Unsupported(_)) => return Err(PhotoError::UnknownFormat { name }),
        Err(error) => return Err(damaged(name, &error)),
    };
    let (width, height) = decoder.dimensions();
    let too_large = width > MAXIMUM_SIDE
        || height > MAXIMUM_SIDE
        || decoder.total_bytes() > MAXIMUM_DECODED_BYTES;
    if too_large {
        return Err(PhotoError::TooLarge { name, width, height });
    }
    upright(decoder).map(|pixels| Photo { pixels }).map_err(|error| damaged(name, &error))
}

fn upright(mut decoder: impl ImageDecoder) -> Result<RgbImage, ImageError> {
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAXIMUM_DECODED_BYTES);
    decoder.set_limits(limits)?;
    let orientation = decoder.orientation()?;
    let mut image = DynamicImage::from_decoder(decoder)?;
    image.apply_orientation(orientation);
    Ok(image.into_rgb8())
}

fn damaged(name: String, error: &ImageError) -> PhotoError {
    PhotoError::Damaged { name, reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::codecs::jpeg::JpegEncoder;
    use image::{ExtendedColorType, ImageEncoder, Rgb};

    /// 16x24: red top left, green top right, blue bottom left, white bottom right.
    fn corners() -> RgbImage {
        RgbImage::from_fn(16, 24, |x, y| match (x < 8, y < 12) {
            (true, true) => Rgb([255, 0, 0]),
            (false, true) => Rgb([0, 255, 0]),
            (true, false) => Rgb([0, 0, 255]),
            (false, false) => Rgb([255; 3]),
        })
    }

    fn png(image: &RgbImage) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    /// A JPEG whose EXIF block holds nothing but the orientation tag 0x0112.
    fn jpeg_with_orientation(image: &RgbImage, orientation: u8) -> Vec<u8> {
        let mut exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
        exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
        let mut bytes = Vec::new();
        let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 95);
        encoder.set_exif_metadata(exif).unwrap();
        let (width, height) = image.dimensions();
        encoder.write_image(image.as_raw(), width, height, ExtendedColorType::Rgb8).unwrap();
        bytes
    }

    /// The stored image that a viewer shows as `shown` when told `orientation`, written with the
    /// EXIF standard's words: "row 0 is the visual ..., column 0 the visual ...".
    fn stored(shown: &RgbImage, orientation: u8) -> RgbImage {
        let (width, height) = shown.dimensions();
        let (right, bottom) = (width - 1, height - 1);
        let size = if orientation >= 5 { (height, width) } else { (width, height) };
        RgbImage::from_fn(size.0, size.1, |column, row| {
            let (x, y) = match orientation {
                1 => (column, row),                  // row 0 top, column 0 left
                2 => (right - column, row),          // top, right
                3 => (right - column, bottom - row), // bottom, right
                4 => (column, bottom - row),         // bottom, left
                5 => (row, column),                  // left, top
                6 => (right - row, column),          // right, top
                7 => (right - row, bottom - column), // right, bottom
                _ => (row, bottom - column),         // left, bottom
            };
            *shown.get_pixel(x, y)
        })
    }

    #[test]
    fn all_eight_orientations_come_out_upright() {
        for orientation in 1..=8 {
            let bytes = jpeg_with_orientation(&stored(&corners(), orientation), orientation);
            let photo = Photo::from_bytes(&bytes).unwrap();
            let frame = photo.view().unwrap();
            assert_eq!((frame.width(), frame.height()), (16, 24), "orientation {orientation}");
            for (x, y) in [(2, 2), (13, 2), (2, 21), (13, 21)] {
                let (seen, expected) = (frame.rgb(x, y), corners().get_pixel(x, y).0);
                let far = seen.iter().zip(expected).any(|(a, b)| a.abs_diff(b) > 40);
                assert!(!far, "orientation {orientation} at {x},{y}: {seen:?}, not {expected:?}");
            }
        }
    }

    #[test]
    fn png_pixels_are_exact() {
        let photo = Photo::from_bytes(&png(&corners())).unwrap();
        assert_eq!(photo.into_pixels(), corners());
    }

    #[test]
    fn every_bad_file_is_named_with_its_reason() {
        let folder = tempfile::tempdir().unwrap();
        let open = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            let error = Photo::open(&path).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
            error
        };
        assert!(matches!(open("empty.png", b""), PhotoError::Empty { .. }));
        assert!(matches!(open("text.jpg", b"no image"), PhotoError::UnknownFormat { .. }));
        let (png, jpeg) = (png(&corners()), jpeg_with_orientation(&corners(), 1));
        assert!(matches!(open("half.png", &png[..png.len() / 2]), PhotoError::Damaged { .. }));
        assert!(matches!(open("half.jpg", &jpeg[..jpeg.len() / 3]), PhotoError::Damaged { .. }));
        let missing = Photo::open(folder.path().join("missing.png")).unwrap_err();
        assert!(matches!(missing, PhotoError::Unreadable { .. }), "{missing}");
        let folder_itself = Photo::open(folder.path()).unwrap_err();
        assert!(matches!(folder_itself, PhotoError::Unreadable { .. }), "{folder_itself}");
    }

    #[test]
    fn a_file_that_would_fill_the_memory_is_refused_before_it_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("long.png");
        // A hole: it takes no room on the disk.
        File::create(&path).unwrap().set_len(LONGEST_FILE + 1).unwrap();
        let error = Photo::open(&path).unwrap_err();
        assert!(matches!(error, PhotoError::TooLong { .. }), "{error}");
    }

    #[test]
    fn a_small_file_that_claims_to_be_huge_is_refused() {
        let mut bytes = png(&corners());
        // Width and height of the header chunk; its checksum is what the decoder sees broken
        // unless it is made anew.
        bytes[16..24].copy_from_slice(&[0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff]);
        let checksum = crc32(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&checksum.to_be_bytes());
        let error = Photo::from_bytes(&bytes).unwrap_err();
        assert!(matches!(error, PhotoError::TooLarge { width: 65_535, .. }), "{error}");
    }

    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(u32::MAX, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
                if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 }
            })
        })
    }
}
