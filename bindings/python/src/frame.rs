//! Pixels: numpy arrays and other buffers described to dmue-edge where they lie, and image files.

use std::path::PathBuf;

use dmue_edge::frame::{Plane, YuvColour};
use dmue_edge::{FrameView, Photo, PixelFormat};
use pyo3::buffer::{PyBuffer, PyUntypedBuffer};
use pyo3::exceptions::PyTypeError;
use pyo3::types::{PyAnyMethods, PyList, PyTuple, PyTypeMethods};
use pyo3::{Bound, PyAny, PyResult, Python, pyclass, pymethods};

use crate::error::{FrameError, to_python, unlocked};

/// A picture whose description was checked against its bytes. Nothing is copied: do not write to the
/// pixels while a call with the frame runs.
#[pyclass(frozen, module = "dmue_edge")]
pub struct Frame {
    pixels: Pixels,
    width: u32,
    height: u32,
    format: PixelFormat,
    yuv: YuvColour,
}

enum Pixels {
    /// Every plane of the format, one after the other.
    Buffer(Rows),
    /// A buffer for each plane.
    Planes(Vec<Rows>),
    Photo(Photo),
}

#[pymethods]
impl Frame {
    /// Describes an array of unsigned bytes, or a list of arrays, one for each plane, or, with
    /// `width` and `height`, bytes in one dimension.
    #[new]
    #[pyo3(signature = (pixels, format, *, width=None, height=None, stride=None, yuv="bt601_limited"))]
    fn new(
        pixels: &Bound<'_, PyAny>,
        format: &str,
        width: Option<u32>,
        height: Option<u32>,
        stride: Option<usize>,
        yuv: &str,
    ) -> PyResult<Self> {
        let (format, yuv) = (format_named(format)?, yuv_named(yuv)?);
        let (pixels, width, height) = match (width, height) {
            (Some(width), Some(height)) => {
                let stride = stride.unwrap_or(format.row_bytes(0, width));
                (Pixels::Buffer(Rows::flat(pixels, stride)?), width, height)
            }
            (None, None) if stride.is_none() => shaped(pixels, format)?,
            _ => return wrong("give width and height together; stride only beside them"),
        };
        Self { pixels, width, height, format, yuv }.checked()
    }

    /// Reads an image file (PNG, JPEG, BMP or WebP, recognised by content), upright.
    #[staticmethod]
    pub fn open(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        unlocked(py, || Photo::open(path).map_err(to_python)).and_then(Self::of_photo)
    }

    /// Decodes the bytes of such a file.
    #[staticmethod]
    fn decode(py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<Self> {
        let data = Rows::flat(data, 0)?;
        unlocked(py, || Photo::from_bytes(data.bytes()).map_err(to_python)).and_then(Self::of_photo)
    }

    /// Pixels of a row.
    #[getter]
    fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    #[getter]
    fn height(&self) -> u32 {
        self.height
    }

    /// Name of the pixel format.
    #[getter]
    fn format(&self) -> String {
        format_name(self.format)
    }

    fn __repr__(&self) -> String {
        format!("Frame({}x{} {})", self.width, self.height, format_name(self.format))
    }
}

impl Frame {
    /// `pixels` if it is a frame, else a frame made of it and `format`.
    pub fn of_argument<'py>(
        pixels: &Bound<'py, PyAny>,
        format: Option<&str>,
    ) -> PyResult<Bound<'py, Self>> {
        match (pixels.cast::<Self>(), format) {
            (Ok(frame), None) => Ok(frame.clone()),
            (Ok(_), Some(format)) => {
                wrong(format!("format is '{format}' beside a Frame, which has one: leave it out"))
            }
            (Err(_), Some(format)) => {
                let frame = Self::new(pixels, format, None, None, None, "bt601_limited")?;
                Bound::new(pixels.py(), frame)
            }
            (Err(_), None) => wrong(format!(
                "the order of colours cannot be seen in an array: name its format, one of {}",
                names(PixelFormat::ALL.map(format_name))
            )),
        }
    }

    /// The pixels as dmue-edge takes them.
    pub fn view(&self) -> PyResult<FrameView<'_>> {
        let Self { width, height, format, .. } = *self;
        let view = match &self.pixels {
            Pixels::Buffer(rows) => {
                FrameView::new(rows.bytes(), width, height, rows.stride, format)
            }
            Pixels::Planes(planes) => {
                let planes: Vec<_> = planes.iter().map(Rows::plane).collect();
                FrameView::from_planes(&planes, width, height, format)
            }
            Pixels::Photo(photo) => photo.view(),
        };
        view.map(|view| view.with_yuv(self.yuv)).map_err(to_python)
    }

    fn of_photo(photo: Photo) -> PyResult<Self> {
        let view = photo.view().map_err(to_python)?;
        let (width, height, format) = (view.width(), view.height(), view.format());
        Ok(Self { pixels: Pixels::Photo(photo), width, height, format, yuv: YuvColour::default() })
    }

    fn checked(self) -> PyResult<Self> {
        self.view()?;
        Ok(self)
    }
}

