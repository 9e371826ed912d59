//! MNIST, read from its four IDX files.

use std::{
    panic::Location,
    path::{Path, PathBuf},
};

use thalweg_graph::Result;

use crate::{
    idx::{self, problem},
    in_memory::InMemory,
};

/// Handwritten digits of 28 × 28 pixels: 60,000 to train on and 10,000 to test with.
///
/// Pixels are normalised to `(x / 255 − 0.1307) / 0.3081`, which gives the training images mean 0 and variance 1.
///
/// # Source
/// LeCun, Cortes & Burges; the files of <http://yann.lecun.com/exdb/mnist>.
#[derive(Clone, Debug)]
pub struct Mnist {
    /// The training images.
    pub train: InMemory,
    /// The test images.
    pub test: InMemory,
}

/// Mean of the training images' pixels, from 0 to 1.
const MEAN: f32 = 0.1307;
/// Their standard deviation.
const DEVIATION: f32 = 0.3081;

impl Mnist {
    /// Reads `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte` and `t10k-labels-idx1-ubyte`,
    /// each gzipped (`.gz`) or not, from a folder.
    ///
    /// # Errors
    /// [`thalweg_graph::ErrorKind::File`] naming the file and what is wrong: absent (and how to get it), truncated, of
    /// another format, or images and labels that do not belong together.
    #[track_caller]
    pub fn load(dir: impl AsRef<Path>) -> Result<Mnist> {
        let caller = Location::caller();
        let part = |name| part(dir.as_ref(), name).map_err(|error| error.seen_at(caller));
        Ok(Mnist { train: part("train")?, test: part("t10k")? })
    }
}

fn part(dir: &Path, name: &str) -> Result<InMemory> {
    let image_path = find(dir, &format!("{name}-images-idx3-ubyte"))?;
    let label_path = find(dir, &format!("{name}-labels-idx1-ubyte"))?;
    let (images, labels) = (idx::read(&image_path, 3)?, idx::read(&label_path, 1)?);
    if labels.shape[0] != images.shape[0] {
        let text = format!("has {} labels for {} images", labels.shape[0], images.shape[0]);
        return Err(problem(&label_path, text));
    }
    if let Some((i, label)) = labels.bytes.iter().enumerate().find(|(_, label)| **label > 9) {
        return Err(problem(&label_path, format!("is damaged: label {i} is {label}, not a digit")));
    }
    let pixels = images.bytes.iter().map(|x| (f32::from(*x) / 255.0 - MEAN) / DEVIATION).collect();
    let labels = labels.bytes.iter().map(|label| i32::from(*label)).collect();
    InMemory::new(pixels, &[1, images.shape[1], images.shape[2]], labels)
}

/// The file, or its gzipped form.
fn find(dir: &Path, name: &str) -> Result<PathBuf> {
    let plain = dir.join(name);
    let packed = dir.join(format!("{name}.gz"));
    match (plain.is_file(), packed.is_file()) {
        (true, _) => Ok(plain),
        (false, true) => Ok(packed),
        (false, false) => Err(problem(&plain, absent(dir, name))),
    }
}

fn absent(dir: &Path, name: &str) -> String {
    let dir = dir.display();
    format!(
        "is not there, nor is {name}.gz. MNIST is four files; to get them: \
         mkdir -p {dir} && cd {dir} && for f in train-images-idx3 train-labels-idx1 t10k-images-idx3 t10k-labels-idx1; \
         do curl -fO https://ossci-datasets.s3.amazonaws.com/mnist/$f-ubyte.gz; done"
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A folder of its own with a two-image data set, gone when dropped.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let dir = std::env::temp_dir().join(format!("thalweg-mnist-{name}-{}", std::process::id()));
            fs::create_dir_all(&dir).unwrap();
            for part in ["train", "t10k"] {
                let images = [0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 255, 255, 0];
                fs::write(dir.join(format!("{part}-images-idx3-ubyte")), images).unwrap();
                fs::write(dir.join(format!("{part}-labels-idx1-ubyte")), [0, 0, 8, 1, 0, 0, 0, 2, 3, 9]).unwrap();
            }
            Folder(dir)
        }

        fn error(&self) -> String {
            Mnist::load(&self.0).unwrap_err().to_string()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn loads_and_normalises() {
        let folder = Folder::new("good");
        let mnist = Mnist::load(&folder.0).unwrap();
        assert_eq!((mnist.train.len(), mnist.test.shape()), (2, &[1, 1, 2][..]));
        let (image, label) = mnist.train.get(1).unwrap();
        assert_eq!(label, 9);
        assert!((image[0] - (1.0 - 0.1307) / 0.3081).abs() < 1e-6 && (image[1] + 0.1307 / 0.3081).abs() < 1e-6);
    }

    #[test]
    fn an_absent_file_is_named_with_how_to_get_it() {
        let folder = Folder::new("absent");
        fs::remove_file(folder.0.join("t10k-labels-idx1-ubyte")).unwrap();
        let error = folder.error();
        assert!(error.contains("t10k-labels-idx1-ubyte: is not there, nor is t10k-labels-idx1-ubyte.gz"), "{error}");
        assert!(error.contains("curl -fO https://"), "{error}");
    }

    #[test]
    fn damaged_files_are_named() {
        let folder = Folder::new("damaged");
        let labels = folder.0.join("train-labels-idx1-ubyte");
        fs::write(&labels, [0, 0, 8, 1, 0, 0, 0, 3, 3, 9, 1]).unwrap();
        assert!(folder.error().contains("train-labels-idx1-ubyte: has 3 labels for 2 images"));
        fs::write(&labels, [0, 0, 8, 1, 0, 0, 0, 2, 3, 10]).unwrap();
        assert!(folder.error().contains("label 1 is 10, not a digit"));
        fs::write(&labels, [0, 0, 8, 1, 0, 0, 0, 2, 3]).unwrap();
        assert!(folder.error().contains("is truncated: it has 1 of the 2 bytes that shape [2] takes"));
        fs::write(&labels, [1, 2, 3, 4, 5, 6, 7, 8]).unwrap();
        assert!(folder.error().contains("begins with the number 16909060, not 2049"));
    }
}
