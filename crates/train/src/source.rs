//! What has weights in it: a file of Thalweg or of others, or several with an index.

use std::{path::Path, sync::Arc};

use crate::{
    file::{self, Contents},
    shards, torch,
};

/// Reads a file of any kind, or the index of several and all of them.
pub(crate) fn read(path: &Path) -> Result<Contents, String> {
    let bytes = file::bytes(path)?;
    match path.to_str().is_some_and(|path| path.ends_with(shards::INDEX)) {
        true => shards::read(path, &bytes, |shard| from_bytes(&Arc::new(file::bytes(shard)?))),
        false => from_bytes(&Arc::new(bytes)),
    }
}

/// A file of any kind, which is seen by what it begins with.
pub(crate) fn from_bytes(bytes: &Arc<Vec<u8>>) -> Result<Contents, String> {
    if bytes.starts_with(&torch::MAGIC) {
        let tensors = torch::read(bytes)?;
        return Ok(Contents { tensors, ..Contents::default() });
    }
    if bytes.starts_with(&torch::LEGACY) {
        return Err(
            "is of before PyTorch 1.6; torch.save(torch.load(path), path) writes it as it is written now".into()
        );
    }
    file::from_bytes(bytes)
}
