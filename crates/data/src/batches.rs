//! Batches, prepared on a thread while the device works on the one before.

use std::sync::mpsc;

use thalweg_graph::{Error, ErrorKind, Result};

use crate::{
    host::Host,
    in_memory::InMemory,
    permutation::{Seed, permutation},
};

/// Images, labels and weights of one batch, on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// `[B, ..]`
    pub images: Host<f32>,
    /// `[B]`
    pub labels: Host<i32>,
    /// `[B]`: 1 for an image, 0 for padding.
    pub weights: Host<f32>,
    /// Images that are no padding.
    pub len: usize,
}

/// What becomes of the images that do not fill a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// They are left out of this epoch.
    Drop,
    /// They are a smaller batch, and so a plan of its own.
    Keep,
    /// They are filled up with images of weight 0.
    Pad,
}

/// One pass over a data set, in batches. Becomes an iterator in a `for` loop.
#[derive(Clone, Debug)]
pub struct Batches {
    data: InMemory,
    size: usize,
    seed: Option<Seed>,
    epoch: u32,
    tail: Tail,
}

#[track_caller]
fn invalid(problem: String) -> Error {
    Error::new("batches", ErrorKind::Invalid(problem))
}

/// Batches that wait ahead of their use.
const AHEAD: usize = 2;

impl Batches {
    #[track_caller]
    pub(crate) fn new(data: InMemory, size: usize, seed: Option<Seed>, tail: Tail) -> Result<Batches> {
        if size == 0 {
            return Err(invalid("a batch needs at least one image; the batch size given is 0".into()));
        }
        if tail == Tail::Drop && data.len() < size {
            return Err(invalid(format!(
                "a data set of {} images has no full batch of {size}; take smaller batches, or keep the tail",
                data.len()
            )));
        }
        let floats = data.shape().iter().fold(size, |n, d| n.saturating_mul(*d));
        if size > data.len() && Vec::<f32>::new().try_reserve_exact(floats).is_err() {
            return Err(invalid(format!("no memory for a batch of {size} images")));
        }
        Ok(Batches { data, size, seed, epoch: 0, tail })
    }

    /// Another order for every epoch.
    pub fn epoch(mut self, epoch: u32) -> Batches {
        self.epoch = epoch;
        self
    }

    /// What becomes of the tail.
    pub fn tail(mut self, tail: Tail) -> Batches {
        self.tail = tail;
        self
    }

    /// The number of batches.
    pub fn len(&self) -> usize {
        match self.tail {
            Tail::Drop => self.data.len() / self.size,
            Tail::Keep | Tail::Pad => self.data.len().div_ceil(self.size),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The order in which the data set is seen.
    fn order(&self) -> Vec<usize> {
        match self.seed {
            Some(seed) => permutation(self.data.len(), seed, self.epoch),
            None => (0..self.data.len()).collect(),
        }
    }

    fn batch(&self, order: &[usize], i: usize) -> Batch {
        let end = ((i + 1) * self.size).min(order.len());
        self.data.gather(&order[i * self.size..end], if self.tail == Tail::Pad { self.size } else { 0 })
    }
}

impl IntoIterator for Batches {
    type Item = Batch;
    type IntoIter = Prefetch;

    fn into_iter(self) -> Prefetch {
        let left = self.len();
        let (sender, receiver) = mpsc::sync_channel(AHEAD);
        // The thread ends with its last batch, or with the first that finds nobody waiting.
        std::thread::spawn(move || {
            let order = self.order();
            for i in 0..left {
                if sender.send(self.batch(&order, i)).is_err() {
                    break;
                }
            }
        });
        Prefetch { receiver, left }
    }
}

/// The batches of one epoch, in order.
#[derive(Debug)]
pub struct Prefetch {
    receiver: mpsc::Receiver<Batch>,
    left: usize,
}

impl Iterator for Prefetch {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        self.left = self.left.checked_sub(1)?;
        self.receiver.recv().ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Prefetch {}

#[cfg(test)]
mod tests {
    use super::*;

    fn ten() -> InMemory {
        InMemory::new((0..20).map(|i| i as f32).collect(), &[2], (0..10).collect()).unwrap()
    }

    #[test]
    fn training_drops_or_keeps_the_tail() {
        let batches: Vec<Batch> = ten().batches(4, Seed(1)).unwrap().into_iter().collect();
        assert_eq!(batches.iter().map(|b| b.len).collect::<Vec<_>>(), [4, 4]);
        let kept: Vec<Batch> = ten().batches(4, Seed(1)).unwrap().tail(Tail::Keep).into_iter().collect();
        assert_eq!(kept.iter().map(|b| b.len).collect::<Vec<_>>(), [4, 4, 2]);
        assert_eq!(kept[2].images.shape, [2, 2]);
        let mut labels: Vec<i32> = kept.iter().flat_map(|b| b.labels.values.clone()).collect();
        labels.sort_unstable();
        assert_eq!(labels, (0..10).collect::<Vec<_>>());
        for batch in kept {
            for (image, label) in batch.images.values.chunks(2).zip(&batch.labels.values) {
                assert_eq!(image, [2.0 * *label as f32, 2.0 * *label as f32 + 1.0]);
            }
        }
    }

    #[test]
    fn evaluation_pads_with_weight_zero() {
        let batches: Vec<Batch> = ten().in_order(4).unwrap().into_iter().collect();
        assert_eq!(batches.len(), 3);
        assert!(batches.iter().all(|b| b.images.shape == [4, 2] && b.weights.shape == [4]));
        assert_eq!(batches[2].len, 2);
        assert_eq!(batches[2].weights.values, [1.0, 1.0, 0.0, 0.0]);
        assert_eq!(batches[2].labels.values, [8, 9, 8, 8]);
    }

    #[test]
    fn epochs_differ_and_repeat() {
        let labels = |epoch| -> Vec<i32> {
            ten().batches(5, Seed(1)).unwrap().epoch(epoch).into_iter().flat_map(|b| b.labels.values).collect()
        };
        assert_ne!(labels(0), labels(1));
        assert_eq!(labels(1), labels(1));
    }

    #[test]
    fn leaving_early_is_fine() {
        let mut batches = ten().in_order(1).unwrap().into_iter();
        assert_eq!(batches.len(), 10);
        assert!(batches.next().is_some());
    }

    #[test]
    fn bad_sizes_are_errors() {
        let error = ten().batches(0, Seed(0)).unwrap_err().to_string();
        assert!(error.starts_with("batches: a batch needs at least one image"), "{error}");
        let error = ten().batches(11, Seed(0)).unwrap_err().to_string();
        assert!(error.starts_with("batches: a data set of 10 images has no full batch of 11"), "{error}");
        let (error, line) = (ten().in_order(usize::MAX).unwrap_err(), line!());
        assert!(
            error.to_string().starts_with("batches: no memory for a batch of 18446744073709551615 images"),
            "{error}"
        );
        assert_eq!((error.location().file(), error.location().line()), (file!(), line));
        assert_eq!(InMemory::new(vec![], &[2], vec![]).unwrap().in_order(4).unwrap().into_iter().count(), 0);
    }
}
