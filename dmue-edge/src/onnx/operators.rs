//! Which operator becomes what, and those that work on each value alone.

use tract_core::internal::{Datum, OutletId, TVec, TractErrorContext, TractResult, bail, ensure};
use tract_core::ops::TypedOp;
use tract_core::ops::binary::TypedBinOp;
use tract_core::ops::identity::Identity;
use tract_core::ops::logic::{Iff, comp_gt};
use tract_core::ops::nn::SoftmaxKind;
use tract_core::ops::quant::{DequantizeLinearF32, quantize_linear_i8, quantize_linear_u8};
use tract_core::ops::{math, nn};

use super::node::{Node, one};

/// The outputs of the model's nodes for the file's.
///
/// # Errors
/// The operator is not known, or what it is given is none of what it takes.
pub(super) fn wire(node: &mut Node<'_>) -> TractResult<TVec<OutletId>> {
    match node.proto.op_type.as_str() {
        "Add" => one(node.fold(math::add)?),
        "ArgMax" => one(node.arg_max()?),
        "AveragePool" => one(node.average_pool()?),
        "BatchNormalization" => one(node.batch_normalization()?),
        "Clip" => one(node.clip()?),
        "Concat" => one(node.concat()?),
        "Conv" => one(node.convolution()?),
        "DequantizeLinear" => one(node.dequantize()?),
        "Div" => one(node.fold(math::div)?),
        "Flatten" => one(node.flatten()?),
        "Gemm" => one(node.gemm()?),
        "GlobalAveragePool" => one(node.global_average_pool()?),
        "HardSigmoid" => one(node.hard_sigmoid()?),
        "HardSwish" => one(node.each(nn::hard_swish())?),
        "Identity" => one(node.each(Identity)?),
        "InstanceNormalization" => one(node.instance_normalization()?),
        "LeakyRelu" => one(node.each(nn::leaky_relu(node.float("alpha", 0.01)))?),
        "LogSoftmax" => one(node.softmax(SoftmaxKind::LogSoftmax)?),
        "MatMul" => one(node.mat_mul()?),
        "Max" => one(node.fold(math::max)?),
        "MaxPool" => one(node.max_pool()?),
        "Min" => one(node.fold(math::min)?),
        "Mul" => one(node.fold(math::mul)?),
        "OneHot" => one(node.one_hot()?),
        "PRelu" => one(node.p_relu()?),
        "Pad" => one(node.pad()?),
        "QLinearConv" => one(node.quantised_convolution()?),
        "QuantizeLinear" => one(node.quantize()?),
        "ReduceL2" => one(node.reduce_l2()?),
        "ReduceMax" => one(node.reduce(nn::Reducer::Max)?),
        "ReduceMean" => one(node.reduce_mean()?),
        "ReduceMin" => one(node.reduce(nn::Reducer::Min)?),
        "ReduceSum" => one(node.reduce(nn::Reducer::Sum)?),
        "Relu" => one(node.relu()?),
        "Reshape" => one(node.reshape()?),
        "Sigmoid" => one(node.each(nn::sigmoid())?),
        "Softmax" => one(node.softmax(SoftmaxKind::Softmax)?),
        "Split" => node.split(),
        "Squeeze" => one(node.squeeze()?),
        "Sub" => one(node.fold(math::sub)?),
        "TopK" => node.top_k(),
        "Transpose" => one(node.transpose()?),
        "Unsqueeze" => one(node.unsqueeze()?),
        other => bail!("the operator `{other}` is not known"),
    }
}

impl Node<'_> {
    /// An operator on each value of its only input.
    fn each(&mut self, operator: impl Into<Box<dyn TypedOp>>) -> TractResult<OutletId> {
        ensure!(self.inputs.len() == 1, "it takes one input, not {}", self.inputs.len());
        self.wire(operator, &[self.input(0)?])
    }

    /// An operator of two operands over all inputs, from the first on.
    fn fold(&mut self, operator: impl Fn() -> TypedBinOp) -> TractResult<OutletId> {
        let inputs = self.all_inputs()?;
        let (first, others) = inputs.split_first().context("it has no input")?;
        let mut made = *first;
        for &other in others {
            self.same_type(&[made, other])?;
            made = self.broadcast(operator(), &[made, other])?;
        }
        Ok(made)
    }

    fn relu(&mut self) -> TractResult<OutletId> {
        ensure!(self.inputs.len() == 1, "it takes one input, not {}", self.inputs.len());
        self.between(Some(0.0), None)
    }

    /// Bounds are inputs, or attributes as earlier operator sets have it.
    fn clip(&mut self) -> TractResult<OutletId> {
        let bound = |place: usize, name: &str| match (self.optional(place), self.attribute(name)) {
            (Some(_), _) => self.constant(place)?.cast_to_scalar::<f32>().map(Some),
            (None, Some(attribute)) => Ok(Some(attribute.f)),
            (None, None) => Ok(None),
        };
        let (low, high) = (bound(1, "min")?, bound(2, "max")?);
        self.between(low, high)
    }

    fn between(&mut self, low: Option<f32>, high: Option<f32>) -> TractResult<OutletId> {
        let mut made = self.input(0)?;
        let rank = self.rank(made)?;
        for (bound, operator) in [(low, math::max()), (high, math::min())] {
            if let Some(bound) = bound {
                let bound = self.number(bound, rank)?;
                made = self.wire(operator, &[made, bound])?;
            }
        }
        Ok(made)
    }

    fn hard_sigmoid(&mut self) -> TractResult<OutletId> {
        let input = self.input(0)?;
        let rank = self.rank(input)?;
        let slope = self.number(self.float("alpha", 0.2), rank)?;
        let shift = self.number(self.float("beta", 0.5), rank)?;
        let scaled = self.wire(math::mul(), &[input, slope])?;
        let shifted = self.wire(math::add(), &[scaled, shift])?;
        let (zero, one) = (self.number(0.0, rank)?, self.number(1.0, rank)?);
        let positive = self.wire(math::max(), &[shifted, zero])?;
        self.wire(math::min(), &[positive, one])
    }

    fn p_relu(&mut self) -> TractResult<OutletId> {
        let (input, slope) = (self.input(0)?, self.input(1)?);
        let zero = self.number(0.0, self.rank(input)?)?;
        let scaled = self.broadcast(math::mul(), &[input, slope])?;
        let negative = self.wire(TypedBinOp(comp_gt(), None), &[zero, input])?;
        self.wire(Iff, &[negative, scaled, input])
    }

    fn quantize(&mut self) -> TractResult<OutletId> {
        let (input, scale) = (self.input(0)?, self.scale()?.recip());
        self.same_type(&[input, self.input(1)?])?;
        let zero_point = self.constant(2)?;
        if zero_point.datum_type() == u8::datum_type() {
            self.wire(quantize_linear_u8(scale, zero_point.cast_to_scalar()?), &[input])
        } else {
            self.wire(quantize_linear_i8(scale, zero_point.cast_to_scalar()?), &[input])
        }
    }

    fn dequantize(&mut self) -> TractResult<OutletId> {
        let (input, scale) = (self.input(0)?, self.scale()?);
        self.same_type(&[input, self.input(2)?])?;
        let zero_point = self.constant(2)?.cast_to_scalar()?;
        self.wire(DequantizeLinearF32::new(scale, zero_point), &[input])
    }

    /// One for all values.
    fn scale(&self) -> TractResult<f32> {
        let (scale, zero_point) = (self.constant(1)?, self.constant(2)?);
        ensure!(scale.len() == 1 && zero_point.len() == 1, "it has a scale for each channel");
        scale.cast_to_scalar::<f32>()
    }
}
