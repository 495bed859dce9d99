//! An ONNX file to tract's typed model, for the operators that faces' networks are made of.
//!
//! tract-onnx reads every operator there is and brings what they need with it, NNEF and Fourier transforms among it:
//! half of the shared library and more. Here a node becomes what tract-onnx would make of it, for shapes that are all known,
//! and the tests hold every operator to that; declaring, optimising and running are tract's.

mod node;
mod operators;
mod products;
mod reductions;
mod shapes;
mod tensor;
#[cfg(test)]
mod tests;
mod windows;

use std::collections::HashMap;

use prost::Message;
use tract_core::internal::{
    DatumExt, OutletId, SpecialOps, TVec, TractErrorContext, TractResult, TypedModel, bail, tvec,
};

use crate::model::proto::pb::{GraphProto, ModelProto, NodeProto, ValueInfoProto};
use crate::model::proto::{float_shape, is_default_domain, operator_set};
use node::Node;

/// Reads a graph whose inputs are floats; `shape` is that of the first, where the file leaves it open. The outputs
/// come in the file's order.
///
/// # Errors
/// The graph holds an operator, a setting or a shape that is not understood; the message names the node.
pub(crate) fn read(model: &ModelProto, shape: Option<&[usize]>) -> TractResult<TypedModel> {
    let graph = model.graph.as_ref().context("the file holds no graph")?;
    let mut reader = Reader {
        operator_set: operator_set(model),
        model: TypedModel::default(),
        values: HashMap::new(),
    };
    reader.read(graph, shape)?;
    Ok(reader.model)
}

/// [`read()`] of a file whose input's shape is all numbers.
///
/// # Errors
/// As there, or the bytes are none of ONNX.
pub(crate) fn read_file(file: &[u8]) -> TractResult<TypedModel> {
    read(&ModelProto::decode(file)?, None)
}

struct Reader<'a> {
    operator_set: i64,
    model: TypedModel,
    values: HashMap<&'a str, OutletId>,
}

impl<'a> Reader<'a> {
    fn read(&mut self, graph: &'a GraphProto, shape: Option<&[usize]>) -> TractResult<()> {
        for proto in &graph.initializer {
            let constant = self.model.add_const(&proto.name, tensor::read(proto)?)?;
            self.values.insert(&proto.name, constant);
        }
        let mut shape = shape;
        for input in &graph.input {
            if !self.values.contains_key(input.name.as_str()) {
                self.input(input, shape.take())?;
            }
        }
        for node in &graph.node {
            let made = self.node(node).with_context(|| name_of(node))?;
            self.values.extend(node.output.iter().map(String::as_str).zip(made));
        }
        let outputs = graph.output.iter().map(|output| self.value(&output.name));
        let outputs = outputs.collect::<TractResult<Vec<_>>>()?;
        self.model.select_output_outlets(&outputs)
    }

    fn input(&mut self, input: &'a ValueInfoProto, shape: Option<&[usize]>) -> TractResult<()> {
        let known = || {
            let dims = float_shape(input)?.into_iter();
            dims.map(|dim| usize::try_from(dim?).ok()).collect::<Option<Vec<_>>>()
        };
        let shape = shape.map(<[usize]>::to_vec).or_else(known);
        let unknown = || format!("input `{}` is no float tensor of known shape", input.name);
        let shape = shape.with_context(unknown)?;
        let source = self.model.add_source(&input.name, f32::fact(shape))?;
        self.values.insert(&input.name, source);
        Ok(())
    }

    fn node(&mut self, proto: &NodeProto) -> TractResult<TVec<OutletId>> {
        let mut inputs = tvec![];
        for name in &proto.input {
            inputs.push(if name.is_empty() { None } else { Some(self.value(name)?) });
        }
        if !is_default_domain(&proto.domain) {
            bail!("its domain is `{}`", proto.domain);
        }
        let made = operators::wire(&mut Node {
            proto,
            inputs,
            operator_set: self.operator_set,
            model: &mut self.model,
        })?;
        if proto.output.iter().skip(made.len()).any(|name| !name.is_empty()) {
            bail!("it has {} outputs, {} is the most here", proto.output.len(), made.len());
        }
        Ok(made)
    }

    fn value(&self, name: &str) -> TractResult<OutletId> {
        self.values.get(name).copied().with_context(|| format!("nothing makes `{name}`"))
    }
}

fn name_of(node: &NodeProto) -> String {
    format!("node `{}` ({})", node.name, node.op_type)
}