/// The frames of a call with several.
pub fn frames_of_arguments<'py>(
    frames: Vec<Bound<'py, PyAny>>,
    format: Option<&str>,
) -> PyResult<Vec<Bound<'py, Frame>>> {
    frames.iter().map(|frame| Frame::of_argument(frame, format)).collect()
}

/// Bytes of a Python object in rows, kept alive and in place.
struct Rows {
    buffer: PyBuffer<u8>,
    /// From the first byte to the last one of the last row.
    length: usize,
    /// Bytes from the start of a row to that of the next.
    stride: usize,
}

impl Rows {
    /// All bytes of a buffer without gaps, the rows `stride` apart.
    fn flat(object: &Bound<'_, PyAny>, stride: usize) -> PyResult<Self> {
        let buffer = byte_buffer(object)?;
        if buffer.dimensions() > 1 || !buffer.is_c_contiguous() {
            let shape = show_shape(buffer.shape());
            return wrong(format!(
                "an array of shape {shape} and strides {:?} where bytes in one dimension without \
                 gaps are wanted: an array with rows needs no width and height",
                buffer.strides()
            ));
        }
        Ok(Self { length: buffer.len_bytes(), buffer, stride })
    }

    /// The rows of an array: the first dimension. What follows must lie together.
    fn of_array(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        let buffer = byte_buffer(object)?;
        let shape = buffer.shape();
        let [rows, inner @ ..] = shape else {
            return wrong("a single number is no picture");
        };
        let row = inner.iter().product::<usize>();
        let stride = match buffer.strides() {
            [stride, steps @ ..] if is_packed(inner, steps) => match usize::try_from(*stride) {
                Ok(stride) => Some(stride),
                Err(_) => (*rows < 2).then_some(row),
            },
            _ => None,
        };
        let Some(stride) = stride.filter(|_| buffer.suboffsets().is_none()) else {
            return wrong(format!(
                "an array of shape {} and strides {:?}: rows must run downwards and the bytes of a row \
                 lie together; hand over numpy.ascontiguousarray(array), or for reversed colours the \
                 array itself with its own format",
                show_shape(shape),
                buffer.strides()
            ));
        };
        let stride = if *rows < 2 { row } else { stride };
        // As a view of `rows` rows exists, only strides of 0 can let this pass the address space.
        let length = stride.saturating_mul(rows.saturating_sub(1)).saturating_add(row);
        let length = if *rows == 0 { 0 } else { length };
        Ok(Self { buffer, length, stride })
    }

    fn shape(&self) -> &[usize] {
        self.buffer.shape()
    }

    fn plane(&self) -> Plane<'_> {
        Plane { bytes: self.bytes(), stride: self.stride }
    }

    #[allow(unsafe_code, reason = "the buffer protocol hands out pointers")]
    fn bytes(&self) -> &[u8] {
        if self.length == 0 {
            return &[];
        }
        // SAFETY: the buffer's exporter keeps the memory in place as long as the buffer is held. It is
        // one block that reaches from the first byte of the first row to the last byte of the last,
        // for the strides are not negative and there are no suboffsets. That nobody writes to it during
        // a call is asked of the caller, as everywhere where Python's lock is let go.
        unsafe { std::slice::from_raw_parts(self.buffer.buf_ptr().cast::<u8>(), self.length) }
    }
}

/// The frame of an array with rows, or of a list of them.
fn shaped(object: &Bound<'_, PyAny>, format: PixelFormat) -> PyResult<(Pixels, u32, u32)> {
    if object.is_instance_of::<PyList>() || object.is_instance_of::<PyTuple>() {
        return planes(object, format);
    }
    let rows = Rows::of_array(object)?;
    let (width, height) = size(&rows, format)?;
    let height = match format.planes() {
        1 => height,
        _ => stacked_height(&rows, format, [width, height])?,
    };
    Ok((Pixels::Buffer(rows), width, height))
}

fn planes(list: &Bound<'_, PyAny>, format: PixelFormat) -> PyResult<(Pixels, u32, u32)> {
    let planes = list.try_iter()?.map(|plane| Rows::of_array(&plane?));
    let planes = planes.collect::<PyResult<Vec<_>>>()?;
    let Some(first) = planes.first() else { return wrong("no planes at all were handed over") };
    let (width, height) = size(first, format)?;
    for (index, plane) in planes.iter().enumerate() {
        let row = plane.shape().iter().skip(1).product::<usize>();
        let (needed, rows) = (format.row_bytes(index, width), format.rows(index, height));
        if row < needed || plane.shape().first().is_none_or(|given| *given < rows as usize) {
            let shape = show_shape(plane.shape());
            return wrong(format!(
                "plane {index} has shape {shape}: {rows} rows of {needed} bytes belong to {width}x{height} \
                 pixels of format {}",
                format_name(format)
            ));
        }
    }
    Ok((Pixels::Planes(planes), width, height))
}

