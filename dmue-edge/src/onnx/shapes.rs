//! What moves values without changing them.

use tract_core::internal::{OutletId, TVec, ToDim, TractErrorContext, TractResult, ensure, tvec};
use tract_core::ops::array::{Slice, TypedConcat};
use tract_core::ops::change_axes::{AxisOp, perm_to_ops, to_axis_ops_with_onnx_rules};

use super::node::{Node, lengths};

impl Node<'_> {
    pub fn reshape(&mut self) -> TractResult<OutletId> {
        let target = self.integers(1)?;
        self.reshaped(&target, self.int("allowzero", 0) == 1)
    }

    pub fn flatten(&mut self) -> TractResult<OutletId> {
        let shape = self.shape(self.input(0)?)?;
        let axis = match self.int("axis", 1) {
            behind if behind == shape.len() as i64 => shape.len(),
            axis => self.axis(axis, shape.len())?,
        };
        let (rows, columns) = shape.split_at(axis);
        let target = [rows, columns].map(|side| side.iter().product::<usize>() as i64);
        self.reshaped(&target, true)
    }

    fn reshaped(&mut self, target: &[i64], zero_is_zero: bool) -> TractResult<OutletId> {
        let input = self.input(0)?;
        let shape = self.model.outlet_fact(input)?.shape.to_tvec();
        let target: TVec<_> = target.iter().map(ToDim::to_dim).collect();
        self.moved(input, to_axis_ops_with_onnx_rules(&shape, &target, zero_is_zero)?)
    }

    pub fn transpose(&mut self) -> TractResult<OutletId> {
        let input = self.input(0)?;
        let rank = self.rank(input)?;
        let order = self.lengths("perm")?.unwrap_or_else(|| (0..rank).rev().collect());
        let mut sorted = order.clone();
        sorted.sort_unstable();
        ensure!(sorted.iter().copied().eq(0..rank), "`perm` is {order:?} for {rank} axes");
        self.moved(input, perm_to_ops(&order))
    }

    pub fn squeeze(&mut self) -> TractResult<OutletId> {
        let input = self.input(0)?;
        let shape = self.shape(input)?;
        let axes = match self.listed("axes", 1)? {
            Some(named) => self.distinct_axes(&named, shape.len())?,
            None => (0..shape.len()).filter(|&axis| shape[axis] == 1).collect(),
        };
        for &axis in &axes {
            ensure!(shape[axis] == 1, "axis {axis} is {} long", shape[axis]);
        }
        self.moved(input, axes.into_iter().rev().map(AxisOp::Rm))
    }

    pub fn unsqueeze(&mut self) -> TractResult<OutletId> {
        let input = self.input(0)?;
        let named = self.listed("axes", 1)?.context("it names no axes")?;
        let axes = self.distinct_axes(&named, self.rank(input)? + named.len())?;
        self.moved(input, axes.into_iter().map(AxisOp::Add))
    }

    pub fn concat(&mut self) -> TractResult<OutletId> {
        let inputs = self.all_inputs()?;
        let first = *inputs.first().context("it has no input")?;
        self.same_type(&inputs)?;
        let axis = self.attribute("axis").context("it has no `axis`")?.i;
        let axis = self.axis(axis, self.rank(first)?)?;
        self.wire(TypedConcat { axis }, &inputs)
    }

    /// Into the lengths given, or as many parts as there are outputs, equal but for the last.
    pub fn split(&mut self) -> TractResult<TVec<OutletId>> {
        let input = self.input(0)?;
        let shape = self.shape(input)?;
        let axis = self.axis(self.int("axis", 0), shape.len())?;
        let parts = self.proto.output.len();
        let listed = self.listed("split", 1)?;
        let listed = listed.unwrap_or_else(|| equal_parts(shape[axis] as i64, parts));
        let lengths = lengths("split", &listed)?;
        // In this order: a sum of lengths that are too large could overflow.
        let fits = lengths.len() == parts && lengths.iter().all(|&length| length <= shape[axis]);
        ensure!(
            fits && lengths.iter().sum::<usize>() == shape[axis],
            "{lengths:?} are no {parts} parts of {}",
            shape[axis]
        );
        let (mut made, mut start) = (tvec![], 0);
        for length in lengths {
            let end = start + length;
            let part = Slice { axis, start: start.to_dim(), end: end.to_dim() };
            made.push(self.wire(part, &[input])?);
            start = end;
        }
        Ok(made)
    }
}

fn equal_parts(length: i64, parts: usize) -> Vec<i64> {
    let each = (length as u64).div_ceil(parts.max(1) as u64) as i64;
    let starts = (0..parts as i64).map(|part| part * each);
    starts.map(|start| each.min(length - start)).collect()
}
