//! What a data set is.

use std::sync::Arc;

use thalweg_graph::{ErrorKind, Result, Rng};

use crate::{
    adapters::{Augmented, Chain, Map, Subset, TryMap, Zip},
    collate::Collate,
    loader::Loader,
    permutation::Seed,
    place::{error, out_of_range},
    prefetch::Draw,
    sampler::Sampler,
    split,
};

/// Items of any kind that can be asked for by index: pictures, sentences, pairs, rows of a table.
///
/// An item is a function of its index, however often, in whichever order and on whichever thread it is asked for. That is
/// what lets a [`Loader`] prepare batches ahead on several threads, and go on in the middle of an epoch with the same bits.
/// Data that is too large for memory is read in [`Dataset::item`].
///
/// Vectors and slices of what can be cloned are data sets.
///
/// ```
/// use thalweg_data::{Dataset, Seed, Shuffled, Stack};
///
/// /// y = 2x + 1 at 100 places.
/// struct Line;
///
/// impl Dataset for Line {
///     type Item = ([f32; 1], f32);
///
///     fn len(&self) -> usize {
///         100
///     }
///
///     fn item(&self, index: usize) -> thalweg_graph::Result<Self::Item> {
///         let x = index as f32 / 100.0;
///         Ok(([x], 2.0 * x + 1.0))
///     }
/// }
///
/// let (train, test) = Line.hold_out(0.2, Seed(0))?;
/// assert_eq!((train.len(), test.len()), (80, 20));
/// for batch in train.loader(16, Shuffled(Seed(1)), Stack)?.epoch(0) {
///     let (x, y) = batch?;
///     assert_eq!((x.shape, y.shape), (vec![16, 1], vec![16]));
/// }
/// # Ok::<(), thalweg_graph::Error>(())
/// ```
///
/// The method is called `item`, not `get`: where this trait is in scope, `vec.get(i)` still means what it always did. For the
/// same reason it is `chain` and `hold_out`, not `concat` and `split`.
pub trait Dataset: Send + Sync {
    /// What there is at an index.
    type Item;

    /// The number of items.
    fn len(&self) -> usize;

    /// The item at `index`: the same whenever it is asked for.
    ///
    /// # Errors
    /// [`ErrorKind::Index`] from `len` on; what went wrong in reading it.
    #[track_caller]
    fn item(&self, index: usize) -> Result<Self::Item>;

    /// Whether there are no items.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every item as `f` makes it, on the thread that asks for it.
    fn map<T, F>(self, f: F) -> Map<Self, F>
    where
        Self: Sized,
        F: Fn(Self::Item) -> T + Send + Sync,
    {
        Map { data: self, f }
    }

    /// [`Dataset::map`] for an `f` that can fail.
    fn try_map<T, F>(self, f: F) -> TryMap<Self, F>
    where
        Self: Sized,
        F: Fn(Self::Item) -> Result<T> + Send + Sync,
    {
        TryMap { data: self, f }
    }

    /// Every item changed at random by `f`, in another way each time an epoch shows it: crops, flips, noise. The generator
    /// that `f` gets depends on the seed, the epoch and the place in the epoch alone, so a loader that is gone on with draws
    /// the same.
    ///
    /// What comes out is no function of an index any more, so it is no data set: it has a loader alone. To change pictures and
    /// masks alike, [`zip`](Dataset::zip) them before.
    fn augment<T, F>(self, seed: Seed, f: F) -> Augmented<Self, F>
    where
        Self: Sized,
        F: Fn(Self::Item, &mut Rng) -> T + Send + Sync,
    {
        Augmented { data: self, seed, f }
    }

    /// The items at these indices, in this order. An index may stand there more than once.
    ///
    /// # Errors
    /// [`ErrorKind::Index`] for an index from `len` on.
    #[track_caller]
    fn subset(self, indices: impl Into<Vec<usize>>) -> Result<Subset<Self>>
    where
        Self: Sized,
    {
        let (len, indices) = (self.len(), indices.into());
        match indices.iter().find(|index| **index >= len) {
            Some(index) => Err(out_of_range(*index, len)),
            None => Ok(Subset { data: Arc::new(self), indices: indices.into() }),
        }
    }

    /// These items, then those of `next`.
    fn chain<D>(self, next: D) -> Chain<Self, D>
    where
        Self: Sized,
        D: Dataset<Item = Self::Item>,
    {
        Chain { first: self, second: next }
    }

    /// Pairs of an item of each.
    ///
    /// # Errors
    /// When they are not equally long.
    #[track_caller]
    fn zip<D>(self, other: D) -> Result<Zip<Self, D>>
    where
        Self: Sized,
        D: Dataset,
    {
        if self.len() != other.len() {
            let (lhs, rhs) = (vec![self.len()], vec![other.len()]);
            let problem = "are the lengths of data sets that are zipped, and have to be equal".into();
            return Err(error("zip", ErrorKind::Shapes { lhs, rhs, problem }));
        }
        Ok(Zip { a: self, b: other })
    }

    /// Two parts, `(the rest, the held out)`: a random `fraction` of the items is held out, to the nearest number of items.
    /// Every item is in exactly one part, and each part is in the order of the whole.
    ///
    /// # Errors
    /// A fraction outside 0 to 1.
    #[track_caller]
    fn hold_out(self, fraction: f64, seed: Seed) -> Result<(Subset<Self>, Subset<Self>)>
    where
        Self: Sized,
    {
        let held_out = split::random(self.len(), fraction, seed)?;
        Ok(split::parts(self, &held_out))
    }

