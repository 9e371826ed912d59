//! CIFAR-10, read from files of its binary format.

use std::{
    fs::{self, File},
    io::{BufReader, Read},
    panic::Location,
    path::{Path, PathBuf},
};

use thalweg_graph::{Error, ErrorKind, Result};

use crate::{gzip, in_memory::InMemory};

/// Small photographs, 3 × 32 × 32, in ten classes: 50,000 to train on and 10,000 to test with, or a part of them.
///
/// Pixels are normalised channel by channel to mean 0 and variance 1 over the training images of the whole set.
///
/// # Source
/// Krizhevsky 2009, "Learning multiple layers of features from tiny images"; the binary version of
/// <https://www.cs.toronto.edu/~kriz/cifar.html>.
#[derive(Clone, Debug)]
pub struct Cifar10 {
    /// The training images.
    pub train: InMemory,
    /// The test images.
    pub test: InMemory,
}

/// Red, green and blue.
const CHANNELS: usize = 3;
/// Pixels along each side.
const SIDE: usize = 32;
/// Bytes of an image: a label, and a plane for each channel.
const RECORD: usize = 1 + CHANNELS * SIDE * SIDE;
/// Bytes above which a file is taken for a damaged one rather than read.
const MAX_BYTES: usize = 1 << 29;
/// Means of the training images' channels, from 0 to 1.
const MEAN: [f32; CHANNELS] = [0.4914, 0.4822, 0.4465];
/// Their standard deviations.
const DEVIATION: [f32; CHANNELS] = [0.2470, 0.2435, 0.2616];

impl Cifar10 {
    /// What a label stands for.
    pub const CLASSES: [&str; 10] =
        ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

    /// Reads a folder: every file `data_batch*.bin` or `train*.bin` to train on, every `test*.bin` to test with, in the order of
    /// their names, each gzipped (`.bin.gz`) or not.
    ///
    /// # Errors
    /// [`thalweg_graph::ErrorKind::File`] naming the file and what is wrong: absent (and how to get it), truncated, or of another
    /// format.
    #[track_caller]
    pub fn load(dir: impl AsRef<Path>) -> Result<Cifar10> {
        let caller = Location::caller();
        let part = |names: &[&str]| part(dir.as_ref(), names).map_err(|error| error.seen_at(caller));
        Ok(Cifar10 { train: part(&["data_batch", "train"])?, test: part(&["test"])? })
    }
}

/// The images of all files that are called so.
fn part(dir: &Path, names: &[&str]) -> Result<InMemory> {
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for path in find(dir, names)? {
        let bytes = read(&path).map_err(|text| problem(&path, text))?;
        for record in bytes.chunks_exact(RECORD) {
            labels.push(i32::from(record[0]));
            for (plane, (mean, deviation)) in record[1..].chunks(SIDE * SIDE).zip(MEAN.into_iter().zip(DEVIATION)) {
                pixels.extend(plane.iter().map(|x| (f32::from(*x) / 255.0 - mean) / deviation));
            }
        }
    }
    InMemory::new(pixels, &[CHANNELS, SIDE, SIDE], labels)
}

/// The files whose names begin so, in order; of a file and its gzipped form, the file.
fn find(dir: &Path, names: &[&str]) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir).map_err(|e| problem(dir, format!("cannot be read: {e}")))?;
    let wanted = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let plain = name.strip_suffix(".gz");
        names.iter().any(|start| name.starts_with(start))
            && plain.unwrap_or(&name).ends_with(".bin")
            && plain.is_none_or(|plain| !dir.join(plain).is_file())
    };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(wanted).collect();
    paths.sort();
    match paths.is_empty() {
        true => Err(problem(dir, absent(dir, names))),
        false => Ok(paths),
    }
}

/// All records of a file.
fn read(path: &Path) -> Result<Vec<u8>, String> {
    let file = File::open(path).map_err(|e| format!("cannot be opened: {e}"))?;
    let source = gzip::unpacked(BufReader::new(file)).map_err(|e| format!("cannot be read: {e}"))?;
    let mut bytes = Vec::new();
    let read = source.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|e| format!("is truncated or damaged after {} bytes: {e}", bytes.len()))?;
    if bytes.is_empty() || !bytes.len().is_multiple_of(RECORD) || bytes.len() > MAX_BYTES {
        return Err(format!("is no file of CIFAR-10's: {} bytes are no images of {RECORD} bytes each", bytes.len()));
    }
    match bytes.iter().step_by(RECORD).position(|label| *label > 9) {
        Some(i) => Err(format!("is damaged: label {i} is {}, and there are ten classes", bytes[i * RECORD])),
        None => Ok(bytes),
    }
}