/// Width and height of an array of samples, (height, width) or (height, width, samples).
fn size(rows: &Rows, format: PixelFormat) -> PyResult<(u32, u32)> {
    let samples = match format.planes() {
        1 => format.row_bytes(0, 2) / 2,
        _ => 1,
    };
    let shape = rows.shape();
    let (height, width) = match *shape {
        [height, width] if samples == 1 => (height, width),
        [height, width, given] if given == samples => (height, width),
        _ => {
            let samples = if samples == 1 { String::new() } else { format!(", {samples}") };
            return wrong(format!(
                "an array of shape {}: format {} wants (height, width{samples}), or bytes in one \
                 dimension and Frame(..., width=..., height=...)",
                show_shape(shape),
                format_name(format)
            ));
        }
    };
    // A side that does not fit is too long in any case; the frame's own check says so.
    let side = |side| u32::try_from(side).unwrap_or(u32::MAX);
    Ok((side(width), side(height)))
}

/// Height of a picture whose planes are stacked in one array, as OpenCV has them: luma, and below it
/// half as many rows of colour.
fn stacked_height(rows: &Rows, format: PixelFormat, [width, stacked]: [u32; 2]) -> PyResult<u32> {
    if width % 2 != 0 || stacked % 3 != 0 {
        return wrong(format!(
            "an array of shape {}: format {} in one array is (height * 3 / 2, width) with an even width \
             and height; hand over a list of planes otherwise",
            show_shape(rows.shape()),
            format_name(format)
        ));
    }
    if format == PixelFormat::I420 && rows.stride != width as usize {
        return wrong(format!(
            "rows of {width} bytes that are {} apart: two rows of colour share a row of an i420 array, so \
             none may have padding; hand over a list of planes",
            rows.stride
        ));
    }
    Ok(stacked / 3 * 2)
}

/// Whether dimensions of `shape`, `steps` bytes apart, lie together in C order.
fn is_packed(shape: &[usize], steps: &[isize]) -> bool {
    let mut expected = 1;
    shape.iter().zip(steps).rev().all(|(&count, &step)| {
        let fits = count < 2 || usize::try_from(step) == Ok(expected);
        expected *= count;
        fits
    })
}

fn byte_buffer(object: &Bound<'_, PyAny>) -> PyResult<PyBuffer<u8>> {
    let buffer = PyUntypedBuffer::get(object).map_err(|_| {
        let class = object.get_type();
        let name = class.name().map_or_else(|_| "this".into(), |name| name.to_string());
        PyTypeError::new_err(format!(
            "{name} holds no pixels: hand over a numpy array of uint8, bytes, or anything else with a buffer"
        ))
    })?;
    let format = buffer.format().to_string_lossy().into_owned();
    buffer.into_typed::<u8>().map_err(|_| {
        FrameError::new_err(format!(
            "elements of type '{format}' (struct's letter): samples must be unsigned bytes, numpy.uint8"
        ))
    })
}

fn format_named(name: &str) -> PyResult<PixelFormat> {
    let found = PixelFormat::ALL.into_iter().find(|format| format_name(*format) == name);
    found.map_or_else(
        || {
            let known = names(PixelFormat::ALL.map(format_name));
            wrong(format!("format is '{name}': it must be one of {known}"))
        },
        Ok,
    )
}

fn format_name(format: PixelFormat) -> String {
    format!("{format:?}").to_lowercase()
}

fn yuv_named(name: &str) -> PyResult<YuvColour> {
    match name {
        "bt601_limited" => Ok(YuvColour::Bt601Limited),
        "bt601_full" => Ok(YuvColour::Bt601Full),
        "bt709_limited" => Ok(YuvColour::Bt709Limited),
        _ => wrong(format!(
            "yuv is '{name}': it must be one of bt601_limited, bt601_full, bt709_limited"
        )),
    }
}

fn names<const COUNT: usize>(names: [String; COUNT]) -> String {
    names.join(", ")
}

fn show_shape(shape: &[usize]) -> String {
    let sides: Vec<_> = shape.iter().map(usize::to_string).collect();
    format!("({})", sides.join(", "))
}

fn wrong<T>(text: impl Into<String>) -> PyResult<T> {
    Err(FrameError::new_err(text.into()))
}