    /// [`Dataset::hold_out`] of the same fraction of every class, where `key` tells an item's class. Asks for every item.
    ///
    /// # Errors
    /// A fraction outside 0 to 1; what goes wrong in asking for an item.
    #[track_caller]
    fn hold_out_of_each<K: Ord>(
        self,
        fraction: f64,
        seed: Seed,
        key: impl Fn(&Self::Item) -> K,
    ) -> Result<(Subset<Self>, Subset<Self>)>
    where
        Self: Sized,
    {
        let classes = split::classes(keys(&self, key)?);
        let held_out = split::stratified(&classes, fraction, seed)?;
        Ok(split::parts(self, &held_out))
    }

    /// [`Dataset::hold_out`] of whole groups, where `key` tells an item's group: pictures of one person or windows of one
    /// recording are never in both parts. Groups are held out in random order while they bring the held out part nearer to the
    /// fraction. Asks for every item.
    ///
    /// # Errors
    /// A fraction outside 0 to 1; what goes wrong in asking for an item.
    #[track_caller]
    fn hold_out_groups<K: Ord>(
        self,
        fraction: f64,
        seed: Seed,
        key: impl Fn(&Self::Item) -> K,
    ) -> Result<(Subset<Self>, Subset<Self>)>
    where
        Self: Sized,
    {
        let groups = split::classes(keys(&self, key)?);
        let held_out = split::grouped(&groups, fraction, seed)?;
        Ok(split::parts(self, &held_out))
    }

    /// Batches of `size` items in the sampler's order, put together by `collate`. What does not fill a batch at the end of an
    /// epoch is a smaller one, unless [`Loader::drop_tail`] or [`Loader::pad_tail`] says otherwise.
    ///
    /// Takes the data set, as batches are made on other threads: give it an `Arc` or a clone to keep it.
    ///
    /// # Errors
    /// A batch size of 0; no items; a sampler that does not fit the data set.
    #[track_caller]
    fn loader<C>(self, size: usize, sampler: impl Sampler + 'static, collate: C) -> Result<Loader<C::Batch>>
    where
        Self: Sized + 'static,
        C: Collate<Self::Item> + 'static,
        C::Batch: Send + 'static,
    {
        let items = self.len();
        let make = move |draw: &Draw<'_>| {
            let items: Result<Vec<_>> = draw.indices.iter().map(|index| self.item(*index)).collect();
            collate.collate(items?)
        };
        Loader::new(items, size, sampler, Arc::new(make))
    }
}

/// What `key` tells of every item.
#[track_caller]
fn keys<D: Dataset, K>(data: &D, key: impl Fn(&D::Item) -> K) -> Result<Vec<K>> {
    let mut keys = Vec::new();
    for index in 0..data.len() {
        keys.push(key(&data.item(index)?));
    }
    Ok(keys)
}

impl<T: Clone + Send + Sync> Dataset for [T] {
    type Item = T;

    fn len(&self) -> usize {
        <[T]>::len(self)
    }

    #[track_caller]
    fn item(&self, index: usize) -> Result<T> {
        match self.get(index) {
            Some(item) => Ok(item.clone()),
            None => Err(out_of_range(index, <[T]>::len(self))),
        }
    }
}

impl<T: Clone + Send + Sync> Dataset for Vec<T> {
    type Item = T;

    fn len(&self) -> usize {
        self.as_slice().len()
    }

    #[track_caller]
    fn item(&self, index: usize) -> Result<T> {
        self.as_slice().item(index)
    }
}

macro_rules! pointers {
    ($($pointer:ty),*) => {$(
        impl<D: Dataset + ?Sized> Dataset for $pointer {
            type Item = D::Item;

            fn len(&self) -> usize {
                (**self).len()
            }

            #[track_caller]
            fn item(&self, index: usize) -> Result<D::Item> {
                (**self).item(index)
            }
        }
    )*};
}

pointers!(&D, Arc<D>, Box<D>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_slices_and_pointers_are_data_sets() {
        let all: [Box<dyn Dataset<Item = u8>>; 4] =
            [Box::new(vec![1, 2]), Box::new(Arc::<[u8]>::from([1, 2])), Box::new(Arc::new(vec![1, 2])), {
                const SLICE: &[u8] = &[1, 2];
                Box::new(SLICE)
            }];
        for data in all {
            assert_eq!((data.len(), data.is_empty(), data.item(1)), (2, false, Ok(2)));
            let error = data.item(2).unwrap_err();
            assert!(
                error.to_string().starts_with("dataset: index 2 is out of range for axis 0 of extent 2"),
                "{error}"
            );
            assert!(data.item(usize::MAX).is_err());
        }
    }

    /// What vectors could do before, they still can.
    #[test]
    fn the_trait_in_scope_changes_no_call_on_vectors() {
        let words = Vec::from([vec![1, 2], vec![3]]);
        assert_eq!(words.get(1), Some(&vec![3]));
        assert_eq!(words.concat(), [1, 2, 3]);
        assert_eq!(words.split(|w| w.len() == 1).count(), 2);
        assert_eq!([1, 2].map(|x| x + 1), [2, 3]);
    }

    #[test]
    fn errors_are_at_the_callers_place() {
        let error = vec![0u8].item(1).unwrap_err();
        assert_eq!((error.location().file(), error.location().line()), (file!(), line!() - 1));
    }
}
