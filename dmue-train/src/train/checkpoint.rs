//! One safetensors file per epoch: weights, optimiser state and how many epochs are done.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tch::{Device, Tensor, nn};

use super::optimiser::Optimiser;
use crate::error::{Error, Result};

/// Older checkpoints are removed once this many newer ones are safely on disk.
const KEPT: usize = 2;

/// Writes the state after `epochs` finished epochs under `folder`, then removes old ones.
///
/// # Errors
/// A full disk or a folder that cannot be written; what was there before is untouched.
pub fn save(folder: &Path, store: &nn::VarStore, optimiser: &Optimiser, epochs: usize) -> Result<()> {
    fs::create_dir_all(folder).map_err(Error::file(folder))?;
    let mut tensors = vec![("epochs".to_owned(), Tensor::from_slice(&[epochs as i64]))];
    let weights: BTreeMap<_, _> = store.variables().into_iter().collect();
    tensors.extend(weights.into_iter().map(|(name, value)| (format!("weights.{name}"), value)));
    let state = optimiser.state().into_iter();
    tensors.extend(state.map(|(name, value)| (format!("optimiser.{name}"), value)));
    write(&path(folder, epochs), &tensors)?;
    for old in list(folder)?.iter().rev().skip(KEPT) {
        fs::remove_file(old).map_err(Error::file(old))?;
    }
    Ok(())
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

/// Reads weights, and the optimiser's state where one is given; returns the finished epochs.
///
/// # Errors
/// A damaged file, or one of another network.
pub fn load(file: &Path, store: &mut nn::VarStore, optimiser: Option<&mut Optimiser>) -> Result<usize> {
    let fail = |reason: String| Error::Checkpoint { file: file.into(), reason };
    let tensors: BTreeMap<String, Tensor> = Tensor::read_safetensors(file)
        .map_err(|error| fail(format!("no readable checkpoint: {error}")))?
        .into_iter()
        .collect();
    let epochs = tensors.get("epochs").ok_or_else(|| fail("lacks `epochs`".into()))?;
    let device = store.device();
    copy_weights(&tensors, store).map_err(&fail)?;
    if let Some(optimiser) = optimiser {
        let state = with_prefix(&tensors, "optimiser.", device);
        optimiser.load(&state).map_err(|error| fail(error.to_string()))?;
    }
    Ok(epochs.int64_value(&[0]).max(0) as usize)
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
    let partial = file.with_extension("partial.safetensors");
    Tensor::write_safetensors(tensors, &partial)?;
    fs::File::open(&partial).and_then(|written| written.sync_all()).map_err(Error::file(&partial))?;
    fs::rename(&partial, file).map_err(Error::file(file))?;
    Ok(())
}

fn path(folder: &Path, epochs: usize) -> PathBuf {
    folder.join(format!("epoch-{epochs:04}.safetensors"))
}

/// Finished checkpoints, oldest first.
fn list(folder: &Path) -> Result<Vec<PathBuf>> {
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
