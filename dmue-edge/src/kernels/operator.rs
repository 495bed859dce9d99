//! The plan as an operator of tract.

use std::fmt;
use std::sync::Arc;

use tract_core::internal::{
    EvalContext, EvalOp, IntoTValue, Op, StaticName, TValue, TVec, Tensor, TractResult, TypedFact,
    TypedOp, as_op, op_as_typed_op, op_out_of_plan,
};

use super::plan::Plan;

#[derive(Clone)]
pub(super) struct Operator {
    plan: Arc<Plan>,
    outputs: TVec<TypedFact>,
}

impl Operator {
    pub fn new(plan: Plan, outputs: TVec<TypedFact>) -> Self {
        Self { plan: Arc::new(plan), outputs }
    }
}

impl fmt::Debug for Operator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Operator").field("outputs", &self.outputs).finish_non_exhaustive()
    }
}

impl PartialEq for Operator {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.plan, &other.plan)
    }
}

impl Eq for Operator {}

impl Op for Operator {
    fn name(&self) -> StaticName {
        "DmueKernels".into()
    }

    op_as_typed_op!();
}

impl EvalOp for Operator {
    op_out_of_plan!();

    fn eval(&self, _context: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let mut tensors = self
            .outputs
            .iter()
            .map(|fact| Tensor::zero::<f32>(fact.shape.as_concrete().unwrap_or(&[])))
            .collect::<TractResult<Vec<_>>>()?;
        let input = inputs[0].try_as_plain_ram()?.as_slice::<f32>()?;
        let views = tensors.iter_mut().map(Tensor::try_as_plain_ram_mut);
        let mut views = views.collect::<TractResult<Vec<_>>>()?;
        let outputs = views.iter_mut().map(|view| view.as_slice_mut::<f32>());
        self.plan.run(input, outputs.collect::<TractResult<Vec<_>>>()?);
        Ok(tensors.into_iter().map(IntoTValue::into_tvalue).collect())
    }
}

impl TypedOp for Operator {
    fn output_facts(&self, _inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(self.outputs.clone())
    }

    as_op!();
}
