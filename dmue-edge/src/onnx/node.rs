//! A node of the file while it becomes nodes of the model.

use std::sync::Arc;

use tract_core::internal::{
    OutletId, SpecialOps, TVec, Tensor, TractErrorContext, TractResult, TypedModel, ensure,
    tensor0, tvec,
};
use tract_core::ops::TypedOp;
use tract_core::ops::change_axes::wire_with_rank_broadcast;

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
        let Some(attribute) = self.attribute(name) else { return Ok(None) };
        let lengths = attribute.ints.iter().map(|&length| usize::try_from(length));
        let lengths = lengths.collect::<Result<TVec<_>, _>>();
        Ok(Some(lengths.with_context(|| format!("`{name}` is negative"))?))
    }

    /// An axis of a tensor of so many, counted from the end where it is negative.
    pub fn axis(&self, axis: i64, rank: usize) -> TractResult<usize> {
        let counted = if axis < 0 { axis + rank as i64 } else { axis };
        ensure!((0..rank as i64).contains(&counted), "axis {axis} of {rank}");
        Ok(counted as usize)
    }

    /// Axes that stand in an attribute, or in an input as later operator sets have it.
    pub fn axes(&self, place: usize) -> TractResult<Option<Vec<i64>>> {
        match (self.attribute("axes"), self.optional(place)) {
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

    /// The same for operands of different rank.
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

pub(super) fn one(outlet: OutletId) -> TractResult<TVec<OutletId>> {
    Ok(tvec![outlet])
}
