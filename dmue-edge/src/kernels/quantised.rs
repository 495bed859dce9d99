//! Convolutions of bytes among the nodes of a model, and what stands around them.

use tract_core::internal::{Datum, OutletId, TypedNode};
use tract_core::ops::cnn::{Conv, KernelFormat};
use tract_core::ops::quant::{DequantizeLinearF32, QuantizeLinearU8};

use super::epilogue::NO_CLIP;
use super::int8::Made;
use super::lower::{Finder, constant};
use super::plan::Axes;
use super::region::{Kind, Operation, Quantised, Values, View, Window};
use super::scale::Scale;

impl Finder<'_> {
    /// The inputs as tract types them: image, kernel, bias, then zero point and scale of image, kernel, output.
    pub(super) fn quantised(&mut self, node: &TypedNode, convolution: &Conv) -> Option<View> {
        let (input, of_input) = self.bytes(node.inputs[0])?;
        let window = self.window(input, &convolution.pool_spec)?;
        let whole = |input: usize| self.numbers::<i32>(*node.inputs.get(input)?);
        let real = |input: usize| self.numbers::<f32>(*node.inputs.get(input)?);
        let outputs = convolution.output_channels();
        let scales = real(6)?;
        let scale = Scale::new(*real(8)?.first()?, *whole(7)?.first()?)?;
        let fits = convolution.group == 1
            && convolution.kernel_fmt == KernelFormat::OIHW
            && node.outputs[0].fact.datum_type == u8::datum_type()
            // The border is made of zeros.
            && of_input.zero_point == 0
            && of_input.is(&Scale::new(*real(4)?.first()?, *whole(3)?.first()?)?)
            && whole(5)?.iter().all(|zero_point| *zero_point == 0)
            && (scales.len() == outputs || scales.len() == 1);
        let bias = whole(2)?;
        let bias = if bias.len() == 1 { vec![bias[0]; outputs] } else { bias };
        let factor = |output: usize| of_input.scale * scales[output % scales.len()] / scale.scale;
        let kernel = constant(self.model, node.inputs[1])?;
        let quantised = fits.then(|| Quantised {
            kernel,
            bias,
            factors: (0..outputs).map(factor).collect(),
            scale,
            residual: None,
            made: Made::Bytes,
        })?;
        let kind = Kind::Int8(quantised);
        self.push_bytes(node, Operation::new(kind, window, input), scale)
    }

    /// Rounds what a convolution of bytes made of floats, or any image.
    pub(super) fn quantise(
        &mut self,
        node: &TypedNode,
        operator: &QuantizeLinearU8,
    ) -> Option<View> {
        let scale = Scale::new(operator.scale.recip(), i32::from(operator.zero_point))?;
        let image = self.image(node.inputs[0])?;
        if let Some(at) = self.open_operation(node.inputs[0])
            && let Kind::Int8(quantised) = &mut self.operations[at].kind
        {
            quantised.made = Made::Rounded(scale);
            let operation = self.operations.remove(at);
            return self.push_bytes(node, operation, scale);
        }
        let operation = Operation::new(Kind::Quantise(scale), Window::POINT, image);
        self.push_bytes(node, operation, scale)
    }

    /// Bytes by another name where they are only added, an image of its own elsewhere.
    pub(super) fn dequantise(
        &mut self,
        node: &TypedNode,
        operator: &DequantizeLinearF32,
    ) -> Option<View> {
        let (image, scale) = self.bytes(node.inputs[0])?;
        if !scale.is(&Scale::new(operator.scale, operator.zero_point)?) {
            return None;
        }
        let readers = &node.outputs[0].successors;
        let added = readers.iter().all(|reader| {
            let reader = self.model.node(reader.node);
            reader.op.name() == "Add" && reader.inputs.iter().all(|input| self.is_of_bytes(*input))
        });
        if added && !readers.is_empty() && !self.is_wanted(node.id.into()) {
            let view = self.views.get(&node.inputs[0])?.clone();
            return Some(View { values: Values::OfBytes(scale), ..view });
        }
        self.push(node, Operation::new(Kind::Dequantise(scale), Window::POINT, image))
    }

    /// Adds the floats of one image of bytes to those of a convolution that nothing else reads.
    pub(super) fn add_bytes(&mut self, node: &TypedNode) -> Option<View> {
        let sides = [0, 1].map(|side| {
            let view = self.views.get(&node.inputs[side])?;
            match view.values {
                Values::OfBytes(scale) => Some((view.image, scale)),
                _ => None,
            }
        });
        let [first, second] = [sides[0]?, sides[1]?];
        let made = [0, 1].map(|side| self.only_added(node.inputs[side]));
        let side = usize::from(made[1] > made[0]);
        let (at, (image, scale)) = (made[side]?, if side == 0 { second } else { first });
        let output = self.operations[at].output;
        let same = self.images[image] == self.images[output] && image != output;
        let operation = &mut self.operations[at];
        let Kind::Int8(quantised) = &mut operation.kind else { return None };
        let free = quantised.made == Made::Bytes && operation.clip == NO_CLIP;
        if !same || !free {
            return None;
        }
        (quantised.residual, quantised.made) = (Some(scale), Made::Floats);
        let operation = self.operations.remove(at);
        self.push(node, Operation { residual: Some(image), ..operation })
    }

    /// The convolution whose bytes only this tensor of floats is made of, which only one node reads.
    fn only_added(&self, outlet: OutletId) -> Option<usize> {
        let node = self.model.node(outlet.node);
        let bytes = node.inputs[0];
        let only = [outlet, bytes].into_iter().all(|outlet| {
            let readers = &self.model.node(outlet.node).outputs[outlet.slot].successors;
            readers.len() == 1 && !self.is_wanted(outlet)
        });
        let image = self.views.get(&bytes)?.image;
        let made = self.operations.iter().position(|operation| operation.output == image)?;
        let int8 = matches!(self.operations[made].kind, Kind::Int8(_));
        (only && int8).then_some(made)
    }

    /// Whether a tensor is made by dequantising bytes that are known.
    fn is_of_bytes(&self, outlet: OutletId) -> bool {
        let node = self.model.node(outlet.node);
        node.op_is::<DequantizeLinearF32>()
            && (self.bytes(node.inputs[0]).is_some()
                || self.model.node(node.inputs[0].node).op_is::<Conv>())
    }

    fn is_wanted(&self, outlet: OutletId) -> bool {
        self.model.output_outlets().is_ok_and(|outputs| outputs.contains(&outlet))
    }

    /// The image of bytes behind a tensor.
    fn bytes(&self, outlet: OutletId) -> Option<(usize, Scale)> {
        let view = self.views.get(&outlet)?;
        let Values::Bytes(scale) = view.values else { return None };
        let whole = view.axes == Axes::ChannelsFirst && view.order.is_none();
        whole.then_some((view.image, scale))
    }

    fn push_bytes(&mut self, node: &TypedNode, operation: Operation, scale: Scale) -> Option<View> {
        let view = self.push(node, operation)?;
        self.bytes.insert(view.image);
        Some(View { values: Values::Bytes(scale), ..view })
    }

    /// The values of a constant.
    fn numbers<T: Datum + Copy>(&self, outlet: OutletId) -> Option<Vec<T>> {
        let tensor = constant(self.model, outlet)?;
        Some(tensor.try_as_plain_ram().ok()?.as_slice::<T>().ok()?.to_vec())
    }
}
