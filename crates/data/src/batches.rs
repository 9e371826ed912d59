//! Batches of labelled images.

use thalweg_graph::{
    Result,
    module::snapshot::{Loading, Snapshot, Stateful},
};

use crate::{
    collate::Weighed,
    host::Host,
    loader::{Epoch, Loader, Rest},
    position::Position,
    tail::Tail,
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

impl From<Weighed<(Host<f32>, Host<i32>)>> for Batch {
    fn from(Weighed { batch: (images, labels), weights, len }: Weighed<(Host<f32>, Host<i32>)>) -> Batch {
        Batch { images, labels, weights, len }
    }
}

/// A [`Loader`] of images in memory, where nothing can go wrong: its batches are no `Result`s.
#[derive(Debug)]
pub struct Batches(pub(crate) Loader<Batch>);

/// [`InMemory`](crate::InMemory) has all its images, and its samplers keep to them.
fn sound<B>(batch: Result<B>) -> B {
    batch.unwrap_or_else(|error| unreachable!("a batch from memory: {error}"))
}

impl Batches {
    /// What becomes of the tail.
    ///
    /// # Errors
    /// When it is dropped and there is no full batch.
    #[track_caller]
    pub fn tail(self, tail: Tail) -> Result<Batches> {
        Ok(Batches(self.0.tail(tail)?))
    }

    /// The number of batches in an epoch.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Never: batches of nothing are an error where they are made.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// [`Loader::epoch`]: all batches of this epoch.
    pub fn epoch(&self, epoch: u32) -> Sound<Epoch<Batch>> {
        Sound(self.0.epoch(epoch))
    }

    /// [`Loader::next_batch`]: the next batch, also of the next epoch.
    pub fn next_batch(&self) -> Batch {
        sound(self.0.next_batch())
    }

    /// [`Loader::position`]: where these batches stand.
    pub fn position(&self) -> Position {
        self.0.position()
    }

    /// [`Loader::seek`]: goes on from a position.
    ///
    /// # Errors
    /// As [`Loader::seek`].
    #[track_caller]
    pub fn seek(&self, position: Position) -> Result<()> {
        self.0.seek(position)
    }
}

/// Where they stand.
impl Stateful for Batches {
    fn save(&self, to: &mut Snapshot) -> Result<()> {
        self.0.save(to)
    }

    fn prepare<'a>(&'a self, from: &Snapshot) -> Result<Loading<'a>> {
        self.0.prepare(from)
    }
}

/// What is left of the epoch they stand in.
impl IntoIterator for Batches {
    type Item = Batch;
    type IntoIter = Sound<Epoch<Batch>>;

    fn into_iter(self) -> Self::IntoIter {
        Sound(self.0.into_iter())
    }
}

/// What is left of the epoch they stand in, moving on with every batch.
impl<'a> IntoIterator for &'a Batches {
    type Item = Batch;
    type IntoIter = Sound<Rest<'a, Batch>>;

    fn into_iter(self) -> Self::IntoIter {
        Sound((&self.0).into_iter())
    }
}

/// The batches of [`Batches`], in order.
#[derive(Debug)]
pub struct Sound<I>(I);

