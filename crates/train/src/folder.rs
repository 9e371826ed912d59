//! The latest checkpoints of a run.

use std::{
    fs,
    path::{Path, PathBuf},
};

use thalweg_graph::Result;

use crate::{checkpoint::Checkpoint, file, problem::problem};

/// A folder with the latest checkpoints of a run, each a file of its own: `step-00001200.safetensors`.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
    keep: usize,
}

impl Folder {
    /// This folder, with so many of the latest files in it, at least one. It is made with the first one.
    pub fn new(path: impl Into<PathBuf>, keep: usize) -> Folder {
        Folder { path: path.into(), keep: keep.max(1) }
    }

    /// Writes a checkpoint after this step, and then removes those before the latest few.
    ///
    /// # Errors
    /// As [`Checkpoint::save`]; a file that cannot be removed.
    #[track_caller]
    pub fn save(&self, step: u64, run: &Checkpoint) -> Result<PathBuf> {
        let path = self.path.join(format!("step-{step:08}.safetensors"));
        run.save(&path)?;
        for old in self.files()?.iter().skip(self.keep).filter(|old| **old != path) {
            if let Err(e) = fs::remove_file(old) {
                return Err(problem("save", old, format!("cannot be removed: {e}")));
            }
        }
        Ok(path)
    }

    /// The newest file that is whole, or none where there are no files. One that a fault of the disk has damaged is passed over.
    ///
    /// # Errors
    /// When the folder cannot be read; when there are files and all of them are damaged.
    #[track_caller]
    pub fn newest(&self) -> Result<Option<PathBuf>> {
        let files = self.files()?;
        let mut damage = None;
        for path in &files {
            match file::read(path) {
                Ok(_) => return Ok(Some(path.clone())),
                Err(text) => damage = damage.or(Some((path, text))),
            }
        }
        match damage {
            Some((path, text)) => Err(problem("newest", path, text)),
            None => Ok(None),
        }
    }

    /// Its checkpoints, the newest first.
    #[track_caller]
    fn files(&self) -> Result<Vec<PathBuf>> {
        let read = match fs::read_dir(&self.path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            read => read.and_then(Iterator::collect::<std::io::Result<Vec<_>>>),
        };
        let entries = match read {
            Ok(entries) => entries,
            Err(e) => return Err(problem("folder", &self.path, format!("cannot be read: {e}"))),
        };
        let mut files: Vec<(u64, PathBuf)> =
            entries.into_iter().filter_map(|entry| Some((step_of(&entry.path())?, entry.path()))).collect();
        files.sort_by(|a, b| b.cmp(a));
        Ok(files.into_iter().map(|(_, path)| path).collect())
    }
}

/// The step in a file's name.
fn step_of(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.strip_prefix("step-")?.strip_suffix(".safetensors")?.parse().ok()
}
