//! From items to a batch.

use thalweg_graph::Result;

use crate::host::Host;

/// Puts the items of a batch together.
///
/// A closure `Fn(Vec<Item>) -> Result<Batch>` is one. [`Stack`](crate::Stack) is for numbers and arrays of one shape,
/// [`Pad`](crate::Pad) for sequences of different lengths, and a tuple of them is for items that are tuples:
///
/// ```
/// use thalweg_data::{Dataset, InOrder, Pad, Stack};
///
/// let reviews: Vec<(Vec<i32>, i32)> = vec![(vec![7, 8, 9], 1), (vec![5], 0)];
/// for batch in reviews.loader(2, InOrder, (Pad::with(0), Stack))?.epoch(0) {
///     let (words, labels) = batch?;
///     assert_eq!(words.values.values, [7, 8, 9, 5, 0, 0]);
///     assert_eq!(words.lengths.values, [3, 1]);
///     assert_eq!(labels.values, [1, 0]);
/// }
/// # Ok::<(), thalweg_graph::Error>(())
/// ```
pub trait Collate<Item>: Send + Sync {
    /// What the items become.
    type Batch;

    /// Puts them together, first item first.
    ///
    /// # Errors
    /// When they do not fit together.
    #[track_caller]
    fn collate(&self, items: Vec<Item>) -> Result<Self::Batch>;
}

impl<Item, Batch, F: Fn(Vec<Item>) -> Result<Batch> + Send + Sync> Collate<Item> for F {
    type Batch = Batch;

    #[track_caller]
    fn collate(&self, items: Vec<Item>) -> Result<Batch> {
        self(items)
    }
}

impl<A, B, CA: Collate<A>, CB: Collate<B>> Collate<(A, B)> for (CA, CB) {
    type Batch = (CA::Batch, CB::Batch);

    #[track_caller]
    fn collate(&self, items: Vec<(A, B)>) -> Result<Self::Batch> {
        let (a, b): (Vec<_>, Vec<_>) = items.into_iter().unzip();
        Ok((self.0.collate(a)?, self.1.collate(b)?))
    }
}

impl<A, B, C, CA: Collate<A>, CB: Collate<B>, CC: Collate<C>> Collate<(A, B, C)> for (CA, CB, CC) {
    type Batch = (CA::Batch, CB::Batch, CC::Batch);

    #[track_caller]
    fn collate(&self, items: Vec<(A, B, C)>) -> Result<Self::Batch> {
        let (a, b, c): (Vec<_>, Vec<_>, Vec<_>) = items.into_iter().collect();
        Ok((self.0.collate(a)?, self.1.collate(b)?, self.2.collate(c)?))
    }
}

/// A batch that may be padded, with what each of its items weighs: [`Loader::pad_tail`](crate::Loader::pad_tail).
#[derive(Clone, Debug, PartialEq)]
pub struct Weighed<B> {
    /// The batch.
    pub batch: B,
    /// `[B]`: 1 for an item, 0 for padding.
    pub weights: Host<f32>,
    /// Items that are no padding.
    pub len: usize,
}

/// `[rows]`: `len` ones, then zeros.
pub(crate) fn weights(len: usize, rows: usize) -> Host<f32> {
    let mut values = vec![1.0; len];
    values.resize(rows, 0.0);
    Host { values, shape: vec![rows] }
}
