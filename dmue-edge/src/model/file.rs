//! Bytes to a checked model, and back to a file.
//!
//! A model file may come from anywhere, so every byte is distrusted: the protobuf is decoded once,
//! nothing is allocated by a number that the bytes do not back up, and tract only sees what
//! `structure` and `tensors` let through.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use prost::Message;
use prost::encoding::{WireType, decode_key, decode_varint};

use super::manifest::{FORMAT_VERSION, MANIFEST_KEY};
use super::proto::pb::ModelProto;
use super::{Manifest, ModelError, calibration, structure, tensors};
use crate::uncertainty::PairwiseUncertainty;

/// More than any model of this kind has; the largest of the paper's backbones has a fifth of it.
const LARGEST_FILE: u64 = 512 << 20;

/// Bytes of a file that are no weights: nodes, names, shapes, the manifest. The deepest of the paper's
/// backbones has a tenth of it. Decoded, two bytes can become a node of hundreds.
const LARGEST_DESCRIPTION: usize = 1 << 20;

/// A model file that passed every check which needs no runtime.
#[derive(Clone, Debug)]
pub struct ModelFile {
    /// What the model says about itself.
    pub manifest: Manifest,
    /// Class means, prior weight and heads.
    pub uncertainty: PairwiseUncertainty,
    /// The network.
    pub(super) proto: ModelProto,
}

impl ModelFile {
    /// Decodes and checks a whole file.
    ///
    /// # Errors
    /// One variant of [`ModelError`] per lie that a file can tell.
    pub fn parse(bytes: &[u8]) -> Result<Self, ModelError> {
        check_framing(bytes)?;
        check_description(bytes)?;
        let proto = ModelProto::decode(bytes)
            .map_err(|error| ModelError::Corrupt { reason: error.to_string() })?;
        Self::check(proto)
    }

    /// Checks a model that is already decoded.
    ///
    /// # Errors
    /// As [`ModelFile::parse`].
    pub fn check(proto: ModelProto) -> Result<Self, ModelError> {
        let manifest = Manifest::from_json(manifest_json(&proto)?)?;
        let graph = structure::graph(&proto)?;
        let uncertainty = tensors::uncertainty(&graph.initializer, manifest.classes.len())?;
        structure::check_wiring(graph, &manifest.input)?;
        if let Some(value) = tensors::temperature(&graph.initializer)? {
            check_temperature(value, manifest.temperature)?;
        }
        Ok(Self { manifest, uncertainty, proto })
    }

    /// The same network with manifest, temperature and score head as they now stand, for [`write()`]; of the latest
    /// format where a reader of an older one would not understand the head.
    ///
    /// # Errors
    /// [`ModelError::Manifest`] for values that cannot be true.
    pub fn into_proto(mut self) -> Result<ModelProto, ModelError> {
        if self.uncertainty.takes_feature() {
            self.manifest.format_version = FORMAT_VERSION;
        }
        let json = self.manifest.to_json()?;
        if let Some(graph) = &mut self.proto.graph {
            let classes = self.manifest.classes.len();
            calibration::set_temperature(graph, self.manifest.temperature, classes);
            calibration::set_score_head(graph, &self.uncertainty);
        }
        let mut entries = self.proto.metadata_props.iter_mut();
        if let Some(entry) = entries.find(|entry| entry.key == MANIFEST_KEY) {
            entry.value = json;
        }
        Ok(self.proto)
    }
}

/// Reads the bytes of a model file.
///
/// # Errors
/// [`ModelError::Io`] with the path, [`ModelError::FileSize`] for a file that is too large to be
/// one.
pub fn read(path: &Path) -> Result<Vec<u8>, ModelError> {
    let failed = |source| ModelError::Io { path: path.into(), source };
    let file = File::open(path).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    check_file_size(bytes)?;
    let mut content = Vec::with_capacity(bytes as usize);
    file.take(LARGEST_FILE).read_to_end(&mut content).map_err(failed)?;
    Ok(content)
}

/// Checks `model` and writes it to `path`: under a temporary name in the same folder, then renamed,
/// so that a file of that name is always whole.
///
/// # Errors
/// [`ModelError::Io`] with the path; as [`ModelFile::parse`] for a model that would not be read
/// back.
pub fn write(path: &Path, model: &ModelProto) -> Result<(), ModelError> {
    let bytes = model.encode_to_vec();
    ModelFile::parse(&bytes)?;
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}.partial", std::process::id()));
    let temporary = Path::new(&temporary);
    write_and_rename(temporary, path, &bytes).map_err(|source| {
        // What failed is reported; a left-over that cannot be removed either adds nothing to that.
        let _ = std::fs::remove_file(temporary);
        ModelError::Io { path: path.into(), source }
    })
}

