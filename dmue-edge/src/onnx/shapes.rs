//! What moves values without changing them.

use tract_core::internal::{OutletId, TVec, ToDim, TractErrorContext, TractResult, ensure, tvec};
use tract_core::ops::array::{Slice, TypedConcat};
use tract_core::ops::change_axes::{AxisOp, perm_to_ops, to_axis_ops_with_onnx_rules};

use super::node::Node;

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
        let mut made = self.input(0)?;
        let dims = |lengths: &[i64]| lengths.iter().map(ToDim::to_dim).collect::<TVec<_>>();
        let shape = self.model.outlet_fact(made)?.shape.to_tvec();
        for step in to_axis_ops_with_onnx_rules(&shape, &dims(target), zero_is_zero)? {
            made = self.wire(step, &[made])?;
        }
        Ok(made)
    }

    pub fn transpose(&mut self) -> TractResult<OutletId> {
        let mut made = self.input(0)?;
        let rank = self.rank(made)?;
        let order = self.lengths("perm")?.unwrap_or_else(|| (0..rank).rev().collect());
        let mut sorted = order.clone();
        sorted.sort_unstable();
        ensure!(sorted.iter().copied().eq(0..rank), "`perm` is {order:?} for {rank} axes");
        for step in perm_to_ops(&order) {
            made = self.wire(step, &[made])?;
        }
        Ok(made)
    }

    pub fn squeeze(&mut self) -> TractResult<OutletId> {
        let mut made = self.input(0)?;
        let shape = self.shape(made)?;
        let mut axes = match self.axes(1)? {
            Some(named) => self.all_axes(&named, shape.len())?,
            None => (0..shape.len()).filter(|&axis| shape[axis] == 1).collect(),
        };
        axes.sort_unstable();
        for axis in axes.into_iter().rev() {
            ensure!(shape[axis] == 1, "axis {axis} is {} long", shape[axis]);
            made = self.wire(AxisOp::Rm(axis), &[made])?;
        }
        Ok(made)
    }

    pub fn unsqueeze(&mut self) -> TractResult<OutletId> {
        let mut made = self.input(0)?;
        let named = self.axes(1)?.context("it names no axes")?;
        let mut axes = self.all_axes(&named, self.rank(made)? + named.len())?;
        axes.sort_unstable();
        for axis in axes {
            made = self.wire(AxisOp::Add(axis), &[made])?;
        }
        Ok(made)
    }

    fn all_axes(&self, named: &[i64], rank: usize) -> TractResult<TVec<usize>> {
        let axes = named.iter().map(|&axis| self.axis(axis, rank));
        let axes = axes.collect::<TractResult<TVec<usize>>>()?;
        let repeated = |(at, axis)| axes[..at].contains(axis);
        ensure!(!axes.iter().enumerate().any(repeated), "it names an axis twice: {named:?}");
        Ok(axes)
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
        let lengths = match (self.attribute("split"), self.optional(1)) {
            (Some(attribute), _) => attribute.ints.clone(),
            (None, Some(_)) => self.integers(1)?,
            (None, None) => equal_parts(shape[axis] as i64, parts),
        };
        let lengths = lengths.into_iter().map(usize::try_from).collect::<Result<Vec<_>, _>>()?;
        ensure!(
            lengths.len() == parts && lengths.iter().sum::<usize>() == shape[axis],
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
