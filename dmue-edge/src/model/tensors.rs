//! Which weights are believed, and the named ones that make up the uncertainty.

use super::proto::floats;
use super::proto::pb::{TensorProto, tensor_proto::DataLocation, tensor_proto::DataType};
use super::{ALPHA_HEAD, CLASS_MEANS, ModelError, PRIOR_WEIGHT, SCORE_HEAD, TEMPERATURE};
use crate::uncertainty::{
    PairwiseUncertainty, Prior, TwoLayerHead, alpha_inputs, score_input_sizes,
};

/// Dimensions that a tensor may have.
pub(super) const MOST_DIMENSIONS: usize = 8;

/// Integers that a tensor may hold: they are axes, shapes and counts, one for each dimension at most.
const MOST_INTEGERS: usize = 64;

/// Refuses a tensor that lies outside of the file, whose data are not what its shape says, of a
/// type that no model uses, or with NaN or infinity in it. Nothing is allocated by a shape that the
/// data do not fill. A bias of integer sums may have as many integers as there are channels.
pub(super) fn check(tensor: &TensorProto, is_bias: bool) -> Result<(), ModelError> {
    if is_external(tensor) {
        return Err(ModelError::ExternalData { name: tensor.name.clone() });
    }
    check_size(tensor)?;
    check_role(tensor, is_bias)?;
    let bad = floats(tensor).enumerate().find(|(_, value)| !value.is_finite());
    match bad {
        Some((index, value)) => {
            Err(ModelError::NonFinite { name: tensor.name.clone(), index, value })
        }
        None => Ok(()),
    }
}

/// Reads class means, prior weight and both heads from checked `tensors`, for as many classes as
/// the manifest names.
pub(super) fn uncertainty(
    tensors: &[TensorProto],
    classes: usize,
) -> Result<PairwiseUncertainty, ModelError> {
    let named = Named { tensors, classes };
    let class_means = named.find(CLASS_MEANS)?;
    let feature_size = named.shape(class_means, "[classes, D]", |dims| match *dims {
        [rows, columns] if rows == classes => Some(columns),
        _ => None,
    })?;
    let weight = named.scalar(PRIOR_WEIGHT)?;
    if weight <= 0.0 {
        return Err(ModelError::PriorWeight { value: weight });
    }
    let prior = Prior::new(floats(class_means).collect(), weight, classes, feature_size)?;
    let score_head = named.head(SCORE_HEAD, &score_input_sizes(classes, feature_size))?;
    let alpha_head = named.head(ALPHA_HEAD, &[alpha_inputs(classes)])?;
    Ok(PairwiseUncertainty::new(prior, score_head, alpha_head)?)
}

/// What `probabilities` are tempered by; nothing in a file from before it had them.
pub(super) fn temperature(tensors: &[TensorProto]) -> Result<Option<f32>, ModelError> {
    let named = Named { tensors, classes: 0 };
    let present = tensors.iter().any(|tensor| tensor.name == TEMPERATURE);
    present.then(|| named.scalar(TEMPERATURE)).transpose()
}

/// The named initialisers of one file.
struct Named<'a> {
    tensors: &'a [TensorProto],
    classes: usize,
}

