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
    let (finished, cut_short) = list(folder)?;
    let old = finished.iter().rev().skip(KEPT).filter(|file| !is_kept(file, keep_every));
    for old in old.chain(&cut_short) {
        fs::remove_file(old).map_err(Error::file(old))?;
    }
    Ok(())
}

/// Whether every weight is a finite number; others must not be saved.
pub fn is_finite(store: &nn::VarStore) -> bool {
    let finite = |value: &Tensor| value.isfinite().all().int64_value(&[]) != 0;
    store.variables().values().all(finite)
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
    newest_if_any(folder)?.ok_or_else(|| Error::Checkpoint {
        file: folder.into(),
        reason: "holds no checkpoint: train with `dmue-train fit` first".into(),
    })
}

/// The newest checkpoint, none in a run that was ended before its first.
///
/// # Errors
/// A folder that cannot be read.
pub fn newest_if_any(folder: &Path) -> Result<Option<PathBuf>> {
    if !folder.exists() {
        return Ok(None);
    }
    Ok(list(folder)?.0.pop())
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
    let written = Tensor::write_safetensors(tensors, &partial).map_err(|error| error.to_string());
    let renamed = written.and_then(|()| {
        let synced = fs::File::open(&partial).and_then(|written| written.sync_all());
        synced.and_then(|()| fs::rename(&partial, file)).map_err(|error| error.to_string())
    });
    renamed.map_err(|error| {
        // What failed is reported; a left-over that cannot be removed either adds nothing to that.
        let _ = fs::remove_file(&partial);
        let reason = format!(
            "cannot be written: {error}; earlier checkpoints are untouched: make room and go on \
             with --resume"
        );
        Error::Checkpoint { file: file.into(), reason }
    })
}

/// Names sort in the order of training.
fn path(folder: &Path, position: Position) -> PathBuf {
    let Position { epochs, steps } = position;
    folder.join(match steps {
        0 => format!("epoch-{epochs:04}.safetensors"),
        _ => format!("epoch-{epochs:04}.step-{steps:06}.safetensors"),
    })
}

/// Finished checkpoints, oldest first, and what was being written when a run was ended.
///
/// # Errors
/// A folder that cannot be read.
pub fn list(folder: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let (mut found, mut cut_short) = (vec![], vec![]);
    for entry in fs::read_dir(folder).map_err(Error::file(folder))? {
        let path = entry.map_err(Error::file(folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match name.contains("partial") {
            _ if !name.starts_with("epoch-") => {}
            true => cut_short.push(path),
            false => found.push(path),
        }
    }
    found.sort();
    Ok((found, cut_short))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_weight_that_is_no_number_is_seen() {
        let store = nn::VarStore::new(Device::Cpu);
        let mut weight = store.root().zeros("weight", &[2, 3]);
        assert!(is_finite(&store));
        for value in [f64::NAN, f64::INFINITY] {
            let _ = tch::no_grad(|| weight.get(1).get(2).fill_(value));
            assert!(!is_finite(&store), "{value}");
            let _ = tch::no_grad(|| weight.zero_());
        }
    }
}
