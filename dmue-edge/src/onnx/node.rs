//! A node of the file while it becomes nodes of the model.

use std::sync::Arc;

use tract_core::internal::{
    OutletId, SpecialOps, TVec, Tensor, TractErrorContext, TractResult, TypedModel, ensure, tensor0,
};
use tract_core::ops::TypedOp;
use tract_core::ops::change_axes::{AxisOp, wire_with_rank_broadcast};

use crate::model::proto::pb::{AttributeProto, NodeProto};

pub(super) struct Node<'a> {
    pub proto: &'a NodeProto,
    /// None where an optional one is left out.
    pub inputs: TVec<Option<OutletId>>,
    pub operator_set: i64,
    pub model: &'a mut TypedModel,
}

impl Node<'_> {
    pub fn optional(&self, place: usize) -> Option<OutletId> {
        self.inputs.get(place).copied().flatten()
    }

    pub fn input(&self, place: usize) -> TractResult<OutletId> {
        self.optional(place).with_context(|| format!("input {place} is missing"))
    }

    /// All inputs; none may be left out.
    pub fn all_inputs(&self) -> TractResult<TVec<OutletId>> {
        (0..self.inputs.len()).map(|place| self.input(place)).collect()
    }

    pub fn shape(&self, outlet: OutletId) -> TractResult<TVec<usize>> {
        let shape = &self.model.outlet_fact(outlet)?.shape;
        Ok(shape.as_concrete().context("a shape is not known")?.into())
    }

    pub fn rank(&self, outlet: OutletId) -> TractResult<usize> {
        Ok(self.model.outlet_fact(outlet)?.rank())
    }

    /// # Errors
    /// Some hold other types of values than the first.
    pub fn same_type(&self, outlets: &[OutletId]) -> TractResult<()> {
        let types = outlets.iter().map(|&outlet| Ok(self.model.outlet_fact(outlet)?.datum_type));
        let types = types.collect::<TractResult<TVec<_>>>()?;
        ensure!(types.windows(2).all(|two| two[0] == two[1]), "its inputs are of types {types:?}");
        Ok(())
    }

    /// The value of an input that must be a constant.
    pub fn constant(&self, place: usize) -> TractResult<Arc<Tensor>> {
        let fact = self.model.outlet_fact(self.input(place)?)?;
        fact.konst.clone().with_context(|| format!("input {place} is no constant"))
    }

    /// The same, as a list of integers.
    pub fn integers(&self, place: usize) -> TractResult<Vec<i64>> {
        let constant = self.constant(place)?.cast_to::<i64>()?.into_owned();
        Ok(constant.try_as_plain_ram()?.as_slice::<i64>()?.to_vec())
    }

    /// The same, of one value.
    pub fn integer(&self, place: usize) -> TractResult<i64> {
        let values = self.integers(place)?;
        ensure!(values.len() == 1, "input {place} holds {} values instead of one", values.len());
        Ok(values[0])
    }

    pub fn attribute(&self, name: &str) -> Option<&AttributeProto> {
        self.proto.attribute.iter().find(|attribute| attribute.name == name)
    }

    pub fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).map_or(default, |attribute| attribute.i)
    }

    pub fn float(&self, name: &str, default: f32) -> f32 {
        self.attribute(name).map_or(default, |attribute| attribute.f)
    }

    pub fn lengths(&self, name: &str) -> TractResult<Option<TVec<usize>>> {
        self.attribute(name).map(|attribute| lengths(name, &attribute.ints)).transpose()
    }

    /// An axis of a tensor of so many, counted from the end where it is negative.
    pub fn axis(&self, axis: i64, rank: usize) -> TractResult<usize> {
        let counted = if axis < 0 { axis + rank as i64 } else { axis };
        ensure!((0..rank as i64).contains(&counted), "axis {axis} of {rank}");
        Ok(counted as usize)
    }

    /// The same of several, in order; none may be named twice.
    pub fn distinct_axes(&self, named: &[i64], rank: usize) -> TractResult<TVec<usize>> {
        let axes = self.sorted_axes(named, rank)?;
        let repeated = axes.windows(2).any(|two| two[0] == two[1]);
        ensure!(!repeated, "it names an axis twice: {named:?}");
        Ok(axes)
    }

    pub fn sorted_axes(&self, named: &[i64], rank: usize) -> TractResult<TVec<usize>> {
        let axes = named.iter().map(|&axis| self.axis(axis, rank));
        let mut axes = axes.collect::<TractResult<TVec<usize>>>()?;
        axes.sort_unstable();
        Ok(axes)
    }

    /// Integers that stand in an attribute, or in an input in other operator sets.
    pub fn listed(&self, name: &str, place: usize) -> TractResult<Option<Vec<i64>>> {
        match (self.attribute(name), self.optional(place)) {
            (Some(attribute), _) => Ok(Some(attribute.ints.clone())),
            (None, Some(_)) => self.integers(place).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// A node of one output.
    pub fn wire(
        &mut self,
        operator: impl Into<Box<dyn TypedOp>>,
        inputs: &[OutletId],
    ) -> TractResult<OutletId> {
        let name = self.name();
        Ok(self.model.wire_node(name, operator, inputs)?[0])
    }

    /// Changes of axes, one after the other.
    pub fn moved(
        &mut self,
        input: OutletId,
        steps: impl IntoIterator<Item = AxisOp>,
    ) -> TractResult<OutletId> {
        steps.into_iter().try_fold(input, |made, step| self.wire(step, &[made]))
    }

    /// [`Self::wire`] for operands of different rank.
    pub fn broadcast(
        &mut self,
        operator: impl Into<Box<dyn TypedOp>>,
        inputs: &[OutletId],
    ) -> TractResult<OutletId> {
        let name = self.name();
        Ok(wire_with_rank_broadcast(name, self.model, operator, inputs)?[0])
    }

    /// A number beside tensors of this rank.
    pub fn number(&mut self, value: f32, rank: usize) -> TractResult<OutletId> {
        self.add_constant(tensor0(value).broadcast_into_rank(rank)?)
    }

    pub fn add_constant(&mut self, value: Tensor) -> TractResult<OutletId> {
        let name = self.name();
        self.model.add_const(name, value)
    }

    pub fn name(&self) -> String {
        self.model.unique_name(self.proto.name.as_str()).into_owned()
    }
}

/// What must not be negative; `name` is for the message.
pub(super) fn lengths(name: &str, values: &[i64]) -> TractResult<TVec<usize>> {
    let lengths = values.iter().map(|&length| usize::try_from(length));
    lengths.collect::<Result<_, _>>().with_context(|| format!("`{name}` is negative"))
}