impl<'a> Named<'a> {
    fn find(&self, name: &str) -> Result<&'a TensorProto, ModelError> {
        let found = self.tensors.iter().find(|tensor| tensor.name == name);
        let tensor = found.ok_or_else(|| ModelError::MissingTensor { name: name.into() })?;
        if tensor.data_type != DataType::Float as i32 {
            let (name, data_type) = (name.into(), tensor.data_type);
            return Err(ModelError::TensorType { name, data_type });
        }
        Ok(tensor)
    }

    /// What `accept` takes from the shape; an error that asks for `expected` where it takes
    /// nothing.
    fn shape<T>(
        &self,
        tensor: &TensorProto,
        expected: &str,
        accept: impl FnOnce(&[usize]) -> Option<T>,
    ) -> Result<T, ModelError> {
        let dims: Vec<usize> = tensor.dims.iter().map(|&dim| dim as usize).collect();
        accept(&dims).ok_or_else(|| ModelError::TensorShape {
            name: tensor.name.clone(),
            found: tensor.dims.clone(),
            expected: expected.to_string(),
            classes: self.classes,
        })
    }

    fn values(&self, name: &str, expected: &[usize]) -> Result<Vec<f32>, ModelError> {
        let tensor = self.find(name)?;
        let same = |dims: &[usize]| (dims == expected).then_some(());
        self.shape(tensor, &format!("{expected:?}"), same)?;
        Ok(floats(tensor).collect())
    }

    fn scalar(&self, name: &str) -> Result<f32, ModelError> {
        Ok(self.values(name, &[1])?.first().copied().unwrap_or_default())
    }

    /// A head that takes as many values as one of `inputs` says.
    fn head(&self, name: &str, inputs: &[usize]) -> Result<TwoLayerHead, ModelError> {
        let b1 = self.find(&format!("{name}.b1"))?;
        let hidden = self.shape(b1, "[H]", |dims| match *dims {
            [hidden] => Some(hidden),
            _ => None,
        })?;
        let w1 = self.find(&format!("{name}.w1"))?;
        let shapes: Vec<_> = inputs.iter().map(|inputs| format!("[{hidden}, {inputs}]")).collect();
        let inputs = self.shape(w1, &shapes.join(" or "), |dims| match *dims {
            [rows, columns] if rows == hidden && inputs.contains(&columns) => Some(columns),
            _ => None,
        })?;
        Ok(TwoLayerHead::new(
            inputs,
            floats(w1).collect(),
            floats(b1).collect(),
            self.scalar(&format!("{name}.prelu"))?,
            self.values(&format!("{name}.w2"), &[1, hidden])?,
            self.scalar(&format!("{name}.b2"))?,
        )?)
    }
}

fn is_external(tensor: &TensorProto) -> bool {
    let external = DataLocation::External as i32;
    tensor.data_location == Some(external) || !tensor.external_data.is_empty()
}

fn check_size(tensor: &TensorProto) -> Result<(), ModelError> {
    let (bytes_each, typed) = storage(tensor)?;
    let needed = tensor.dims.iter().try_fold(1usize, |size, &dim| {
        let dim = usize::try_from(dim).ok().filter(|&dim| dim > 0)?;
        size.checked_mul(dim)
    });
    let raw = tensor.raw_data.len();
    let (fits, found) = if raw > 0 {
        let fits = needed.and_then(|size| size.checked_mul(bytes_each)) == Some(raw) && typed == 0;
        (fits, format!("{} ({raw} bytes)", raw / bytes_each))
    } else {
        (needed == Some(typed), typed.to_string())
    };
    if fits {
        return Ok(());
    }
    Err(ModelError::TensorSize { name: tensor.name.clone(), dims: tensor.dims.clone(), found })
}

/// Refuses shapes, and lists of axes, from which tract would make a graph of any size.
fn check_role(tensor: &TensorProto, is_bias: bool) -> Result<(), ModelError> {
    let refused = |part: String, reason| {
        let part = format!("{part} of tensor `{}`", tensor.name);
        Err(ModelError::Unsupported { part, reason })
    };
    let integers = [DataType::Int64, DataType::Int32].map(|integer| integer as i32);
    let values = tensor.dims.iter().product::<i64>(); // as many as it holds: checked before
    if tensor.dims.len() > MOST_DIMENSIONS {
        refused(format!("{} dimensions", tensor.dims.len()), "8 are the most")
    } else if !is_bias && integers.contains(&tensor.data_type) && values > MOST_INTEGERS as i64 {
        refused(format!("{values} integers"), "axes, shapes and counts are 64 at most")
    } else {
        Ok(())
    }
}

/// Bytes of one value and how many values stand in the field of the tensor's own type.
fn storage(tensor: &TensorProto) -> Result<(usize, usize), ModelError> {
    match DataType::try_from(tensor.data_type) {
        Ok(DataType::Float) => Ok((4, tensor.float_data.len())),
        Ok(DataType::Int64) => Ok((8, tensor.int64_data.len())),
        Ok(DataType::Int32) => Ok((4, tensor.int32_data.len())),
        Ok(DataType::Int8 | DataType::Uint8) => Ok((1, tensor.int32_data.len())),
        _ => {
            let (name, data_type) = (tensor.name.clone(), tensor.data_type);
            Err(ModelError::TensorType { name, data_type })
        }
    }
}
