//! BlazeFace, run by tract on a part of a frame.

use std::sync::Arc;

use tract_core::prelude::*;

use super::anchors::{self, ANCHOR_COUNT, REGRESSORS};
use super::{Face, FaceBox, Landmarks};
use crate::error::{Error, Result};
use crate::frame::FrameView;
use crate::kernels::{self, Kernels};
use crate::onnx;
use crate::resample::{Region, resample};
use crate::wide::widely;

/// A variant of BlazeFace. Immutable: share one between threads.
pub(crate) struct Blazeface {
    plan: Arc<TypedRunnableModel>,
    centres: Vec<[f32; 2]>,
    /// Of the network's input, in pixels.
    side: u32,
}

impl Blazeface {
    /// Prepares an ONNX file whose input has this side.
    ///
    /// # Errors
    /// [`Error::Run`] if tract refuses it.
    pub fn load(onnx_file: &[u8], side: u32, kernels: Kernels) -> Result<Self> {
        let plan = onnx::read_file(onnx_file)
            .and_then(|model| kernels::prepare(model, kernels))
            .map_err(run_error)?;
        Ok(Self { plan, centres: anchors::centres(side), side })
    }

    /// Every candidate of one run on a region of the frame with a score of at least
    /// `minimum_score`, in frame pixels.
    ///
    /// # Errors
    /// [`Error::Run`] if tract fails.
    pub fn look(
        &self,
        frame: &FrameView<'_>,
        region: Region,
        minimum_score: f32,
    ) -> Result<Vec<Face>> {
        let letterbox = Letterbox::new(region, self.side);
        let input = letterbox.tensor(frame).map_err(run_error)?;
        let outputs = self.plan.run(tvec!(input.into())).map_err(run_error)?;
        let regressors = values(&outputs, 0, ANCHOR_COUNT * REGRESSORS)?;
        let scores = values(&outputs, 1, ANCHOR_COUNT)?;
        let faces = anchors::decode(&self.centres, regressors, scores, minimum_score);
        Ok(faces.into_iter().map(|face| letterbox.to_frame(face)).collect())
    }
}

/// A region shrunk or enlarged into the middle of the network's square, black around it.
struct Letterbox {
    region: Region,
    /// Of the square, in network pixels.
    side: u32,
    /// Width and height of the region's picture in network pixels.
    size: [u32; 2],
    /// Left and upper black border in network pixels.
    offset: [u32; 2],
}

impl Letterbox {
    fn new(region: Region, network_side: u32) -> Self {
        let longer = f64::from(region.width.max(region.height));
        let size = [region.width, region.height].map(|side| {
            let side = (f64::from(side) * f64::from(network_side) / longer).round() as u32;
            side.clamp(1, network_side)
        });
        let offset = size.map(|side| (network_side - side) / 2);
        Self { region, side: network_side, size, offset }
    }

    /// `[1, side, side, 3]` RGB in -1..=1.
    fn tensor(&self, frame: &FrameView<'_>) -> TractResult<Tensor> {
        let side = self.side as usize;
        let mut tensor = Tensor::zero::<f32>(&[1, side, side, 3])?;
        let mut view = tensor.try_as_plain_ram_mut()?;
        let input = view.as_slice_mut::<f32>()?;
        let [left, above] = self.offset.map(|offset| offset as usize);
        let [width, height] = self.size.map(|side| side as usize);
        input.fill(-1.0);
        let mut rows = input.chunks_exact_mut(side * 3).skip(above).take(height);
        resample(frame, self.region, self.size, |pixels| {
            if let Some(row) = rows.next() {
                widely(|| scale(pixels, &mut row[left * 3..(left + width) * 3]));
            }
        });
        Ok(tensor)
    }

    fn to_frame(&self, face: Face) -> Face {
        let scale_x = self.region.width as f32 / self.size[0] as f32;
        let scale_y = self.region.height as f32 / self.size[1] as f32;
        let point = |[x, y]: [f32; 2]| {
            [
                self.region.x as f32 + (x - self.offset[0] as f32) * scale_x,
                self.region.y as f32 + (y - self.offset[1] as f32) * scale_y,
            ]
        };
        let Face { bounding_box, landmarks, detection_score } = face;
        let [x, y] = point([bounding_box.x, bounding_box.y]);
        Face {
            bounding_box: FaceBox {
                x,
                y,
                width: bounding_box.width * scale_x,
                height: bounding_box.height * scale_y,
            },
            landmarks: Landmarks {
                right_eye: point(landmarks.right_eye),
                left_eye: point(landmarks.left_eye),
                nose: point(landmarks.nose),
                mouth: point(landmarks.mouth),
                right_ear: point(landmarks.right_ear),
                left_ear: point(landmarks.left_ear),
            },
            detection_score,
        }
    }
}

/// 0..=255 to -1..=1.
#[inline(always)]
fn scale(samples: &[f32], values: &mut [f32]) {
    for (value, sample) in values.iter_mut().zip(samples) {
        *value = sample / 127.5 - 1.0;
    }
}

fn values(outputs: &[TValue], index: usize, count: usize) -> Result<&[f32]> {
    let output = outputs.get(index).ok_or_else(|| Error::Run("an output is missing".into()))?;
    let view = output.try_as_plain_ram().map_err(run_error)?;
    let values = view.as_slice::<f32>().map_err(run_error)?;
    match values.len() == count {
        true => Ok(values),
        false => {
            Err(Error::Run(format!("output {index} has {} values, not {count}", values.len())))
        }
    }
}

fn run_error(error: TractError) -> Error {
    Error::Run(format!("{error:#}"))
}