impl<I: Iterator<Item = Result<Batch>>> Iterator for Sound<I> {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        self.0.next().map(sound)
    }

    fn nth(&mut self, n: usize) -> Option<Batch> {
        self.0.nth(n).map(sound)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<I: ExactSizeIterator<Item = Result<Batch>>> ExactSizeIterator for Sound<I> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dataset, InMemory, InOrder, Seed, Shuffled, Stack};

    fn images(n: i32) -> InMemory {
        InMemory::new((0..2 * n).map(|i| i as f32).collect(), &[2], (0..n).collect()).unwrap()
    }

    #[test]
    fn training_drops_or_keeps_the_tail() {
        let batches: Vec<Batch> = images(10).batches(4, Seed(1)).unwrap().into_iter().collect();
        assert_eq!(batches.iter().map(|b| b.len).collect::<Vec<_>>(), [4, 4]);
        let kept: Vec<Batch> = images(10).batches(4, Seed(1)).unwrap().tail(Tail::Keep).unwrap().into_iter().collect();
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
        let batches: Vec<Batch> = images(10).in_order(4).unwrap().into_iter().collect();
        assert_eq!(batches.len(), 3);
        assert!(batches.iter().all(|b| b.images.shape == [4, 2] && b.weights.shape == [4]));
        assert_eq!(batches[2].len, 2);
        assert_eq!(batches[2].weights.values, [1.0, 1.0, 0.0, 0.0]);
        assert_eq!(batches[2].labels.values, [8, 9, 8, 8]);
    }

    /// These batches are one collation of many.
    #[test]
    fn are_what_a_loader_stacks() {
        for n in [1, 2, 5, 97] {
            let stacked = |loader: Loader<_>| -> Vec<Batch> {
                loader.pad_tail().epoch(1).map(|batch| batch.unwrap().into()).collect()
            };
            let in_order: Vec<Batch> = images(n).in_order(4).unwrap().epoch(1).collect();
            assert_eq!(in_order, stacked(images(n).loader(4, InOrder, Stack).unwrap()));
            let shuffled = images(n).batches(1, Seed(3)).unwrap().tail(Tail::Pad).unwrap();
            let shuffled: Vec<Batch> = shuffled.epoch(1).collect();
            assert_eq!(shuffled, stacked(images(n).loader(1, Shuffled(Seed(3)), Stack).unwrap()));
        }
    }

    #[test]
    fn epochs_differ_and_repeat() {
        let labels = |epoch| -> Vec<i32> {
            images(10).batches(5, Seed(1)).unwrap().epoch(epoch).flat_map(|b| b.labels.values).collect()
        };
        assert_ne!(labels(0), labels(1));
        assert_eq!(labels(1), labels(1));
    }

    #[test]
    fn go_on_where_they_stood() {
        let make = || images(11).batches(4, Seed(1)).unwrap();
        let first = make();
        first.next_batch();
        let second = make();
        second.seek(first.position()).unwrap();
        let rest: Vec<Batch> = (&second).into_iter().collect();
        assert_eq!(rest, [first.next_batch()]);
        assert_eq!((second.next_batch(), second.position().batch), (first.next_batch(), 1));
        assert_eq!(second.into_iter().next(), Some(first.next_batch()));
        assert!(make().seek(images(12).batches(4, Seed(1)).unwrap().position()).is_err());
    }

    #[test]
    fn leaving_early_is_fine() {
        let mut batches = images(10).in_order(1).unwrap().into_iter();
        assert_eq!(batches.len(), 10);
        assert!(batches.next().is_some());
    }

    #[test]
    fn bad_sizes_are_errors() {
        let error = images(10).batches(0, Seed(0)).unwrap_err().to_string();
        assert!(error.starts_with("loader: a batch needs at least one item"), "{error}");
        let error = images(10).batches(11, Seed(0)).unwrap_err();
        assert!(error.to_string().starts_with("loader: an epoch of 10 items has no full batch of 11"), "{error}");
        assert_eq!(error.location().file(), file!());
        for shape in [&[2][..], &[0], &[0, 3]] {
            let images = InMemory::new(vec![0.0; shape.iter().product()], shape, vec![7]).unwrap();
            let error = images.in_order(usize::MAX).unwrap_err();
            let text = error.to_string();
            assert!(text.starts_with("loader: no memory for a batch of 18446744073709551615 images"), "{text}");
            assert_eq!(error.location().file(), file!());
        }
        let none = InMemory::new(vec![], &[2], vec![]).unwrap();
        for error in [none.in_order(4).unwrap_err(), none.batches(4, Seed(0)).unwrap_err()] {
            assert!(error.to_string().starts_with("loader: an epoch of 0 of 0 items has no batches"), "{error}");
        }
    }
}
