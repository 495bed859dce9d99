//! Sums, extremes, softmax, and what picks values.

use tract_core::internal::{
    IntoArcTensor, OutletId, SpecialOps, TVec, Tensor, ToDim, TractErrorContext, TractResult,
    ensure, tvec,
};
use tract_core::ops::array::{OneHot, Topk};
use tract_core::ops::change_axes::AxisOp;
use tract_core::ops::math;
use tract_core::ops::nn::{Reduce, Reducer, Softmax, SoftmaxKind};

use super::node::Node;

impl Node<'_> {
    pub fn reduce(&mut self, reducer: Reducer) -> TractResult<OutletId> {
        let axes = self.reduced()?;
        let made = self.wire(Reduce::new(axes.clone(), reducer), &[self.input(0)?])?;
        self.without(made, axes)
    }

    pub fn reduce_l2(&mut self) -> TractResult<OutletId> {
        let axes = self.reduced()?;
        let squares = self.wire(math::square(), &[self.input(0)?])?;
        let sum = self.wire(Reduce::new(axes.clone(), Reducer::Sum), &[squares])?;
        let root = self.wire(math::sqrt(), &[sum])?;
        self.without(root, axes)
    }

    pub fn reduce_mean(&mut self) -> TractResult<OutletId> {
        let axes = self.reduced()?;
        let made = self.mean(self.input(0)?, &axes)?;
        self.without(made, axes)
    }

    pub fn global_average_pool(&mut self) -> TractResult<OutletId> {
        let input = self.input(0)?;
        let axes: Vec<usize> = (2..self.rank(input)?).collect();
        self.mean(input, &axes)
    }

    pub fn arg_max(&mut self) -> TractResult<OutletId> {
        let input = self.input(0)?;
        let axes = tvec![self.axis(self.int("axis", 0), self.rank(input)?)?];
        let last = self.int("select_last_index", 0) == 1;
        let made = self.wire(Reduce::new(axes.clone(), Reducer::ArgMax(last)), &[input])?;
        self.without(made, axes)
    }

    /// Over these axes, each of length one then.
    pub fn mean(&mut self, input: OutletId, axes: &[usize]) -> TractResult<OutletId> {
        let shape = self.shape(input)?;
        let count = axes.iter().map(|&axis| shape[axis]).product::<usize>();
        let sum = self.wire(Reduce::new(axes.into(), Reducer::Sum), &[input])?;
        let count = self.number(count as f32, shape.len())?;
        self.wire(math::div(), &[sum, count])
    }

    /// Axes that a reduction takes away, in order: all where none are named.
    fn reduced(&self) -> TractResult<TVec<usize>> {
        let rank = self.rank(self.input(0)?)?;
        let named = self.listed("axes", 1)?.filter(|axes| !axes.is_empty());
        let Some(named) = named else {
            ensure!(self.int("noop_with_empty_axes", 0) == 0, "it names no axes");
            return Ok((0..rank).collect());
        };
        let mut axes = self.sorted_axes(&named, rank)?;
        axes.dedup();
        Ok(axes)
    }

    /// Leaves out axes of length one, unless the node keeps them.
    fn without(&mut self, made: OutletId, axes: TVec<usize>) -> TractResult<OutletId> {
        let left_out = if self.int("keepdims", 1) == 0 { axes } else { tvec![] };
        self.moved(made, left_out.into_iter().rev().map(AxisOp::Rm))
    }

    pub fn softmax(&mut self, kind: SoftmaxKind) -> TractResult<OutletId> {
        let set = self.operator_set;
        ensure!(set >= 13, "in operator set {set} it means something else than from 13 on");
        let input = self.input(0)?;
        let axes = tvec![self.axis(self.int("axis", -1), self.rank(input)?)?];
        self.wire(Softmax { axes, quant_output_dt: None, kind }, &[input])
    }

    pub fn one_hot(&mut self) -> TractResult<OutletId> {
        let indices = self.input(0)?;
        let axis = self.axis(self.int("axis", -1), self.rank(indices)? + 1)?;
        let dim = usize::try_from(self.integer(1)?).context("the depth is negative")?;
        let values = self.constant(2)?;
        ensure!(values.len() == 2, "it takes two values, not {}", values.len());
        let value =
            |at: usize| -> TractResult<Tensor> { values.slice(0, at, at + 1)?.into_shape(&[]) };
        let (off, on) = (value(0)?.into_arc_tensor(), value(1)?.into_arc_tensor());
        self.wire(OneHot { axis, dim, off, on }, &[indices])
    }

    /// Values, and where they stood.
    pub fn top_k(&mut self) -> TractResult<TVec<OutletId>> {
        let input = self.input(0)?;
        let shape = self.shape(input)?;
        let axis = self.axis(self.int("axis", -1), shape.len())?;
        let count = self.integer(1)?;
        ensure!((0..=shape[axis] as i64).contains(&count), "{count} values of {}", shape[axis]);
        let largest = self.int("largest", 1) == 1;
        let operator = Topk { axis, largest, fallback_k: count.to_dim() };
        let name = self.name();
        self.model.wire_node(name, operator, &[input, self.input(1)?])
    }
}
