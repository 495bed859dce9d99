//! Finds what the kernels can do in a typed model: everything that follows from its input through
//! convolutions, residual additions, clips and poolings.

use std::collections::HashMap;
use std::sync::Arc;

use tract_core::internal::{IntoArcTensor, IntoTensor, Tensor, TypedModel, TypedNode, tvec};
use tract_core::ops::array::{Pad, PadMode};
use tract_core::ops::binary::TypedBinOp;
use tract_core::ops::cast::Cast;
use tract_core::ops::change_axes::AxisOp;
use tract_core::ops::cnn::{Conv, KernelFormat, MaxPool, PoolSpec};
use tract_core::ops::nn::DataFormat;
use tract_onnx::prelude::{Datum, IntoTValue, OutletId};

use super::epilogue::{Clip, NO_CLIP};
use super::plan::Axes;

/// Windows, their steps and paddings up to this many pixels: borders stay small.
const LONGEST: usize = 64;

/// The part of a model that the kernels do.
pub(super) struct Region {
    pub input: OutletId,
    /// Height, width, channels of each image; 0 is the input.
    pub images: Vec<[usize; 3]>,
    pub operations: Vec<Operation>,
    /// Tensors that the rest of the model wants.
    pub outputs: Vec<(OutletId, View)>,
    pub input_axes: Axes,
}

/// A tensor of the model as an image.
#[derive(Clone, Copy, Debug)]
pub(super) struct View {
    pub image: usize,
    pub axes: Axes,
    /// More than the image has where zeros were appended.
    channels: usize,
}

/// A layer before it is known how its images lie in memory.
pub(super) struct Operation {
    pub kind: Kind,
    pub window: Window,
    pub input: usize,
    pub residual: Option<usize>,
    pub clip: Clip,
    /// A depthwise convolution whose output only this operation reads.
    pub before: Option<Box<Operation>>,
    pub output: usize,
}

pub(super) enum Kind {
    Dense(Constants),
    Depthwise(Constants),
    MaxPool,
}

/// Kernel as ONNX has it, and bias.
pub(super) struct Constants {
    pub kernel: Arc<Tensor>,
    pub bias: Vec<f32>,
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

/// The region behind the model's only input; none where that is not a picture or nothing can be done.
pub(super) fn find(model: &TypedModel) -> Option<Region> {
    let &[input] = model.input_outlets().ok()? else { return None };
    let mut finder = Finder::new(model, input)?;
    for id in model.eval_order().ok()? {
        // What is not understood is left to the rest of the model, and with it what needs it.
        finder.take(model.node(id));
    }
    finder.finish(input)
}

struct Finder<'a> {
    model: &'a TypedModel,
    views: HashMap<OutletId, View>,
    images: Vec<[usize; 3]>,
    operations: Vec<Operation>,
}

impl<'a> Finder<'a> {
    fn new(model: &'a TypedModel, input: OutletId) -> Option<Self> {
        let fact = model.outlet_fact(input).ok()?;
        let &[1, a, b, c] = fact.shape.as_concrete()? else { return None };
        let last = model.node(input.node).outputs[0].successors.iter().all(|successor| {
            matches!(model.node(successor.node).op_as(), Some(AxisOp::Move(3, 1)))
        });
        let (axes, image) = match last {
            true => (Axes::ChannelsLast, [a, b, c]),
            false => (Axes::ChannelsFirst, [b, c, a]),
        };
        let view = View { image: 0, axes, channels: image[2] };
        (fact.datum_type == f32::datum_type()).then(|| Self {
            model,
            views: HashMap::from([(input, view)]),
            images: vec![image],
            operations: Vec::new(),
        })
    }

    fn take(&mut self, node: &TypedNode) -> Option<()> {
        if node.outputs.len() != 1 || node.inputs.is_empty() {
            return None;
        }
        let view = if let Some(axes) = node.op_as::<AxisOp>() {
            self.transpose(node, axes)?
        } else if let Some(pad) = node.op_as::<Pad>() {
            self.pad(node, pad)?
        } else if let Some(convolution) = node.op_as::<Conv>() {
            self.convolution(node, convolution)?
        } else if let Some(pool) = node.op_as::<MaxPool>() {
            self.pool(node, pool)?
        } else {
            let operator = node.op_as::<TypedBinOp>()?;
            match operator.0.name() {
                "Add" => self.add(node)?,
                "Max" => self.clip(node, |clip, bound| clip[0] = clip[0].max(bound))?,
                "Min" => self.clip(node, |clip, bound| clip[1] = clip[1].min(bound))?,
                _ => return None,
            }
        };
        self.views.insert(node.id.into(), view);
        Some(())
    }

