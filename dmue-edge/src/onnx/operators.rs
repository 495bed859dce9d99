//! Which operator becomes what, and those that work on each value alone.

use tract_core::internal::{
    Datum, OutletId, TVec, TractErrorContext, TractResult, bail, ensure, tvec,
};
use tract_core::ops::TypedOp;
use tract_core::ops::binary::TypedBinOp;
use tract_core::ops::identity::Identity;
use tract_core::ops::logic::{Iff, comp_gt};
use tract_core::ops::nn::SoftmaxKind;
use tract_core::ops::quant::{DequantizeLinearF32, quantize_linear_i8, quantize_linear_u8};
use tract_core::ops::{math, nn};

use super::node::Node;

/// The outputs of the model's nodes for the file's.
///
/// # Errors
/// The operator is not known, or what it is given is none of what it takes.
pub(super) fn wire(node: &mut Node<'_>) -> TractResult<TVec<OutletId>> {
    let made = match node.proto.op_type.as_str() {
        "Add" => node.fold(math::add)?,
        "ArgMax" => node.arg_max()?,
        "AveragePool" => node.average_pool()?,
        "BatchNormalization" => node.batch_normalization()?,
        "Clip" => node.clip()?,
        "Concat" => node.concat()?,
        "Conv" => node.convolution()?,
        "DequantizeLinear" => node.dequantize()?,
        "Div" => node.fold(math::div)?,
        "Flatten" => node.flatten()?,
        "Gemm" => node.gemm()?,
        "GlobalAveragePool" => node.global_average_pool()?,
        "HardSigmoid" => node.hard_sigmoid()?,
        "HardSwish" => node.each(nn::hard_swish())?,
        "Identity" => node.each(Identity)?,
        "InstanceNormalization" => node.instance_normalization()?,
        "LeakyRelu" => node.each(nn::leaky_relu(node.float("alpha", 0.01)))?,
        "LogSoftmax" => node.softmax(SoftmaxKind::LogSoftmax)?,
        "MatMul" => node.mat_mul()?,
        "Max" => node.fold(math::max)?,
        "MaxPool" => node.max_pool()?,
        "Min" => node.fold(math::min)?,
        "Mul" => node.fold(math::mul)?,
        "OneHot" => node.one_hot()?,
        "PRelu" => node.p_relu()?,
        "Pad" => node.pad()?,
        "QLinearConv" => node.quantised_convolution()?,
        "QuantizeLinear" => node.quantize()?,
        "ReduceL2" => node.reduce_l2()?,
        "ReduceMax" => node.reduce(nn::Reducer::Max)?,
        "ReduceMean" => node.reduce_mean()?,
        "ReduceMin" => node.reduce(nn::Reducer::Min)?,
        "ReduceSum" => node.reduce(nn::Reducer::Sum)?,
        "Relu" => node.relu()?,
        "Reshape" => node.reshape()?,
        "Sigmoid" => node.each(nn::sigmoid())?,
        "Softmax" => node.softmax(SoftmaxKind::Softmax)?,
        "Split" => return node.split(),
        "Squeeze" => node.squeeze()?,
        "Sub" => node.fold(math::sub)?,
        "TopK" => return node.top_k(),
        "Transpose" => node.transpose()?,
        "Unsqueeze" => node.unsqueeze()?,
        other => bail!("the operator `{other}` is not known"),
    };
    Ok(tvec![made])
}

impl Node<'_> {
    /// An operator on each value of its only input.
    fn each(&mut self, operator: impl Into<Box<dyn TypedOp>>) -> TractResult<OutletId> {
        let input = self.only_input()?;
        self.wire(operator, &[input])
    }

    fn only_input(&self) -> TractResult<OutletId> {
        ensure!(self.inputs.len() == 1, "it takes one input, not {}", self.inputs.len());
        self.input(0)
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
        self.between(self.only_input()?, Some(0.0), None)
    }

    /// Bounds are inputs, or attributes as earlier operator sets have it.
    fn clip(&mut self) -> TractResult<OutletId> {
        let bound = |place: usize, name: &str| match (self.optional(place), self.attribute(name)) {
            (Some(_), _) => self.constant(place)?.cast_to_scalar::<f32>().map(Some),
            (None, Some(attribute)) => Ok(Some(attribute.f)),
            (None, None) => Ok(None),
        };
        let (low, high) = (bound(1, "min")?, bound(2, "max")?);
        self.between(self.input(0)?, low, high)
    }

    fn between(
        &mut self,
        input: OutletId,
        low: Option<f32>,
        high: Option<f32>,
    ) -> TractResult<OutletId> {
        let (mut made, rank) = (input, self.rank(input)?);
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
        self.between(shifted, Some(0.0), Some(1.0))
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
