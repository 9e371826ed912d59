//! A model's weights in a file, or in several.

use std::path::Path;

use thalweg_graph::{
    Module, Result,
    module::snapshot::{Snapshot, Stateful},
};

use crate::{
    atomic, file,
    load::STREAM,
    problem::{problem, relay},
    shards,
};

/// What a state was set to and no step has written yet is what can be read of it.
const SET: &str = "#set.";

/// Writes every parameter and state of a model under its name (`conv1.weight`), atomically, with how far its random streams have been
/// drawn from. Waits for the device. Modes and frozen flags belong to a run, and are kept by a [`Checkpoint`](crate::Checkpoint).
///
/// # Errors
/// [`ErrorKind::File`](thalweg_graph::ErrorKind::File) when the file cannot be written; two parts of one name; what went wrong on the
/// device.
#[track_caller]
pub fn save(path: impl AsRef<Path>, module: &dyn Module) -> Result<()> {
    let path = path.as_ref();
    match of(module) {
        Ok(weights) => write(path, &weights, None),
        Err(error) => Err(relay("save", path, "", &error)),
    }
}

/// The same in several files of at most so many bytes of tensors (but for a tensor that is larger alone), with an index whose name is
/// given: `model.safetensors.index.json`. [`load`](crate::load()) reads the index. It is written last, so that a crash at any moment leaves
/// the old weights or the new ones; then the files go that the index of before had.
///
/// # Errors
/// As [`save`]; a name that does not end in `.safetensors.index.json`.
#[track_caller]
pub fn save_sharded(path: impl AsRef<Path>, module: &dyn Module, size_bytes: usize) -> Result<()> {
    let path = path.as_ref();
    let weights = match of(module) {
        Ok(weights) => weights,
        Err(error) => return Err(relay("save", path, "", &error)),
    };
    match shards::write(path, &weights, size_bytes) {
        Ok(()) => Ok(()),
        Err(text) => Err(problem("save", path, text)),
    }
}

/// The file that [`save`] would write.
#[track_caller]
pub(crate) fn to_bytes(module: &dyn Module) -> Result<Vec<u8>> {
    match file::to_bytes(&of(module)?, None) {
        Ok(bytes) => Ok(bytes),
        Err(text) => Err(problem("save", Path::new(""), text)),
    }
}

/// What of a model is kept.
fn of(module: &dyn Module) -> Result<Snapshot> {
    let mut all = Snapshot::new();
    Stateful::save(module, &mut all)?;
    let mut weights = Snapshot::new();
    for (name, value) in all.iter() {
        if !name.starts_with('#') || name.starts_with(STREAM) {
            weights.insert(name, value.clone());
        }
    }
    for (name, value) in all.iter().filter_map(|(name, value)| Some((name.strip_prefix(SET)?, value))) {
        weights.insert(name, value.clone());
    }
    Ok(weights)
}

/// Writes a snapshot to a file.
#[track_caller]
pub(crate) fn write(path: &Path, snapshot: &Snapshot, note: Option<(&str, &str)>) -> Result<()> {
    let written = file::to_bytes(snapshot, note).and_then(|b| atomic::write(path, &b).map_err(|e| e.to_string()));
    match written {
        Ok(()) => Ok(()),
        Err(text) => Err(problem("save", path, format!("cannot be written: {text}"))),
    }
}
