//! Finds what the kernels can do in a typed model: everything that follows from its input through
//! convolutions, residual additions, clips, poolings and what `patterns` knows.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tract_core::internal::{
    Datum, IntoArcTensor, IntoTValue, IntoTensor, OutletId, Tensor, TypedModel, TypedNode, tvec,
};
use tract_core::ops::array::TypedConcat;
use tract_core::ops::array::{Pad, PadMode};
use tract_core::ops::binary::TypedBinOp;
use tract_core::ops::cast::Cast;
use tract_core::ops::change_axes::AxisOp;
use tract_core::ops::cnn::{Conv, KernelFormat, MaxPool, PaddingSpec, PoolSpec, SumPool};
use tract_core::ops::element_wise::ElementWiseOp;
use tract_core::ops::nn::DataFormat;
use tract_core::ops::quant::DequantizeLinearF32;

use super::epilogue::{Clip, NO_CLIP};
use super::image::LANES;
use super::plan::Axes;
use super::region::{Constants, Kind, Operation, Order, Region, Values, View, Window, floats};

/// Windows, their steps and paddings up to this many pixels: borders stay small.
const LONGEST: usize = 64;

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

pub(super) struct Finder<'a> {
    pub model: &'a TypedModel,
    /// Tensors that later nodes may read.
    pub views: HashMap<OutletId, View>,
    /// Nodes that the kernels do.
    pub taken: HashSet<usize>,
    pub images: Vec<[usize; 3]>,
    /// Those of bytes.
    pub bytes: HashSet<usize>,
    pub operations: Vec<Operation>,
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
        let view = View { image: 0, axes, channels: image[2], order: None, values: Values::Floats };
        (fact.datum_type == f32::datum_type()).then(|| Self {
            model,
            views: HashMap::from([(input, view)]),
            taken: HashSet::from([input.node]),
            images: vec![image],
            bytes: HashSet::new(),
            operations: Vec::new(),
        })
    }

    fn take(&mut self, node: &TypedNode) -> Option<()> {
        if node.outputs.len() != 1 || node.inputs.is_empty() {
            return None;
        }
        let view = if let Some(axes) = node.op_as::<AxisOp>() {
            match self.transpose(node, axes) {
                Some(view) => view,
                None => self.shuffle(node, axes)?,
            }
        } else if let Some(pad) = node.op_as::<Pad>() {
            self.pad(node, pad)?
        } else if let Some(convolution) = node.op_as::<Conv>() {
            match convolution.q_params {
                Some(_) => self.quantised(node, convolution)?,
                None => self.convolution(node, convolution)?,
            }
        } else if let Some(operator) = node.op_as::<ElementWiseOp>() {
            self.quantise(node, operator.0.downcast_ref()?)?
        } else if let Some(operator) = node.op_as::<DequantizeLinearF32>() {
            self.dequantise(node, operator)?
        } else if let Some(pool) = node.op_as::<MaxPool>() {
            self.pool(node, pool)?
        } else if let Some(pool) = node.op_as::<SumPool>() {
            self.average(node, pool)?
        } else if let Some(TypedConcat { axis: 1 }) = node.op_as() {
            match self.half_instance_norm(node) {
                Some(view) => view,
                None => self.concat(node)?,
            }
        } else {
            let operator = node.op_as::<TypedBinOp>()?;
            match operator.0.name() {
                "Add" => match self.add_bytes(node) {
                    Some(view) => view,
                    None => self.add(node)?,
                },
                "Max" => self.clip(node, |clip, bound| clip[0] = clip[0].max(bound))?,
                "Min" => self.clip(node, |clip, bound| clip[1] = clip[1].min(bound))?,
                _ => return None,
            }
        };
        self.views.insert(node.id.into(), view);
        self.taken.insert(node.id);
        Some(())
    }

    /// The image behind a tensor, if all of it is there, in order, and its channels come first.
    pub fn image(&self, outlet: OutletId) -> Option<usize> {
        let (image, order) = self.ordered(outlet)?;
        order.is_none().then_some(image)
    }

    /// The same in any order.
    pub fn ordered(&self, outlet: OutletId) -> Option<(usize, Order)> {
        let view = self.views.get(&outlet)?;
        let whole = view.channels == self.images[view.image][2] && view.values == Values::Floats;
        (view.axes == Axes::ChannelsFirst && whole).then(|| (view.image, view.order.clone()))
    }

    fn floats(&self, outlet: OutletId) -> Option<&View> {
        self.views.get(&outlet).filter(|view| view.values == Values::Floats)
    }

    fn transpose(&self, node: &TypedNode, operator: &AxisOp) -> Option<View> {
        let view = self.floats(node.inputs[0])?.clone();
        let axes = match (view.axes, operator) {
            (Axes::ChannelsLast, AxisOp::Move(3, 1)) => Axes::ChannelsFirst,
            (Axes::ChannelsFirst, AxisOp::Move(1, 3)) => Axes::ChannelsLast,
            _ => return None,
        };
        Some(View { axes, ..view })
    }

    /// Zeros behind the channels.
    fn pad(&self, node: &TypedNode, pad: &Pad) -> Option<View> {
        let view = self.floats(node.inputs[0])?.clone();
        let PadMode::Constant(value) = &pad.mode else { return None };
        let zero = value.cast_to_scalar::<f32>().ok()? == 0.0;
        let &[(0, 0), (0, more), (0, 0), (0, 0)] = pad.pads.as_slice() else { return None };
        let taken = zero && view.axes == Axes::ChannelsFirst && view.order.is_none();
        taken.then_some(View { channels: view.channels + more, ..view })
    }

    fn convolution(&mut self, node: &TypedNode, convolution: &Conv) -> Option<View> {
        let (input, order) = self.ordered(node.inputs[0])?;
        let window = self.window(input, &convolution.pool_spec)?;
        let channels = [self.images[input][2], convolution.output_channels()];
        if convolution.kernel_fmt != KernelFormat::OIHW {
            return None;
        }
        let kernel = constant(self.model, node.inputs[1])?;
        let bias = floats(&*constant(self.model, node.inputs[2])?)?.to_vec();
        let bias = if bias.len() == 1 { vec![bias[0]; channels[1]] } else { bias };
        let constants = Constants { kernel, bias };
        match convolution.group {
            groups if groups > 1 && channels == [groups; 2] => {
                self.depthwise(node, constants, window, (input, order))
            }
            groups
                if groups == 1
                    || channels[1].is_multiple_of(groups * LANES)
                        && channels[0].is_multiple_of(groups) =>
            {
                let alone = groups == 1 && window.is_a_point();
                let before = alone.then(|| self.depthwise_before(node.inputs[0])).flatten();
                let input = before.as_ref().map_or(input, |before| before.input);
                let kind = Kind::Dense { constants, groups, order };
                self.push(node, Operation { before, ..Operation::new(kind, window, input) })
            }
            _ => None,
        }
    }

    /// In the order of the input, which the output keeps.
    fn depthwise(
        &mut self,
        node: &TypedNode,
        constants: Constants,
        window: Window,
        (input, order): (usize, Order),
    ) -> Option<View> {
        let constants = match &order {
            Some(order) => constants.in_order(order)?,
            None => constants,
        };
        let operation = Operation::new(Kind::Depthwise(constants), window, input);
        Some(View { order, ..self.push(node, operation)? })
    }

    /// The mean, or sum, of each window, as a depthwise convolution.
    fn average(&mut self, node: &TypedNode, pool: &SumPool) -> Option<View> {
        let (input, order) = self.ordered(node.inputs[0])?;
        let window = self.window(input, &pool.pool_spec)?;
        let fits = matches!(
            pool.pool_spec.padding,
            PaddingSpec::Explicit(..) | PaddingSpec::ExplicitOnnxPool(_, _, false)
        );
        if !fits || (window.pads() && pool.normalize && !pool.count_include_pad) {
            return None;
        }
        let (channels, area) = (self.images[input][2], window.size[0] * window.size[1]);
        let share = if pool.normalize { 1.0 / area as f32 } else { 1.0 };
        let kernel = Tensor::from_shape(&[channels, area], &vec![share; channels * area]).ok()?;
        let constants = Constants { kernel: Arc::new(kernel), bias: vec![0.0; channels] };
        self.depthwise(node, constants, window, (input, order))
    }

    /// Makers of the parts write side by side into one image.
    fn concat(&mut self, node: &TypedNode) -> Option<View> {
        let parts = node.inputs.iter().map(|&input| self.open_operation(input));
        let parts: Vec<usize> = parts.collect::<Option<_>>()?;
        let lengths: Vec<usize> =
            parts.iter().map(|&part| self.images[self.operations[part].output][2]).collect();
        let (_, in_front) = lengths.split_last()?;
        let fits = |&part: &usize| {
            matches!(self.operations[part].kind, Kind::Dense { .. } | Kind::Depthwise(_))
        };
        let aligned = in_front.iter().all(|length| length.is_multiple_of(LANES));
        if !aligned || !parts.iter().all(fits) {
            return None;
        }
        let view = self.new_image(node)?;
        let mut first = 0;
        for (part, length) in parts.into_iter().zip(lengths) {
            let operation = &mut self.operations[part];
            (operation.output, operation.part) = (view.image, Some(first));
            first += length;
        }
        node.inputs.iter().for_each(|input| drop(self.views.remove(input)));
        Some(view)
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

    pub fn window(&self, input: usize, spec: &PoolSpec) -> Option<Window> {
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
        let views = [self.floats(node.inputs[0])?, self.floats(node.inputs[1])?];
        let made = [0, 1].map(|side| self.open_operation(node.inputs[side]));
        // None is less than any.
        let side = usize::from(made[1] > made[0]);
        let (at, other) = (made[side]?, views[1 - side]);
        let operation = &self.operations[at];
        let same_size = self.images[other.image][..2] == self.images[operation.output][..2]
            && other.channels == views[side].channels;
        let in_order = other.axes == Axes::ChannelsFirst && other.order.is_none();
        let free = matches!(operation.kind, Kind::Dense { .. }) && operation.residual.is_none();
        // Limits come after additions.
        let last = operation.clip == NO_CLIP;
        if !in_order || !same_size || !free || !last {
            return None;
        }
        let residual = Some(other.image);
        let operation = self.operations.remove(at);
        self.push(node, Operation { residual, ..operation })
    }

    /// Narrows the limits of all that made the tensor.
    fn clip(&mut self, node: &TypedNode, narrow: impl Fn(&mut Clip, f32)) -> Option<View> {
        let values = [0, 1].map(|side| constant(self.model, node.inputs[side]));
        let (side, bound) = match values {
            [None, Some(bound)] => (0, bound),
            [Some(bound), None] => (1, bound),
            _ => return None,
        };
        let bound = (bound.len() == 1).then(|| bound.cast_to_scalar::<f32>().ok())??;
        let input = node.inputs[side];
        let makers = self.open_operations(input)?;
        let narrowed = |&maker: &usize| {
            let operation = &self.operations[maker];
            let mut clip = operation.clip;
            narrow(&mut clip, bound);
            // Of limits that cross, the one that is applied last would win.
            let fits = clip[0] <= clip[1]
                && match &operation.kind {
                    Kind::MaxPool | Kind::Dequantise(_) => false,
                    // Filler channels are zero: limits must not move them.
                    Kind::Int8(_) => clip[0] <= 0.0 && clip[1] >= 0.0,
                    _ => true,
                };
            fits.then_some(clip)
        };
        let clips: Vec<Clip> = makers.iter().map(narrowed).collect::<Option<_>>()?;
        makers.iter().zip(clips).for_each(|(&maker, clip)| self.operations[maker].clip = clip);
        self.views.remove(&input)
    }

    /// The operation that made a tensor which nothing else reads, so that more can be done to it.
    pub fn open_operation(&self, outlet: OutletId) -> Option<usize> {
        match self.open_operations(outlet)?.as_slice() {
            &[made] => self.image(outlet).and(Some(made)),
            _ => None,
        }
    }

    /// The same where several may share its image.
    fn open_operations(&self, outlet: OutletId) -> Option<Vec<usize>> {
        let (image, _) = self.ordered(outlet)?;
        let made = (0..self.operations.len()).filter(|&at| self.operations[at].output == image);
        let readers = &self.model.node(outlet.node).outputs[outlet.slot].successors;
        let wanted = self.model.output_outlets().is_ok_and(|outputs| outputs.contains(&outlet));
        // Transposed or padded, the same image goes by several names.
        let names = self.views.values().filter(|view| view.image == image).count();
        let made: Vec<usize> = made.collect();
        (readers.len() == 1 && !wanted && names == 1 && !made.is_empty()).then_some(made)
    }

    /// An operation whose output is that of the node.
    pub fn push(&mut self, node: &TypedNode, operation: Operation) -> Option<View> {
        let view = self.new_image(node)?;
        self.operations.push(Operation { output: view.image, ..operation });
        Some(view)
    }

    /// An image for the output of the node.
    fn new_image(&mut self, node: &TypedNode) -> Option<View> {
        let shape = node.outputs[0].fact.shape.as_concrete()?;
        let &[1, channels, height, width] = shape else { return None };
        if channels * height * width == 0 {
            return None;
        }
        let image = self.images.len();
        self.images.push([height, width, channels]);
        let values = Values::Floats;
        Some(View { image, axes: Axes::ChannelsFirst, channels, order: None, values })
    }

    /// What the rest of the model reads; none if some of it is not there as an image of its own.
    fn finish(self, input: OutletId) -> Option<Region> {
        let wanted = self.model.output_outlets().ok()?;
        let mut outputs = Vec::new();
        for (&outlet, view) in &self.views {
            let successors = &self.model.node(outlet.node).outputs[outlet.slot].successors;
            let read_outside =
                successors.iter().any(|successor| !self.taken.contains(&successor.node));
            if outlet != input && (read_outside || wanted.contains(&outlet)) {
                outputs.push((outlet, view.clone()));
            }
        }
        outputs.sort_by_key(|(outlet, _)| *outlet);
        let made = |view: &View| {
            let by_someone = self.operations.iter().any(|operation| operation.output == view.image);
            by_someone
                && view.channels == self.images[view.image][2]
                && view.values == Values::Floats
        };
        let input_axes = self.views[&input].axes;
        let whole = !outputs.is_empty() && outputs.iter().all(|(_, view)| made(view));
        whole.then_some(Region {
            input,
            images: self.images,
            bytes: self.bytes,
            operations: self.operations,
            outputs,
            input_axes,
        })
    }
}

/// The value of a tensor that does not depend on the input. Larger ones go through casts and changes of axes
/// that tract has not computed yet.
pub(super) fn constant(model: &TypedModel, outlet: OutletId) -> Option<Arc<Tensor>> {
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
