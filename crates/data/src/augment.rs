//! Random changes to the items that an epoch shows.

use std::sync::Arc;

use thalweg_graph::{Result, Rng};

use crate::{
    adapters::Augmented, collate::Collate, dataset::Dataset, loader::Loader, prefetch::Draw, sampler::Sampler,
};

impl<D, T, F> Augmented<D, F>
where
    D: Dataset + 'static,
    F: Fn(D::Item, &mut Rng) -> T + Send + Sync + 'static,
{
    /// [`Dataset::loader`] of the changed items.
    ///
    /// # Errors
    /// As [`Dataset::loader`].
    #[track_caller]
    pub fn loader<C>(self, size: usize, sampler: impl Sampler + 'static, collate: C) -> Result<Loader<C::Batch>>
    where
        C: Collate<T> + 'static,
        C::Batch: Send + 'static,
    {
        let Augmented { data, seed, f } = self;
        let items = data.len();
        let make = move |draw: &Draw<'_>| {
            let item = |(i, index): (usize, &usize)| {
                let rng = &mut seed.place(draw.epoch, draw.before + i, b"augm");
                Ok(f(data.item(*index)?, rng))
            };
            let items: Result<Vec<T>> = draw.indices.iter().enumerate().map(item).collect();
            collate.collate(items?)
        };
        Ok(Loader::new(items, size, sampler, Arc::new(make))?.seeded(seed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{InOrder, Seed, Shuffled, Stack, Weighted};

    /// The words that the changes are made of.
    fn draws(loader: Loader<crate::Host<u32>>, epoch: u32) -> Vec<u32> {
        loader.epoch(epoch).flat_map(|batch| batch.unwrap().values).collect()
    }

    #[test]
    fn every_place_of_every_epoch_has_draws_of_its_own() {
        let make = |seed, sampler| vec![7u8; 50].augment(Seed(seed), |_, rng| rng.next_u32()).loader(8, sampler, Stack);
        let mut all: Vec<u32> = (0..3).flat_map(|epoch| draws(make(1, Shuffled(Seed(2))).unwrap(), epoch)).collect();
        all.extend(draws(make(2, Shuffled(Seed(2))).unwrap(), 0));
        // An item that is drawn twice is changed in two ways.
        let twice = Weighted::new(&[1.0], Seed(0)).unwrap().draws(50);
        let one = vec![7u8].augment(Seed(3), |_, rng| rng.next_u32()).loader(8, twice, Stack);
        all.extend(draws(one.unwrap(), 0));
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!((all.len(), count), (250, 250));
    }

    #[test]
    fn draws_depend_on_neither_threads_nor_batches_nor_where_it_was_begun() {
        let make = |size| vec![7u8; 50].augment(Seed(1), |_, rng| rng.next_u32()).loader(size, InOrder, Stack).unwrap();
        let all = draws(make(50), 1);
        for size in [1, 7, 8] {
            for workers in [0, 1, 3] {
                assert_eq!(draws(make(size).workers(workers), 1), all);
            }
            let skipped = make(size).epoch(1).skip(3).flat_map(|batch| batch.unwrap().values).collect::<Vec<u32>>();
            assert_eq!(skipped, all[3 * size..]);
        }
        let padded = make(8).pad_tail().epoch(1).flat_map(|each| each.unwrap().batch.values).collect::<Vec<u32>>();
        assert_eq!(padded[..50], all);
    }

    #[test]
    fn a_position_knows_the_seed_of_the_changes() {
        let make = |seed| vec![0u32; 9].augment(Seed(seed), |x, _| x).loader(2, InOrder, Stack).unwrap();
        assert!(make(1).seek(make(1).position()).is_ok());
        assert!(make(1).seek(make(2).position()).is_err());
    }
}
