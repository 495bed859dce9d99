//! Pixels and a description that may not fit them: refused with a reason, or every pixel can be read
//! and cut out.
#![no_main]

use arbitrary::{Arbitrary, Result, Unstructured};
use dmue_edge::face::Landmarks;
use dmue_edge::face::align::{FaceCrop, FaceTemplate, align};
use dmue_edge::frame::{FrameError, FrameView, PixelFormat, Plane, YuvColour};
use dmue_edge::model::{Colour, InputSpec, preprocess};
use libfuzzer_sys::fuzz_target;

const FORMATS: [PixelFormat; 8] = [
    PixelFormat::Gray8,
    PixelFormat::Rgb24,
    PixelFormat::Bgr24,
    PixelFormat::Rgba32,
    PixelFormat::Bgra32,
    PixelFormat::Nv12,
    PixelFormat::I420,
    PixelFormat::Yuyv,
];

const COLOURS: [YuvColour; 3] =
    [YuvColour::Bt601Limited, YuvColour::Bt601Full, YuvColour::Bt709Limited];

fuzz_target!(|data: &[u8]| {
    // Too few bytes for a description are none.
    let _ = look(Unstructured::new(data));
});

fn look(mut source: Unstructured<'_>) -> Result<()> {
    let described = Description::new(&mut source)?;
    // A copy of exactly the bytes, so that the sanitizer sees a read past them.
    described.look_at(source.take_rest().to_vec().into_boxed_slice());
    Ok(())
}
/// What a caller says about bytes, and what it wants to see of them.
struct Description {
    format: PixelFormat,
    width: u32,
    height: u32,
    stride: usize,
    yuv: YuvColour,
    /// Sizes of planes that lie apart; none for one buffer.
    planes: Option<Vec<u16>>,
    positions: [[u32; 2]; 3],
    landmarks: Landmarks,
    crop: InputSpec,
}

impl Description {
    fn new(source: &mut Unstructured<'_>) -> Result<Self> {
        let format = *source.choose(&FORMATS)?;
        let (width, height) = (side(source)?, side(source)?);
        let stride = match source.int_in_range(0..=3)? {
            0 => usize::arbitrary(source)?,
            1 => source.int_in_range(0..=300)?,
            _ => format.row_bytes(0, width) + source.int_in_range(0..=3)?,
        };
        let plane_count = source.int_in_range(0..=3)?;
        let sizes: [u16; 3] = Arbitrary::arbitrary(source)?;
        Ok(Self {
            format,
            width,
            height,
            stride,
            yuv: *source.choose(&COLOURS)?,
            planes: bool::arbitrary(source)?.then(|| sizes[..plane_count].to_vec()),
            positions: Arbitrary::arbitrary(source)?,
            landmarks: landmarks(source)?,
            crop: input(source)?,
        })
    }

    fn look_at(&self, bytes: Box<[u8]>) {
        let Self { format, width, height, stride, .. } = *self;
        let Some(sizes) = &self.planes else {
            return self.read_all(FrameView::new(&bytes, width, height, stride, format));
        };
        let part = |size: &u16| Box::from(bytes.get(..usize::from(*size)).unwrap_or(&bytes));
        let parts: Vec<Box<[u8]>> = sizes.iter().map(part).collect();
        let planes: Vec<_> = parts.iter().map(|bytes| Plane { bytes, stride }).collect();
        self.read_all(FrameView::from_planes(&planes, width, height, format));
    }

    fn read_all(&self, view: std::result::Result<FrameView<'_>, FrameError>) {
        match view {
            Ok(view) => {
                read(&view.with_yuv(self.yuv), &self.positions, &self.landmarks, &self.crop);
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

fn read(frame: &FrameView<'_>, positions: &[[u32; 2]], landmarks: &Landmarks, input: &InputSpec) {
    let (width, height) = (frame.width(), frame.height());
    for [x, y] in positions.iter().copied().chain([[0, 0], [width - 1, height - 1]]) {
        assert_eq!(frame.rgb(x, y), frame.rgb(x.min(width - 1), y.min(height - 1)));
    }
    let aligned = align(frame, landmarks, &input.template, input.size, input.colour);
    for crop in [FaceCrop::resized(frame, input.size, input.colour), aligned] {
        let tensor = preprocess::normalise(&crop, input).expect("a crop of the right size");
        assert!(tensor.iter().all(|value| value.is_finite()));
    }
}

/// Mostly small enough for the pixels to be there.
fn side(source: &mut Unstructured<'_>) -> Result<u32> {
    match source.int_in_range(0..=7)? {
        0 => u32::arbitrary(source),
        1 => source.int_in_range(0..=70_000),
        _ => source.int_in_range(0..=40),
    }
}

fn input(source: &mut Unstructured<'_>) -> Result<InputSpec> {
    let colour = if bool::arbitrary(source)? { Colour::Gray } else { Colour::Rgb };
    let channels = colour.channels() as usize;
    Ok(InputSpec {
        size: source.int_in_range(8..=24)?,
        colour,
        mean: vec![0.5; channels],
        std: vec![0.25; channels],
        template: FaceTemplate::FERPLUS,
    })
}

fn landmarks(source: &mut Unstructured<'_>) -> Result<Landmarks> {
    let mut point = || -> Result<[f32; 2]> {
        Ok(match source.int_in_range(0..=3)? {
            0 => Arbitrary::arbitrary(source)?,
            _ => [source.int_in_range(-20..=60)? as f32, source.int_in_range(-20..=60)? as f32],
        })
    };
    Ok(Landmarks {
        right_eye: point()?,
        left_eye: point()?,
        nose: point()?,
        mouth: point()?,
        right_ear: [0.0; 2],
        left_ear: [0.0; 2],
    })
}