    /// The image behind a tensor, if all of it is there and its channels come first.
    fn image(&self, outlet: OutletId) -> Option<usize> {
        let view = self.views.get(&outlet)?;
        let whole = view.channels == self.images[view.image][2];
        (view.axes == Axes::ChannelsFirst && whole).then_some(view.image)
    }

    fn transpose(&self, node: &TypedNode, operator: &AxisOp) -> Option<View> {
        let view = *self.views.get(&node.inputs[0])?;
        let axes = match (view.axes, operator) {
            (Axes::ChannelsLast, AxisOp::Move(3, 1)) => Axes::ChannelsFirst,
            (Axes::ChannelsFirst, AxisOp::Move(1, 3)) => Axes::ChannelsLast,
            _ => return None,
        };
        Some(View { axes, ..view })
    }

    /// Zeros behind the channels.
    fn pad(&self, node: &TypedNode, pad: &Pad) -> Option<View> {
        let view = *self.views.get(&node.inputs[0])?;
        let PadMode::Constant(value) = &pad.mode else { return None };
        let zero = value.cast_to_scalar::<f32>().ok()? == 0.0;
        let &[(0, 0), (0, more), (0, 0), (0, 0)] = pad.pads.as_slice() else { return None };
        let taken = zero && view.axes == Axes::ChannelsFirst;
        taken.then_some(View { channels: view.channels + more, ..view })
    }

    fn convolution(&mut self, node: &TypedNode, convolution: &Conv) -> Option<View> {
        let input = self.image(node.inputs[0])?;
        let window = self.window(input, &convolution.pool_spec)?;
        let channels = [self.images[input][2], convolution.output_channels()];
        if convolution.q_params.is_some() || convolution.kernel_fmt != KernelFormat::OIHW {
            return None;
        }
        let kernel = constant(self.model, node.inputs[1])?;
        let bias = constant(self.model, node.inputs[2])?;
        let bias = bias.try_as_plain_ram().ok()?.as_slice::<f32>().ok()?.to_vec();
        let bias = if bias.len() == 1 { vec![bias[0]; channels[1]] } else { bias };
        let constants = Constants { kernel, bias };
        let kind = match convolution.group {
            1 => Kind::Dense(constants),
            group if channels == [group; 2] => Kind::Depthwise(constants),
            _ => return None,
        };
        let before = match kind {
            Kind::Dense(_) if window.is_a_point() => self.depthwise_before(node.inputs[0]),
            _ => None,
        };
        let input = before.as_ref().map_or(input, |before| before.input);
        self.push(node, Operation { before, ..Operation::new(kind, window, input) })
    }

    /// Takes out the operation that made this tensor, if it is depthwise and nothing else reads that.
    fn depthwise_before(&mut self, outlet: OutletId) -> Option<Box<Operation>> {
        let at = self.open_operation(outlet)?;
        let depthwise = matches!(self.operations[at].kind, Kind::Depthwise(_));
        depthwise.then(|| Box::new(self.operations.remove(at)))
    }

    fn pool(&mut self, node: &TypedNode, pool: &MaxPool) -> Option<View> {
        let input = self.image(node.inputs[0])?;
        let window = self.window(input, &pool.pool_spec)?;
        match pool.with_index_outputs {
            Some(_) => None,
            None => self.push(node, Operation::new(Kind::MaxPool, window, input)),
        }
    }

    fn window(&self, input: usize, spec: &PoolSpec) -> Option<Window> {
        let [height, width, _] = self.images[input];
        let two = |values: &[usize]| <[usize; 2]>::try_from(values).ok();
        let axes = spec.computed_padding(&[height, width]);
        let window = Window {
            size: two(&spec.kernel_shape)?,
            stride: two(&spec.strides())?,
            padding: [axes.first()?.pad_before, axes.get(1)?.pad_before],
            padding_after: [axes[0].pad_after, axes[1].pad_after],
        };
        let plain =
            spec.data_format == DataFormat::NCHW && spec.dilations().iter().all(|&d| d == 1);
        let inside = (0..2).all(|axis| window.padding[axis] < window.size[axis]);
        (plain && inside && window.longest() <= LONGEST).then_some(window)
    }

    /// Adds to the output of the later of two operations, if nothing else reads that.
    fn add(&mut self, node: &TypedNode) -> Option<View> {
        let views = [self.views.get(&node.inputs[0])?, self.views.get(&node.inputs[1])?];
        let made = [0, 1].map(|side| self.open_operation(node.inputs[side]));
        // None is less than any.
        let side = usize::from(made[1] > made[0]);
        let (at, other) = (made[side]?, views[1 - side]);
        let operation = &self.operations[at];
        let same_size = self.images[other.image][..2] == self.images[operation.output][..2]
            && other.channels == views[side].channels;
        let free = matches!(operation.kind, Kind::Dense(_)) && operation.residual.is_none();
        // Limits come after additions.
        let last = operation.clip == NO_CLIP;
        if other.axes != Axes::ChannelsFirst || !same_size || !free || !last {
            return None;
        }
        let residual = Some(other.image);
        let operation = self.operations.remove(at);
        self.push(node, Operation { residual, ..operation })
    }

