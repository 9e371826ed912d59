//! The text of the crates, for tests that nothing in them is forgotten.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The sources in a folder and in those below it, given from the folder of the tests.
pub fn texts(folder: &str) -> Vec<String> {
    let read = |path: PathBuf| fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    files(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).into_iter().map(read).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let paths = entries.map(|entry| entry.unwrap_or_else(|e| panic!("{e}")).path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// The public functions of `impl Tensor`.
pub fn methods(text: &str) -> Vec<String> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.starts_with("impl") {
            inside = line == "impl Tensor {";
        }
        if let Some(rest) = line.strip_prefix("    pub fn ").filter(|_| inside) {
            found.extend(rest.split(['(', '<']).next().map(String::from));
        }
    }
    found
}
