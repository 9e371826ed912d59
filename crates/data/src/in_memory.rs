//! A data set that fits in memory.

use std::sync::Arc;

use thalweg_graph::{ErrorKind, Result};

use crate::{
    batches::{Batch, Batches},
    collate::weights,
    dataset::Dataset,
    host::Host,
    loader::Loader,
    permutation::Seed,
    place::{error, out_of_range},
    prefetch::Draw,
    sampler::{InOrder, Sampler, Shuffled, reserved},
    stack::check,
    tail::Tail,
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
        check(images.len(), &[&[labels.len()], shape].concat())?;
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

    /// The first images, at most so many.
    pub fn first(&self, n: usize) -> InMemory {
        let n = n.min(self.len());
        let size: usize = self.0.shape.iter().product();
        let Inner { images, shape, labels } = &*self.0;
        match n == self.len() {
            true => self.clone(),
            false => InMemory(Arc::new(Inner {
                images: images[..n * size].to_vec(),
                shape: shape.clone(),
                labels: labels[..n].to_vec(),
            })),
        }
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
    /// says otherwise. For a sampler of another kind, or a part of the images, there is [`Dataset::loader`].
    ///
    /// # Errors
    /// When `size` is 0, or when there is no full batch.
    #[track_caller]
    pub fn batches(&self, size: usize, seed: Seed) -> Result<Batches> {
        self.cut(size, Shuffled(seed))?.tail(Tail::Drop)
    }

    /// Batches for evaluation: in order, the tail padded with images of weight 0, so that all have one shape.
    ///
    /// # Errors
    /// When `size` is 0 or too large for memory, or when there are no images.
    #[track_caller]
    pub fn in_order(&self, size: usize) -> Result<Batches> {
        let numbers = self.0.shape.iter().fold(size, |n, d| n.saturating_mul(*d)).max(size);
        if size > self.len() && reserved::<u64>(numbers).is_err() {
            return Err(error("loader", ErrorKind::Memory(format!("no memory for a batch of {size} images"))));
        }
        self.cut(size, InOrder)?.tail(Tail::Pad)
    }

    #[track_caller]
    fn cut(&self, size: usize, sampler: impl Sampler + 'static) -> Result<Batches> {
        let data = self.clone();
        let make = move |draw: &Draw<'_>| Ok(data.gather(draw.indices, draw.len));
        Ok(Batches(Loader::new(self.len(), size, sampler, Arc::new(make))?))
    }

    /// The images at these indices, of which those behind the first `len` weigh nothing: what [`Stack`](crate::Stack) makes
    /// of them, without an array for each.
    fn gather(&self, indices: &[usize], len: usize) -> Batch {
        let pixels: usize = self.0.shape.iter().product();
        let rows = indices.len();
        let mut images = Vec::with_capacity(rows * pixels);
        indices.iter().for_each(|i| images.extend_from_slice(&self.0.images[i * pixels..(i + 1) * pixels]));
        let labels = indices.iter().map(|i| self.0.labels[*i]).collect();
        let shape = [&[rows], self.shape()].concat();
        Batch {
            images: Host { values: images, shape },
            labels: Host { values: labels, shape: vec![rows] },
            weights: weights(len, rows),
            len,
        }
    }
}

/// An image and its label.
impl Dataset for InMemory {
    type Item = (Host<f32>, i32);

    fn len(&self) -> usize {
        self.0.labels.len()
    }

    #[track_caller]
    fn item(&self, index: usize) -> Result<Self::Item> {
        match self.get(index) {
            Some((image, label)) => Ok((Host { values: image.to_vec(), shape: self.0.shape.clone() }, label)),
            None => Err(out_of_range(index, self.0.labels.len())),
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
        assert_eq!((data.first(2).labels(), data.first(2).get(1), data.first(9).len()), (&[7, 8][..], data.get(1), 3));
    }
}
