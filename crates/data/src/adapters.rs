//! What the methods of [`Dataset`](crate::Dataset) give: data sets around data sets.

use std::sync::Arc;

use crate::permutation::Seed;

/// [`Dataset::map`](crate::Dataset::map).
#[derive(Clone, Copy, Debug)]
pub struct Map<D, F> {
    pub(crate) data: D,
    pub(crate) f: F,
}

/// [`Dataset::try_map`](crate::Dataset::try_map).
#[derive(Clone, Copy, Debug)]
pub struct TryMap<D, F> {
    pub(crate) data: D,
    pub(crate) f: F,
}

/// [`Dataset::subset`](crate::Dataset::subset). A cheap clone, which shares the data.
#[derive(Debug)]
pub struct Subset<D> {
    pub(crate) data: Arc<D>,
    pub(crate) indices: Arc<[usize]>,
}

impl<D> Clone for Subset<D> {
    fn clone(&self) -> Subset<D> {
        Subset { data: self.data.clone(), indices: self.indices.clone() }
    }
}

impl<D> Subset<D> {
    /// The indices of the items in the data set that they are of.
    pub fn indices(&self) -> &[usize] {
        &self.indices
    }
}

/// [`Dataset::chain`](crate::Dataset::chain).
#[derive(Clone, Copy, Debug)]
pub struct Chain<A, B> {
    pub(crate) first: A,
    pub(crate) second: B,
}

/// [`Dataset::zip`](crate::Dataset::zip).
#[derive(Clone, Copy, Debug)]
pub struct Zip<A, B> {
    pub(crate) a: A,
    pub(crate) b: B,
}

/// [`Dataset::augment`](crate::Dataset::augment): a data set whose items are changed at random when they are shown.
///
/// ```
/// use thalweg_data::{Dataset, Seed, Shuffled, Stack};
///
/// let rows = vec![[1.0f32, 2.0, 3.0]; 10];
/// let flipped = rows.augment(Seed(1), |mut row, rng| {
///     if rng.uniform() < 0.5 {
///         row.reverse();
///     }
///     row
/// });
/// let batch = flipped.loader(10, Shuffled(Seed(1)), Stack)?.next_batch()?;
/// assert!(batch.values.chunks(3).any(|row| row == [1.0, 2.0, 3.0]));
/// assert!(batch.values.chunks(3).any(|row| row == [3.0, 2.0, 1.0]));
/// # Ok::<(), thalweg_graph::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Augmented<D, F> {
    pub(crate) data: D,
    pub(crate) seed: Seed,
    pub(crate) f: F,
}