fn problem(path: &Path, problem: String) -> Error {
    Error::new("cifar10", ErrorKind::File { path: path.display().to_string(), problem })
}

fn absent(dir: &Path, names: &[&str]) -> String {
    let (dir, names) = (dir.display(), names.join("*.bin, nor "));
    format!(
        "has no {names}*.bin, gzipped or not. To get CIFAR-10: mkdir -p {dir} && cd {dir} && \
         curl -fO https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz && \
         tar xzf cifar-10-binary.tar.gz --strip-components 1"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gzip::packed;

    /// A folder of its own, gone when dropped.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let dir = std::env::temp_dir().join(format!("thalweg-cifar-{name}-{}", std::process::id()));
            fs::create_dir_all(&dir).unwrap();
            Folder(dir)
        }

        fn write(&self, name: &str, bytes: &[u8]) {
            fs::write(self.0.join(name), bytes).unwrap();
        }

        fn error(&self) -> String {
            Cifar10::load(&self.0).unwrap_err().to_string()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// Images of these classes whose channels are 0, 100 and 200.
    fn records(labels: &[u8]) -> Vec<u8> {
        let channels = |label: &u8| [vec![*label], vec![0; 1024], vec![100; 1024], vec![200; 1024]].concat();
        labels.iter().flat_map(channels).collect()
    }

    #[test]
    fn loads_all_files_in_order_packed_or_not() {
        let folder = Folder::new("good");
        folder.write("data_batch_2.bin", &records(&[3]));
        folder.write("data_batch_1.bin", &records(&[1, 2]));
        // The same again, which is not read twice.
        folder.write("data_batch_1.bin.gz", &packed(&records(&[1, 2])));
        folder.write("batches.meta.txt", b"airplane");
        folder.write("test_1000.bin.gz", &packed(&records(&[9, 0])));
        let cifar = Cifar10::load(&folder.0).unwrap();
        assert_eq!((cifar.train.labels(), cifar.test.labels()), (&[1, 2, 3][..], &[9, 0][..]));
        let (image, _) = cifar.test.get(1).unwrap();
        for (channel, byte) in [0.0, 100.0, 200.0].into_iter().enumerate() {
            let want = (byte / 255.0 - MEAN[channel]) / DEVIATION[channel];
            assert!((image[channel * 1024] - want).abs() < 1e-6 && (image[channel * 1024 + 1023] - want).abs() < 1e-6);
        }
    }

    #[test]
    fn what_is_absent_is_said_with_how_to_get_it() {
        let folder = Folder::new("absent");
        folder.write("train.bin", &records(&[1]));
        let error = folder.error();
        assert!(error.contains("has no test*.bin, gzipped or not. To get CIFAR-10: mkdir"), "{error}");
        fs::remove_file(folder.0.join("train.bin")).unwrap();
        assert!(folder.error().contains("has no data_batch*.bin, nor train*.bin, gzipped"), "{}", folder.error());
        assert!(Cifar10::load(folder.0.join("nowhere")).unwrap_err().to_string().contains("cannot be read"));
    }

    #[test]
    fn damaged_files_are_named() {
        let folder = Folder::new("damaged");
        folder.write("train.bin", &records(&[1]));
        folder.write("test.bin", &records(&[1, 2])[..5000]);
        assert!(folder.error().contains("test.bin: is no file of CIFAR-10's: 5000 bytes are no images of 3073 bytes"));
        folder.write("test.bin", &records(&[1, 10]));
        assert!(folder.error().contains("test.bin: is damaged: label 1 is 10"), "{}", folder.error());
        folder.write("test.bin", b"");
        assert!(folder.error().contains("0 bytes are no images"));
        let whole = packed(&records(&[1]));
        folder.write("test.bin", &whole[..whole.len() - 9]);
        assert!(folder.error().contains("is truncated or damaged"), "{}", folder.error());
    }
}
