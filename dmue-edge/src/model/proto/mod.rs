//! Constructors of ONNX' message types, for whoever writes a network.

pub mod pb;

use pb::attribute_proto::AttributeType;
use pb::tensor_proto::DataType;
use pb::tensor_shape_proto::{Dimension, dimension::Value as Length};
use pb::type_proto::{Tensor, Value};
use pb::{
    AttributeProto, ModelProto, NodeProto, TensorProto, TensorShapeProto, TypeProto, ValueInfoProto,
};

/// ONNX operator set that models are written for.
pub const OPERATOR_SET: i64 = 17;
/// ONNX file version that belongs to it.
pub const IR_VERSION: i64 = 8;
/// Name of the free batch dimension.
pub const BATCH: &str = "N";

/// Nodes with the initialisers they read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Subgraph {
    /// In an order in which every value is made before it is read.
    pub nodes: Vec<NodeProto>,
    /// Constant tensors, each under its own name.
    pub initialisers: Vec<TensorProto>,
}

/// A float tensor of shape `dims`, `values` row major.
pub fn tensor_f32(name: &str, dims: &[usize], values: &[f32]) -> TensorProto {
    let raw_data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    tensor(name, dims, DataType::Float, raw_data)
}

/// The values of a float tensor; none of any other.
pub fn floats(tensor: &TensorProto) -> impl Iterator<Item = f32> {
    let is_float = tensor.data_type == DataType::Float as i32;
    let raw: &[u8] = if is_float { &tensor.raw_data } else { &[] };
    let typed: &[f32] = if is_float { &tensor.float_data } else { &[] };
    let (words, _) = raw.as_chunks::<4>();
    words.iter().map(|word| f32::from_le_bytes(*word)).chain(typed.iter().copied())
}

/// An int64 tensor of shape `dims`, `values` row major.
pub fn tensor_i64(name: &str, dims: &[usize], values: &[i64]) -> TensorProto {
    let raw_data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    tensor(name, dims, DataType::Int64, raw_data)
}

/// An int32 tensor of shape `dims`, `values` row major.
pub fn tensor_i32(name: &str, dims: &[usize], values: &[i32]) -> TensorProto {
    let raw_data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    tensor(name, dims, DataType::Int32, raw_data)
}

/// An int8 tensor of shape `dims`, `values` row major.
pub fn tensor_i8(name: &str, dims: &[usize], values: &[i8]) -> TensorProto {
    let raw_data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    tensor(name, dims, DataType::Int8, raw_data)
}

/// A uint8 tensor of shape `dims`, `values` row major.
pub fn tensor_u8(name: &str, dims: &[usize], values: &[u8]) -> TensorProto {
    tensor(name, dims, DataType::Uint8, values.to_vec())
}

/// A node of operator `op_type` that is called like its first output.
pub fn node(
    op_type: &str,
    inputs: &[&str],
    outputs: &[&str],
    attributes: Vec<AttributeProto>,
) -> NodeProto {
    NodeProto {
        name: outputs.first().copied().unwrap_or_default().to_string(),
        op_type: op_type.to_string(),
        input: inputs.iter().map(ToString::to_string).collect(),
        output: outputs.iter().map(ToString::to_string).collect(),
        attribute: attributes,
        ..Default::default()
    }
}

/// An integer attribute.
pub fn attribute_int(name: &str, i: i64) -> AttributeProto {
    AttributeProto { i, ..attribute(name, AttributeType::Int) }
}

/// An attribute of several integers.
pub fn attribute_ints(name: &str, ints: &[i64]) -> AttributeProto {
    AttributeProto { ints: ints.to_vec(), ..attribute(name, AttributeType::Ints) }
}

/// A float input or output with a free batch dimension before `dims`: `[N, dims..]`.
pub fn value_info(name: &str, dims: &[usize]) -> ValueInfoProto {
    let fixed = dims.iter().map(|&dim| Length::DimValue(dim as i64));
    let dim = std::iter::once(Length::DimParam(BATCH.to_string()))
        .chain(fixed)
        .map(|length| Dimension { value: Some(length) })
        .collect();
    let tensor =
        Tensor { elem_type: DataType::Float as i32, shape: Some(TensorShapeProto { dim }) };
    let r#type = Some(TypeProto { value: Some(Value::TensorType(tensor)) });
    ValueInfoProto { name: name.to_string(), r#type, ..Default::default() }
}

/// The dimensions of a float value, `None` where they are free; nothing for another type or no
/// shape.
pub(crate) fn float_shape(value: &ValueInfoProto) -> Option<Vec<Option<i64>>> {
    let Value::TensorType(tensor) = value.r#type.as_ref()?.value.as_ref()?;
    let dims = &tensor.shape.as_ref()?.dim;
    let fixed = |value: &Option<Length>| match value {
        Some(Length::DimValue(dim)) => Some(*dim),
        _ => None,
    };
    (tensor.elem_type == DataType::Float as i32)
        .then(|| dims.iter().map(|dim| fixed(&dim.value)).collect())
}

/// Version of ONNX' own operators that a model is written for; 0 if it does not say.
pub(crate) fn operator_set(model: &ModelProto) -> i64 {
    let own = model.opset_import.iter().find(|set| is_default_domain(&set.domain));
    own.map_or(0, |set| set.version)
}

/// Whether operators of this domain are ONNX' own.
pub(crate) fn is_default_domain(domain: &str) -> bool {
    matches!(domain, "" | "ai.onnx")
}

fn tensor(name: &str, dims: &[usize], data_type: DataType, raw_data: Vec<u8>) -> TensorProto {
    TensorProto {
        name: name.to_string(),
        dims: dims.iter().map(|&dim| dim as i64).collect(),
        data_type: data_type as i32,
        raw_data,
        ..Default::default()
    }
}

/// An attribute of this type, without a value.
pub(crate) fn attribute(name: &str, r#type: AttributeType) -> AttributeProto {
    AttributeProto { name: name.to_string(), r#type: r#type as i32, ..Default::default() }
}
