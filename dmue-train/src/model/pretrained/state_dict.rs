//! PyTorch's files: a zip archive of a pickle, which names the tensors, and of their raw storages.
//! libtorch's own readers give no state dict, as they drop an `OrderedDict`'s items.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::rc::Rc;

use tch::{Kind, Tensor};
use zip::ZipArchive;

use super::pickle::{self, Value};

/// More than the names and shapes of any network take.
const LARGEST_PICKLE: u64 = 64 << 20;
/// Dicts in dicts, at most.
const DEEPEST: usize = 4;

/// Every tensor in the dict that `path` holds, and in dicts within it (`state_dict.conv1.weight`).
///
/// # Errors
/// What the file is instead, or what is wrong with it.
pub(super) fn read(path: &Path) -> Result<Vec<(String, Tensor)>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut archive = ZipArchive::new(file).map_err(|error| {
        format!("no archive of PyTorch 1.6 or newer: {error}; load it in Python and save it anew")
    })?;
    let is_pickle = |name: &std::borrow::Cow<'_, str>| name.ends_with("data.pkl");
    let found = archive.file_names().flatten().find(is_pickle).map(String::from);
    let Some(name) = found else {
        return Err("an archive without data.pkl: not written by PyTorch".into());
    };
    let root = name.trim_end_matches("data.pkl").to_owned();
    if archive.index_for_name(&format!("{root}constants.pkl")).is_some() {
        return script(path);
    }
    if bytes(&mut archive, &format!("{root}byteorder")).is_ok_and(|order| order == b"big") {
        return Err("written on a big-endian machine: save it as safetensors there".into());
    }
    let size = archive.by_name(&name).map_or(u64::MAX, |entry| entry.size());
    if size > LARGEST_PICKLE {
        return Err(format!("its data.pkl has {size} bytes, at most {LARGEST_PICKLE} are read"));
    }
    let value = pickle::read(&bytes(&mut archive, &name)?)?;
    let mut reader = Reader { archive, root, found: vec![] };
    reader.collect("", &value, DEEPEST)?;
    if reader.found.is_empty() {
        return Err("it holds no dict of tensors: save model.state_dict(), not the model".into());
    }
    Ok(reader.found)
}

/// TorchScript as libtorch reads it: parameters, but no running statistics unless they were saved as
/// parameters, as `tch::Tensor::save_multi` does.
fn script(path: &Path) -> Result<Vec<(String, Tensor)>, String> {
    Tensor::load_multi(path).map_err(|error| {
        // libtorch's own text goes on with a stack trace.
        error.to_string().lines().next().unwrap_or_default().to_owned()
    })
}

fn bytes(archive: &mut ZipArchive<File>, name: &str) -> Result<Vec<u8>, String> {
    let failed = |error: String| format!("its part `{name}` cannot be read: {error}");
    let mut entry = archive.by_name(name).map_err(|error| failed(error.to_string()))?;
    let mut content = vec![];
    entry.read_to_end(&mut content).map_err(|error| failed(error.to_string()))?;
    Ok(content)
}

struct Reader {
    archive: ZipArchive<File>,
    root: String,
    found: Vec<(String, Tensor)>,
}

impl Reader {
    fn collect(&mut self, name: &str, value: &Value, depth: usize) -> Result<(), String> {
        match value {
            Value::Dict(entries) if depth > 0 => entries.iter().try_for_each(|(key, value)| {
                let Value::Text(key) = &**key else {
                    return Ok(()); // an optimiser's state has numbers as keys
                };
                let dot = if name.is_empty() { "" } else { "." };
                self.collect(&format!("{name}{dot}{key}"), value, depth - 1)
            }),
            Value::Call(function, arguments) => {
                if let Some(tensor) = self.tensor(function, arguments) {
                    let tensor = tensor.map_err(|reason| format!("`{name}`: {reason}"))?;
                    self.found.push((name.into(), tensor));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// None where the call makes something else.
    fn tensor(&mut self, function: &str, arguments: &Value) -> Option<Result<Tensor, String>> {
        let Value::Tuple(arguments) = arguments else {
            return None;
        };
        match (function, arguments.as_slice()) {
            ("torch._utils _rebuild_parameter", [inner, ..]) => match &**inner {
                Value::Call(function, arguments) => self.tensor(function, arguments),
                _ => None,
            },
            ("torch._utils _rebuild_tensor_v2", [storage, offset, size, stride, ..]) => {
                Some(self.strided(storage, offset, size, stride))
            }
            _ => None,
        }
    }

    fn strided(
        &mut self,
        storage: &Value,
        offset: &Value,
        size: &Value,
        stride: &Value,
    ) -> Result<Tensor, String> {
        let (kind, key) = described(storage)?;
        let Value::Integer(offset) = offset else {
            return Err("its offset is no number".into());
        };
        let (size, stride) = (integers(size)?, integers(stride)?);
        let data = bytes(&mut self.archive, &format!("{}data/{key}", self.root))?;
        let held = data.len() / kind.elt_size_in_bytes();
        let needed = size.iter().try_fold(1i64, |product, dim| product.checked_mul(*dim));
        if needed.is_none_or(|needed| needed > held as i64) {
            return Err(format!("its shape is {size:?}, its storage holds {held} values"));
        }
        let whole = Tensor::f_from_data_size(&data, &[held as i64], kind);
        // libtorch checks the bounds.
        let view = whole.and_then(|whole| whole.f_as_strided(&size, &stride, *offset));
        let copied = view.and_then(|view| view.f_contiguous());
        copied.map_err(|error| error.to_string().lines().next().unwrap_or_default().to_owned())
    }
}

/// Kind and key of ('storage', type, key, device, count).
fn described(storage: &Value) -> Result<(Kind, String), String> {
    if let Value::Persistent(id) = storage
        && let Value::Tuple(parts) = &**id
        && let [_, class, key, ..] = parts.as_slice()
        && let (Value::Global(class), Value::Text(key)) = (&**class, &**key)
    {
        let kind = match class.as_str() {
            "torch FloatStorage" => Kind::Float,
            "torch DoubleStorage" => Kind::Double,
            "torch HalfStorage" => Kind::Half,
            "torch BFloat16Storage" => Kind::BFloat16,
            "torch LongStorage" => Kind::Int64,
            "torch IntStorage" => Kind::Int,
            "torch ShortStorage" => Kind::Int16,
            "torch CharStorage" => Kind::Int8,
            "torch ByteStorage" => Kind::Uint8,
            "torch BoolStorage" => Kind::Bool,
            _ => return Err(format!("a storage of type `{class}` is not read")),
        };
        return Ok((kind, key.clone()));
    }
    Err("its storage is not described as PyTorch does".into())
}

fn integers(tuple: &Value) -> Result<Vec<i64>, String> {
    let wrong = || "its shape is no tuple of numbers".to_owned();
    let Value::Tuple(items) = tuple else {
        return Err(wrong());
    };
    let number = |item: &Rc<Value>| match **item {
        Value::Integer(number) if number >= 0 => Ok(number),
        _ => Err(wrong()),
    };
    items.iter().map(number).collect()
}