fn write_and_rename(temporary: &Path, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = File::create(temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(temporary, path)
}

fn check_file_size(bytes: u64) -> Result<(), ModelError> {
    match bytes {
        0..=LARGEST_FILE => Ok(()),
        _ => Err(ModelError::FileSize { bytes, limit: LARGEST_FILE }),
    }
}

fn check_temperature(graph: f32, manifest: f32) -> Result<(), ModelError> {
    if graph == manifest {
        return Ok(());
    }
    let reason = format!("{manifest}, the graph divides by {graph}");
    Err(ModelError::Manifest { field: "temperature", reason })
}

fn manifest_json(proto: &ModelProto) -> Result<&str, ModelError> {
    let key = MANIFEST_KEY;
    let entries = proto.metadata_props.iter().filter(|entry| entry.key == key);
    let entries: Vec<_> = entries.collect();
    match entries[..] {
        [] => Err(ModelError::MissingManifest { key }),
        [entry] => Ok(&entry.value),
        _ => Err(ModelError::DuplicateManifest { key, count: entries.len() }),
    }
}

/// Walks over the outermost fields without decoding them, to tell a file that was cut off from one
/// that is something else: the decoder's own words do not.
fn check_framing(bytes: &[u8]) -> Result<(), ModelError> {
    check_file_size(bytes.len() as u64)?;
    if bytes.is_empty() {
        return Err(ModelError::NotOnnx { reason: "it is empty".into() });
    }
    let mut rest = bytes;
    while !rest.is_empty() {
        let at = bytes.len() - rest.len();
        let length = field_length(&mut rest).map_err(|unknown| match unknown {
            Some(_) if at == 0 => ModelError::NotOnnx { reason: "it does not begin as one".into() },
            Some(reason) => ModelError::NotOnnx { reason: format!("{reason} at byte {at}") },
            None => truncated(bytes.len() as u64 + 1, bytes),
        })?;
        let skipped = usize::try_from(length).ok().and_then(|length| rest.get(length..));
        let position = (bytes.len() - rest.len()) as u64;
        rest = skipped.ok_or_else(|| truncated(position.saturating_add(length), bytes))?;
    }
    Ok(())
}

fn truncated(needed: u64, bytes: &[u8]) -> ModelError {
    ModelError::Truncated { needed, present: bytes.len() as u64 }
}

/// Reads a field's key and, where it has one, its length, and gives the bytes to skip. `Err(None)`
/// where the bytes end first, a reason where the field is none of ONNX' ModelProto.
fn field_length(rest: &mut &[u8]) -> Result<u64, Option<String>> {
    // A varint has at most 10 bytes: one that does not decode from more than those is wrong, not
    // cut off.
    let ends = |rest: &[u8]| if rest.len() < 10 { None } else { Some("a malformed number".into()) };
    let before = *rest;
    let (field, wire) = match decode_key(rest) {
        Ok(key) => key,
        Err(_) if before.iter().all(|byte| byte & 0x80 != 0) => return Err(ends(before)),
        Err(_) => return Err(Some("an unknown field".into())),
    };
    match (field, wire) {
        (1 | 5, WireType::Varint) => {
            let before = *rest;
            decode_varint(rest).map(|_| 0).map_err(|_| ends(before))
        }
        (2..=4 | 6..=8 | 14 | 20 | 25 | 26, WireType::LengthDelimited) => {
            let before = *rest;
            decode_varint(rest).map_err(|_| ends(before))
        }
        _ => Err(Some(format!("field {field} of the wrong kind"))),
    }
}

/// Refuses a file that would grow a hundredfold when it is decoded.
fn check_description(bytes: &[u8]) -> Result<(), ModelError> {
    let graphs = fields(bytes).filter(|(field, _)| *field == 7);
    let tensors = graphs.flat_map(|(_, graph)| fields(graph)).filter(|(field, _)| *field == 5);
    // TensorProto's float_data and raw_data: no larger in memory than in the file.
    let weights =
        tensors.flat_map(|(_, tensor)| fields(tensor)).filter(|(field, _)| matches!(field, 4 | 9));
    let described = bytes.len() - weights.map(|(_, values)| values.len()).sum::<usize>();
    if described > LARGEST_DESCRIPTION {
        let part = format!("a file with {described} bytes beside the weights");
        return Err(ModelError::Unsupported { part, reason: "1048576 are the most" });
    }
    Ok(())
}

/// Number and content of the fields of a message that have a length, up to where it is no message.
fn fields(mut rest: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    std::iter::from_fn(move || {
        loop {
            let (field, wire) = decode_key(&mut rest).ok()?;
            let length = match wire {
                WireType::Varint => decode_varint(&mut rest).map(|_| 0).ok()?,
                WireType::ThirtyTwoBit => 4,
                WireType::SixtyFourBit => 8,
                WireType::LengthDelimited => decode_varint(&mut rest).ok()?,
                WireType::StartGroup | WireType::EndGroup => return None,
            };
            let (content, after) = rest.split_at_checked(usize::try_from(length).ok()?)?;
            rest = after;
            if wire == WireType::LengthDelimited {
                return Some((field, content));
            }
        }
    })
}
