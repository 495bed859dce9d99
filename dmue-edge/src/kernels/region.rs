//! What was found in a model, before it is known how its images lie in memory.

use std::collections::HashSet;
use std::sync::Arc;

use tract_core::internal::{OutletId, Tensor};

use super::epilogue::{Clip, NO_CLIP};
use super::int8::Made;
use super::plan::Axes;
use super::scale::Scale;

/// The part of a model that the kernels do.
pub(super) struct Region {
    pub input: OutletId,
    /// Height, width, channels of each image; 0 is the input.
    pub images: Vec<[usize; 3]>,
    /// Those of bytes.
    pub bytes: HashSet<usize>,
    pub operations: Vec<Operation>,
    /// Tensors that the rest of the model wants.
    pub outputs: Vec<(OutletId, View)>,
    pub input_axes: Axes,
}

/// For each channel of a tensor its place in the image; none where they are in order.
pub(super) type Order = Option<Arc<[usize]>>;

/// A tensor of the model as an image.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub image: usize,
    pub axes: Axes,
    /// More than the image has where zeros were appended.
    pub channels: usize,
    pub order: Order,
    pub values: Values,
}

/// What a tensor and its image hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Values {
    Floats,
    Bytes(Scale),
    /// The tensor has the floats that the image's bytes stand for.
    OfBytes(Scale),
}

/// A layer.
pub(super) struct Operation {
    pub kind: Kind,
    pub window: Window,
    pub input: usize,
    pub residual: Option<usize>,
    pub clip: Clip,
    /// A depthwise convolution whose output only this operation reads.
    pub before: Option<Box<Operation>>,
    pub output: usize,
    /// Of an output that several share, the first channel that it makes.
    pub part: Option<usize>,
}

pub(super) enum Kind {
    /// In groups; the order is that of the input's channels.
    Dense {
        constants: Constants,
        groups: usize,
        order: Order,
    },
    Depthwise(Constants),
    MaxPool,
    InstanceNorm(Normalisation),
    Int8(Quantised),
    /// Floats to bytes.
    Quantise(Scale),
    /// Bytes to floats.
    Dequantise(Scale),
}

/// A convolution of bytes.
pub(super) struct Quantised {
    /// As ONNX has it.
    pub kernel: Arc<Tensor>,
    pub bias: Vec<i32>,
    /// Input scale times kernel scale by output scale.
    pub factors: Vec<f32>,
    /// Of its output.
    pub scale: Scale,
    pub residual: Option<Scale>,
    pub made: Made,
}

/// Kernel as ONNX has it, and bias.
pub(super) struct Constants {
    pub kernel: Arc<Tensor>,
    pub bias: Vec<f32>,
}

/// `(x - mean) / sqrt(variance + epsilon) * scale + shift` over all pixels, of the first channels: as many as
/// there are scales.
#[derive(Clone, Debug)]
pub(super) struct Normalisation {
    pub scale: Vec<f32>,
    pub shift: Vec<f32>,
    pub epsilon: f32,
}

/// Rows, then columns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub size: [usize; 2],
    pub stride: [usize; 2],
    /// Above and left.
    pub padding: [usize; 2],
    /// Below and right.
    pub padding_after: [usize; 2],
}

impl Constants {
    /// Of a depthwise convolution for an image whose channels have these places.
    pub fn in_order(&self, order: &[usize]) -> Option<Self> {
        let kernel = floats(&self.kernel)?;
        let area = kernel.len().checked_div(order.len())?;
        if area * order.len() != kernel.len() || self.bias.len() != order.len() {
            return None;
        }
        let mut values = vec![0.0; kernel.len()];
        let mut bias = vec![0.0; order.len()];
        for (channel, &place) in order.iter().enumerate() {
            values[place * area..][..area].copy_from_slice(&kernel[channel * area..][..area]);
            bias[place] = self.bias[channel];
        }
        let kernel = Tensor::from_shape(&[order.len(), area], &values).ok()?;
        Some(Self { kernel: Arc::new(kernel), bias })
    }
}

impl Operation {
    pub fn new(kind: Kind, window: Window, input: usize) -> Self {
        let (residual, before, part) = (None, None, None);
        Self { kind, window, input, residual, clip: NO_CLIP, before, output: 0, part }
    }
}

impl Window {
    pub const POINT: Self =
        Self { size: [1; 2], stride: [1; 2], padding: [0; 2], padding_after: [0; 2] };

    pub fn longest(&self) -> usize {
        let lengths = [self.size, self.stride, self.padding, self.padding_after];
        lengths.as_flattened().iter().copied().max().unwrap_or(0)
    }

    pub fn is_a_point(&self) -> bool {
        self.size == [1, 1] && self.stride == [1, 1] && !self.pads()
    }

    pub fn pads(&self) -> bool {
        [self.padding, self.padding_after] != [[0, 0]; 2]
    }
}

/// The numbers of a tensor.
pub(super) fn floats(tensor: &Tensor) -> Option<&[f32]> {
    tensor.try_as_plain_ram().ok()?.as_slice::<f32>().ok()
}