    fn clip(&mut self, node: &TypedNode, narrow: impl Fn(&mut Clip, f32)) -> Option<View> {
        let values = [0, 1].map(|side| constant(self.model, node.inputs[side]));
        let (side, bound) = match values {
            [None, Some(bound)] => (0, bound),
            [Some(bound), None] => (1, bound),
            _ => return None,
        };
        let bound = (bound.len() == 1).then(|| bound.cast_to_scalar::<f32>().ok())??;
        let at = self.open_operation(node.inputs[side])?;
        let mut clip = self.operations[at].clip;
        narrow(&mut clip, bound);
        // Of limits that cross, the one that is applied last would win.
        if clip[0] > clip[1] || matches!(self.operations[at].kind, Kind::MaxPool) {
            return None;
        }
        let operation = self.operations.remove(at);
        self.push(node, Operation { clip, ..operation })
    }

    /// The operation that made a tensor which nothing else reads, so that more can be done to it.
    fn open_operation(&self, outlet: OutletId) -> Option<usize> {
        let image = self.image(outlet)?;
        let made = self.operations.iter().position(|operation| operation.output == image)?;
        let readers = &self.model.node(outlet.node).outputs[outlet.slot].successors;
        let wanted = self.model.output_outlets().is_ok_and(|outputs| outputs.contains(&outlet));
        // Transposed or padded, the same image goes by several names.
        let names = self.views.values().filter(|view| view.image == image).count();
        (readers.len() == 1 && !wanted && names == 1).then_some(made)
    }

    /// An operation whose output is that of the node.
    fn push(&mut self, node: &TypedNode, operation: Operation) -> Option<View> {
        let shape = node.outputs[0].fact.shape.as_concrete()?;
        let &[1, channels, height, width] = shape else { return None };
        if channels * height * width == 0 {
            return None;
        }
        let image = self.images.len();
        self.images.push([height, width, channels]);
        self.operations.push(Operation { output: image, ..operation });
        Some(View { image, axes: Axes::ChannelsFirst, channels })
    }

    /// What the rest of the model reads; none if some of it is not there as an image of its own.
    fn finish(self, input: OutletId) -> Option<Region> {
        let wanted = self.model.output_outlets().ok()?;
        let mut outputs = Vec::new();
        for (&outlet, &view) in &self.views {
            let successors = &self.model.node(outlet.node).outputs[outlet.slot].successors;
            let outside = |id: usize| !self.views.contains_key(&OutletId::new(id, 0));
            let read_outside = successors.iter().any(|successor| outside(successor.node));
            if outlet != input && (read_outside || wanted.contains(&outlet)) {
                outputs.push((outlet, view));
            }
        }
        outputs.sort_by_key(|(outlet, _)| *outlet);
        let made = |view: &View| {
            let by_someone = self.operations.iter().any(|operation| operation.output == view.image);
            by_someone && view.channels == self.images[view.image][2]
        };
        let input_axes = self.views[&input].axes;
        let whole = !outputs.is_empty() && outputs.iter().all(|(_, view)| made(view));
        whole.then_some(Region {
            input,
            images: self.images,
            operations: self.operations,
            outputs,
            input_axes,
        })
    }
}

impl Operation {
    fn new(kind: Kind, window: Window, input: usize) -> Self {
        Self { kind, window, input, residual: None, clip: NO_CLIP, before: None, output: 0 }
    }
}

impl Window {
    fn longest(&self) -> usize {
        let lengths = [self.size, self.stride, self.padding, self.padding_after];
        lengths.as_flattened().iter().copied().max().unwrap_or(0)
    }

    fn is_a_point(&self) -> bool {
        let nothing_around = [self.padding, self.padding_after] == [[0, 0]; 2];
        self.size == [1, 1] && self.stride == [1, 1] && nothing_around
    }
}

/// The value of a tensor that does not depend on the input. Larger ones go through casts and changes of axes
/// that tract has not computed yet.
fn constant(model: &TypedModel, outlet: OutletId) -> Option<Arc<Tensor>> {
    if let Some(value) = &model.outlet_fact(outlet).ok()?.konst {
        return Some(Arc::clone(value));
    }
    let node = model.node(outlet.node);
    if !(node.op_is::<Cast>() || node.op_is::<AxisOp>()) {
        return None;
    }
    let input = constant(model, node.inputs[0])?;
    let outputs = node.op.eval_out_of_plan(tvec!(input.into_tvalue())).ok()??;
    Some(outputs.into_iter().next()?.into_tensor().into_arc_tensor())
}
