//! A data set that fits in memory.

use std::sync::Arc;

use thalweg_graph::{Error, ErrorKind, Result};

use crate::{
    batches::{Batch, Batches, Tail},
    host::Host,
    permutation::Seed,
};

/// Images of one shape and their labels. A cheap clone.
#[derive(Clone, Debug)]
pub struct InMemory(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    images: Vec<f32>,
    shape: Vec<usize>,
    labels: Vec<i32>,
}

impl InMemory {
    /// A data set of `labels.len()` images, each of `shape` (`[C, H, W]` for images), one behind the other.
    ///
    /// # Errors
    /// [`ErrorKind::Length`] when the images are not `labels.len()` times `shape`.
    #[track_caller]
    pub fn new(images: Vec<f32>, shape: &[usize], labels: Vec<i32>) -> Result<InMemory> {
        let mut all = vec![labels.len()];
        all.extend(shape);
        let want = all.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
        if want != Some(images.len()) {
            let kind = ErrorKind::Length { got: images.len(), want: want.unwrap_or(usize::MAX), shape: all };
            return Err(Error::new("data", kind));
        }
        Ok(InMemory(Arc::new(Inner { images, shape: shape.to_vec(), labels })))
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        self.0.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.labels.is_empty()
    }

    /// The shape of one image.
    pub fn shape(&self) -> &[usize] {
        &self.0.shape
    }

    /// The label of each image.
    pub fn labels(&self) -> &[i32] {
        &self.0.labels
    }

    /// Image `i` and its label, or `None` behind the last.
    pub fn get(&self, i: usize) -> Option<(&[f32], i32)> {
        let label = *self.0.labels.get(i)?;
        let size: usize = self.0.shape.iter().product();
        Some((&self.0.images[i * size..(i + 1) * size], label))
    }

    /// Batches for training: shuffled by the seed (and [`Batches::epoch`]), the tail dropped unless [`Batches::tail`]
    /// says otherwise.
    ///
    /// # Errors
    /// When `size` is 0, or when there is no full batch.
    #[track_caller]
    pub fn batches(&self, size: usize, seed: Seed) -> Result<Batches> {
        Batches::new(self.clone(), size, Some(seed), Tail::Drop)
    }

    /// Batches for evaluation: in order, the tail padded with images of weight 0, so that all have one shape.
    ///
    /// # Errors
    /// When `size` is 0.
    #[track_caller]
    pub fn in_order(&self, size: usize) -> Result<Batches> {
        Batches::new(self.clone(), size, None, Tail::Pad)
    }

    /// The images at these positions, padded to `size` with copies of the first that weigh nothing.
    pub(crate) fn gather(&self, indices: &[usize], size: usize) -> Batch {
        let pixels: usize = self.0.shape.iter().product();
        let rows = indices.len().max(size);
        let mut images = Vec::with_capacity(rows * pixels);
        let mut labels = Vec::with_capacity(rows);
        let mut weights = vec![1.0; indices.len()];
        weights.resize(rows, 0.0);
        // Padding repeats a real image: zeros could be out of distribution for running statistics and f16 ranges.
        for &i in indices.iter().chain(std::iter::repeat_n(&indices[0], rows - indices.len())) {
            images.extend_from_slice(&self.0.images[i * pixels..(i + 1) * pixels]);
            labels.push(self.0.labels[i]);
        }
        let mut shape = vec![rows];
        shape.extend(&self.0.shape);
        Batch {
            images: Host { values: images, shape },
            labels: Host { values: labels, shape: vec![rows] },
            weights: Host { values: weights, shape: vec![rows] },
            len: indices.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_that_do_not_fit_are_an_error() {
        let error = InMemory::new(vec![0.0; 7], &[2, 2], vec![0, 1]).unwrap_err().to_string();
        assert!(error.starts_with("data: 7 elements given for shape [2, 2, 2], which has 8"), "{error}");
        let error = InMemory::new(vec![], &[usize::MAX, 2], vec![0]).unwrap_err().to_string();
        assert!(error.starts_with("data: 0 elements given for shape"), "{error}");
    }

    #[test]
    fn gives_images_with_their_labels() {
        let data = InMemory::new((0..6).map(|i| i as f32).collect(), &[2], vec![7, 8, 9]).unwrap();
        assert_eq!(data.get(1), Some((&[2.0, 3.0][..], 8)));
        assert_eq!(data.get(3), None);
    }
}
