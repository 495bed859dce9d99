//! One safetensors file per epoch, or where a run was stopped: weights, optimiser state, position.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tch::{Device, Tensor, nn};

use super::optimiser::Optimiser;
use crate::error::{Error, Result};

/// Older checkpoints are removed once this many newer ones are safely on disk, except those that
/// `keep_every` asks for.
const KEPT: usize = 2;

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Finished epochs.
    pub epochs: usize,
    /// Finished steps of the epoch after them.
    pub steps: usize,
}

/// Writes the state at `position` under `folder`, then removes old ones.
///
/// # Errors
/// A full disk or a folder that cannot be written; what was there before is untouched.
pub fn save(
    folder: &Path,
    store: &nn::VarStore,
    optimiser: &Optimiser,
    position: Position,
    keep_every: usize,
) -> Result<()> {
    fs::create_dir_all(folder).map_err(Error::file(folder))?;
    let count = |count: usize| Tensor::from_slice(&[count as i64]);
    let mut tensors = vec![
        ("epochs".to_owned(), count(position.epochs)),
        ("steps".to_owned(), count(position.steps)),
    ];
    let weights: BTreeMap<_, _> = store.variables().into_iter().collect();
    tensors.extend(weights.into_iter().map(|(name, value)| (format!("weights.{name}"), value)));
    let state = optimiser.state().into_iter();
    tensors.extend(state.map(|(name, value)| (format!("optimiser.{name}"), value)));
    write(&path(folder, position), &tensors)?;
    for old in list(folder)?.iter().rev().skip(KEPT) {
        if !is_kept(old, keep_every) {
            fs::remove_file(old).map_err(Error::file(old))?;
        }
    }
    Ok(())
}

/// Whether a checkpoint is that of a whole epoch which `keep_every` divides.
fn is_kept(file: &Path, keep_every: usize) -> bool {
    let epoch = file
        .file_name()
        .and_then(|name| name.to_str()?.strip_prefix("epoch-")?.strip_suffix(".safetensors"))
        .and_then(|epoch| epoch.parse::<usize>().ok());
    epoch.is_some_and(|epoch| keep_every > 0 && epoch.is_multiple_of(keep_every))
}

/// The newest checkpoint of a run's folder.
///
/// # Errors
/// A folder without one.
pub fn newest(folder: &Path) -> Result<PathBuf> {
    list(folder)?.pop().ok_or_else(|| Error::Checkpoint {
        file: folder.into(),
        reason: "holds no checkpoint: train with `dmue-train fit` first".into(),
    })
}

/// Reads weights, and the optimiser's state where one is given.
///
/// # Errors
/// A damaged file, or one of another network.
pub fn load(
    file: &Path,
    store: &mut nn::VarStore,
    optimiser: Option<&mut Optimiser>,
) -> Result<Position> {
    let fail = |reason: String| Error::Checkpoint { file: file.into(), reason };
    let tensors: BTreeMap<String, Tensor> = Tensor::read_safetensors(file)
        .map_err(|error| fail(format!("no readable checkpoint: {error}")))?
        .into_iter()
        .collect();
    let count = |name: &str| {
        let value = tensors.get(name).map(|value| value.int64_value(&[0]).max(0) as usize);
        value.ok_or_else(|| fail(format!("lacks `{name}`: it is no checkpoint of a run")))
    };
    let position = Position { epochs: count("epochs")?, steps: count("steps").unwrap_or(0) };
    let device = store.device();
    copy_weights(&tensors, store).map_err(&fail)?;
    if let Some(optimiser) = optimiser {
        let state = with_prefix(&tensors, "optimiser.", device);
        optimiser.load(&state).map_err(|error| fail(error.to_string()))?;
    }
    Ok(position)
}

fn copy_weights(
    tensors: &BTreeMap<String, Tensor>,
    store: &nn::VarStore,
) -> std::result::Result<(), String> {
    for (name, mut value) in store.variables() {
        let stored = tensors
            .get(&format!("weights.{name}"))
            .ok_or_else(|| format!("lacks {name}: it is of another network"))?;
        if stored.size() != value.size() {
            let (found, wanted) = (stored.size(), value.size());
            return Err(format!("{name} is {found:?}, this network needs {wanted:?}"));
        }
        tch::no_grad(|| value.copy_(stored));
    }
    Ok(())
}

fn with_prefix(
    tensors: &BTreeMap<String, Tensor>,
    prefix: &str,
    device: Device,
) -> BTreeMap<String, Tensor> {
    let matching = tensors.iter().filter_map(|(name, value)| {
        name.strip_prefix(prefix).map(|name| (name.to_owned(), value.to_device(device)))
    });
    matching.collect()
}

fn write(file: &Path, tensors: &[(String, Tensor)]) -> Result<()> {
    let partial = file.with_extension("partial.safetensors"); // tch goes by the extension
    Tensor::write_safetensors(tensors, &partial)?;
    fs::File::open(&partial)
        .and_then(|written| written.sync_all())
        .map_err(Error::file(&partial))?;
    fs::rename(&partial, file).map_err(Error::file(file))?;
    Ok(())
}

/// Names sort in the order of training.
fn path(folder: &Path, position: Position) -> PathBuf {
    let Position { epochs, steps } = position;
    folder.join(match steps {
        0 => format!("epoch-{epochs:04}.safetensors"),
        _ => format!("epoch-{epochs:04}.step-{steps:06}.safetensors"),
    })
}

/// Finished checkpoints, oldest first.
///
/// # Errors
/// A folder that cannot be read.
pub fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = vec![];
    for entry in fs::read_dir(folder).map_err(Error::file(folder))? {
        let path = entry.map_err(Error::file(folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("epoch-") && !name.contains("partial") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
