//! Files that are either whole or not there.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::Write,
    path::Path,
    time::Duration,
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

/// The same, with what the system says where it cannot.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
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
    sweep(folder, path);
    // The rename itself reaches the disk with the folder. Windows cannot open folders, and does not need it.
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// After so long without a byte, whoever wrote aside was stopped.
const STOPPED: Duration = Duration::from_secs(3600);

/// Removes what writers of this file left aside that were killed meanwhile. What cannot be removed stays: it harms nobody.
fn sweep(folder: &Path, path: &Path) {
    let (Some(name), Ok(files)) = (path.file_name().and_then(|name| name.to_str()), fs::read_dir(folder)) else {
        return;
    };
    for file in files.flatten() {
        let aside = file.file_name();
        let writer = aside.to_str().and_then(|aside| aside.strip_prefix(name)?.strip_prefix('.')?.strip_suffix(".tmp"));
        if writer.is_some_and(|writer| writer.parse::<u32>().is_ok())
            && file.metadata().and_then(|m| m.modified()).is_ok_and(|at| at.elapsed().is_ok_and(|ago| ago > STOPPED))
        {
            let _ = fs::remove_file(file.path());
        }
    }
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

    #[test]
    fn what_killed_writers_left_is_swept() {
        let dir = std::env::temp_dir().join(format!("thalweg-sweep-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let names = ["file.bin.123.tmp", "file.bin.456.tmp", "file.bin.mine.tmp", "other.bin.123.tmp"];
        for name in names {
            let file = File::create(dir.join(name)).unwrap();
            if name != "file.bin.456.tmp" {
                file.set_modified(std::time::SystemTime::now() - 2 * STOPPED).unwrap();
            }
        }
        write_atomically(dir.join("file.bin"), b"one").unwrap();
        let left = names.map(|name| dir.join(name).exists());
        assert_eq!(left, [false, true, true, true]);
        fs::remove_dir_all(dir).unwrap();
    }
}
