//! A file's constant to tract's.

use tract_core::internal::{Datum, Tensor, TractErrorContext, TractResult, bail};

use crate::model::proto::floats;
use crate::model::proto::pb::{TensorProto, tensor_proto::DataType};

/// # Errors
/// The shape and the number of values differ, or the type is none that networks of faces use.
pub(super) fn read(proto: &TensorProto) -> TractResult<Tensor> {
    let read = || match DataType::try_from(proto.data_type) {
        Ok(DataType::Float) => tensor(proto, floats(proto).collect()),
        Ok(DataType::Int64) => {
            tensor(proto, values(proto, &proto.int64_data, i64::from_le_bytes, |&value| value))
        }
        Ok(DataType::Int32) => {
            tensor(proto, values(proto, &proto.int32_data, i32::from_le_bytes, |&value| value))
        }
        Ok(DataType::Int8) => {
            tensor(proto, values(proto, &proto.int32_data, i8::from_le_bytes, |&value| value as i8))
        }
        Ok(DataType::Uint8) => {
            tensor(proto, values(proto, &proto.int32_data, u8::from_le_bytes, |&value| value as u8))
        }
        _ => bail!("its data type is {}", proto.data_type),
    };
    read().with_context(|| format!("tensor `{}`", proto.name))
}

fn tensor<T: Datum + Copy>(proto: &TensorProto, values: Vec<T>) -> TractResult<Tensor> {
    let shape = proto.dims.iter().map(|&dim| usize::try_from(dim));
    let shape = shape.collect::<Result<Vec<_>, _>>().context("a dimension is negative")?;
    Tensor::from_shape(&shape, &values)
}

/// The raw bytes, or what the field of the type holds where there are none.
fn values<T, Field, const BYTES: usize>(
    proto: &TensorProto,
    field: &[Field],
    from_bytes: impl Fn([u8; BYTES]) -> T,
    from_field: impl Fn(&Field) -> T,
) -> Vec<T> {
    let (raw, _) = proto.raw_data.as_chunks();
    let raw = raw.iter().copied().map(from_bytes);
    if proto.raw_data.is_empty() { field.iter().map(from_field).collect() } else { raw.collect() }
}
