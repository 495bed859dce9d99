//! A file of weights as named tensors.

use std::collections::BTreeMap;
use std::path::Path;

use dmue_edge::model::file::{self, ModelFile};
use dmue_edge::model::proto::{
    self,
    pb::{ModelProto, TensorProto, tensor_proto::DataType},
};
use prost::Message;
use tch::{Kind, Tensor};

use super::state_dict;

use crate::error::{Error, Result};

/// What may stand before every name: in our checkpoints, in dicts around a state dict, and under
/// PyTorch's data parallel wrapper.
const PREFIXES: [&str; 4] = ["weights.", "state_dict.", "model.", "module."];

/// Named tensors in f32 on the CPU.
pub(super) struct Source {
    pub(super) tensors: BTreeMap<String, Tensor>,
    /// Batch normalisation is folded into the convolutions: a shipped model.
    pub(super) folded: bool,
    /// C + 1 where branches are stacked, else 1.
    pub(super) copies: i64,
    /// The classes of its heads, where it says.
    pub(super) classes: Option<Vec<String>>,
}

impl Source {
    /// Reads a file by its extension.
    ///
    /// # Errors
    /// A file that is not there, of an unknown form, damaged, or with NaN or infinity in it.
    pub(super) fn read(path: &Path) -> Result<Self> {
        std::fs::File::open(path).map_err(Error::file(path))?;
        let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        let source = match extension.as_str() {
            "safetensors" => {
                Tensor::read_safetensors(path).map(Self::named).map_err(|error| Error::Checkpoint {
                    file: path.into(),
                    reason: format!("is damaged, or no safetensors file: {error}"),
                })
            }
            "pt" | "pth" | "bin" | "ot" => torch(path).map(Self::named),
            "onnx" => onnx(path),
            _ => Err(Error::Checkpoint {
                file: path.into(),
                reason: format!(
                    "`.{extension}` is no known form of weights; known are .safetensors, .pt, \
                     .pth, .bin, .ot and .dmue.onnx"
                ),
            }),
        }?;
        source.check(path)?;
        Ok(source)
    }

    /// The tensor `key`.
    ///
    /// # Errors
    /// That it is not there, as the reason why something is left out.
    pub(super) fn get(&self, key: &str) -> std::result::Result<Tensor, String> {
        self.tensors
            .get(key)
            .map(Tensor::shallow_clone)
            .ok_or_else(|| format!("no `{key}` in the file"))
    }

    /// Why heads for `classes` cannot be taken.
    pub(super) fn other_classes(&self, classes: &[String]) -> Option<String> {
        let count = self.copies - 1;
        match &self.classes {
            Some(others) if others != classes => {
                Some(format!("is for the classes {}", others.join(", ")))
            }
            None if count > 0 && count != classes.len() as i64 => {
                Some(format!("is for {count} classes"))
            }
            _ => None,
        }
    }

    fn named(tensors: Vec<(String, Tensor)>) -> Self {
        let weights = tensors.into_iter().filter(|(name, _)| !name.starts_with("optimiser."));
        let tensors: BTreeMap<_, _> =
            weights.map(|(name, tensor)| (plain(&name), plain_tensor(&tensor))).collect();
        let classes = tensors.get("heads.target").and_then(|head| head.size().first().copied());
        Self {
            copies: classes.map_or(1, |classes| classes + 1),
            tensors,
            folded: false,
            classes: None,
        }
    }

    fn check(&self, path: &Path) -> Result<()> {
        let is_bad = |tensor: &Tensor| tensor.isfinite().all().int64_value(&[]) == 0;
        match self.tensors.iter().find(|(_, tensor)| is_bad(tensor)) {
            None => Ok(()),
            Some((name, _)) => Err(Error::Checkpoint {
                file: path.into(),
                reason: format!("`{name}` holds NaN or infinity: nothing can start from it"),
            }),
        }
    }
}

fn plain(name: &str) -> String {
    let strip = |name, prefix| str::strip_prefix(name, prefix).unwrap_or(name);
    PREFIXES.into_iter().fold(name, strip).to_owned()
}

fn plain_tensor(tensor: &Tensor) -> Tensor {
    tensor.detach().to_device(tch::Device::Cpu).to_kind(Kind::Float)
}

fn torch(path: &Path) -> Result<Vec<(String, Tensor)>> {
    state_dict::read(path).map_err(|reason| Error::Checkpoint {
        file: path.into(),
        reason: format!(
            "{reason} (read are tensors in a dict, as torch.save(model.state_dict(), FILE) writes \
             it; safetensors always work)"
        ),
    })
}

fn onnx(path: &Path) -> Result<Source> {
    let bytes = file::read(path).map_err(dmue_edge::Error::from)?;
    let checked = ModelFile::parse(&bytes).map_err(dmue_edge::Error::from)?;
    let proto = ModelProto::decode(bytes.as_slice())
        .map_err(|error| Error::Checkpoint { file: path.into(), reason: error.to_string() })?;
    let initialisers = proto.graph.map(|graph| graph.initializer).unwrap_or_default();
    let floats = initialisers.iter().filter(|tensor| tensor.data_type == DataType::Float as i32);
    let tensors = floats.map(|tensor| Ok((tensor.name.clone(), tensor_of(tensor)?)));
    Ok(Source {
        tensors: tensors.collect::<Result<_>>()?,
        folded: true,
        copies: 1,
        classes: Some(checked.manifest.classes),
    })
}

/// `tensor` has passed the edge's checks: its data fill its shape.
fn tensor_of(tensor: &TensorProto) -> Result<Tensor> {
    let values: Vec<f32> = proto::floats(tensor).collect();
    Ok(Tensor::from_slice(&values).f_view(tensor.dims.as_slice())?)
}
