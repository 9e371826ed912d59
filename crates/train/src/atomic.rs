//! Files that are either whole or not there.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::Write,
    path::Path,
};

use thalweg_graph::{Error, ErrorKind, Result};

/// Writes a file so that a crash at any moment leaves the old one or the new one: beside it, through to the disk, renamed.
/// Folders on the way are made.
///
/// # Errors
/// [`ErrorKind::File`] with the path.
#[track_caller]
pub fn write_atomically(path: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
    let path = path.as_ref();
    // Not `map_err`: the caller's position does not go through a closure.
    match write(path, bytes) {
        Ok(()) => Ok(()),
        Err(e) => {
            let kind = ErrorKind::File { path: path.display().to_string(), problem: format!("cannot be written: {e}") };
            Err(Error::new("write", kind))
        }
    }
}

fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder)?;
    // The process id keeps two programs that write the same file out of each other's way.
    let mut aside = OsString::from(path);
    aside.push(format!(".{}.tmp", std::process::id()));
    let written = File::create(&aside).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    if let Err(error) = written.and_then(|()| fs::rename(&aside, path)) {
        let _ = fs::remove_file(&aside);
        return Err(error);
    }
    // The rename itself reaches the disk with the folder. Windows cannot open folders, and does not need it.
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_whole_files_and_leaves_nothing_beside_them() {
        let dir = std::env::temp_dir().join(format!("thalweg-atomic-{}", std::process::id()));
        let path = dir.join("deep/file.bin");
        write_atomically(&path, b"one").unwrap();
        write_atomically(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(dir.join("deep")).unwrap().count(), 1);
        let error = write_atomically(dir.join("deep/file.bin/below"), b"x").unwrap_err().to_string();
        assert!(error.contains("file.bin/below: cannot be written"), "{error}");
        fs::remove_dir_all(dir).unwrap();
    }
}
