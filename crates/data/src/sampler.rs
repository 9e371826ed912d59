//! The order in which a data set is seen.

use thalweg_graph::{Error, ErrorKind, Result, Rng};

use crate::{
    permutation::{Seed, mix, permutation},
    place::{error, invalid},
};

/// Which items an epoch shows, in which order: a function of the epoch alone.
///
/// So an epoch can be begun in its middle, and the same seed shows the same data on every machine. What is random comes from a
/// [`Seed`]. A closure `Fn(items, epoch) -> Result<Vec<usize>>` is a sampler that shows as many items as there are. To see a
/// part of a data set, take a [`subset`](crate::Dataset::subset).
pub trait Sampler: Send + Sync {
    /// How many items an epoch shows of a data set of `items`: the same in every epoch.
    ///
    /// # Errors
    /// When the sampler is one for other data sets.
    #[track_caller]
    fn draws(&self, items: usize) -> Result<usize> {
        Ok(items)
    }

    /// The indices that this epoch shows, as many as [`Sampler::draws`] says.
    ///
    /// # Errors
    /// When there is no memory for them.
    #[track_caller]
    fn order(&self, items: usize, epoch: u32) -> Result<Vec<usize>>;

    /// A number that tells this sampler's orders from those of others, for [`Position`](crate::Position): its seed.
    fn key(&self) -> u64 {
        0
    }
}

impl<F: Fn(usize, u32) -> Result<Vec<usize>> + Send + Sync> Sampler for F {
    #[track_caller]
    fn order(&self, items: usize, epoch: u32) -> Result<Vec<usize>> {
        self(items, epoch)
    }
}

/// From the first item to the last, in every epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InOrder;

impl Sampler for InOrder {
    #[track_caller]
    fn order(&self, items: usize, _epoch: u32) -> Result<Vec<usize>> {
        Ok((0..items).collect())
    }
}

/// Every item once, in the order of [`permutation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shuffled(pub Seed);

impl Sampler for Shuffled {
    #[track_caller]
    fn order(&self, items: usize, epoch: u32) -> Result<Vec<usize>> {
        Ok(permutation(items, self.0, epoch))
    }

    fn key(&self) -> u64 {
        self.0.0
    }
}

/// Draws with replacement: each draw of an epoch is item `i` with probability `wᵢ / Σ w`.
///
/// ```
/// use thalweg_data::{Dataset, Seed, Stack, Weighted};
///
/// let labels = [0i32, 0, 0, 0, 0, 0, 0, 0, 0, 1];
/// let balanced = Weighted::balanced(&labels, Seed(1))?.draws(1000);
/// let loader = labels.to_vec().loader(1000, balanced, Stack)?;
/// let drawn = loader.next_batch()?;
/// let ones: i32 = drawn.values.iter().sum();
/// assert!((450..550).contains(&ones));
/// # Ok::<(), thalweg_graph::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Weighted {
    /// Running sums of the weights.
    sums: Vec<f64>,
    seed: Seed,
    draws: usize,
}

impl Weighted {
    /// Draws by these weights, one for each item: as many an epoch as there are items, unless [`Weighted::draws`] says
    /// otherwise.
    ///
    /// # Errors
    /// A weight that is negative or not finite; no weight above 0.
    #[track_caller]
    pub fn new(weights: &[f64], seed: Seed) -> Result<Weighted> {
        if let Some((i, w)) = weights.iter().enumerate().find(|(_, w)| !(w.is_finite() && **w >= 0.0)) {
            return Err(invalid("weighted", format!("weight {i} is {w}; weights are finite and not negative")));
        }
        let mut sum = 0.0;
        let sums: Vec<f64> = weights.iter().map(|w| (sum += w, sum).1).collect();
        if !(sum > 0.0 && sum.is_finite()) {
            return Err(invalid("weighted", format!("the {} weights come to {sum}", weights.len())));
        }
        Ok(Weighted { sums, seed, draws: weights.len() })
    }

    /// Draws every class equally often, where `classes` has the class of each item: `wᵢ = 1 / (items of its class)`.
    ///
    /// # Errors
    /// No items.
    #[track_caller]
    pub fn balanced<K: Ord>(classes: &[K], seed: Seed) -> Result<Weighted> {
        let mut sizes = std::collections::BTreeMap::new();
        classes.iter().for_each(|class| *sizes.entry(class).or_insert(0.0) += 1.0);
        let weights: Vec<f64> = classes.iter().map(|class| 1.0 / sizes[class]).collect();
        Weighted::new(&weights, seed)
    }

    /// So many draws an epoch.
    pub fn draws(self, draws: usize) -> Weighted {
        Weighted { draws, ..self }
    }

    /// The item that `u` in `[0, 1)` falls to: the first whose running sum is above `u · Σ w`. An item of weight 0 has the
    /// sum of the one before, and so is none.
    fn at(&self, u: f64) -> usize {
        let total = self.sums[self.sums.len() - 1];
        // Were the product rounded up to the total, it would be beyond all sums.
        let at = (u * total).min(total.next_down());
        self.sums.partition_point(|sum| *sum <= at)
    }
}

/// Uniform in `[0, 1)`, 53 bits: enough to tell any number of items apart.
fn uniform(rng: &mut Rng) -> f64 {
    let [high, low] = [rng.next_u32(), rng.next_u32()].map(u64::from);
    (high << 21 | low >> 11) as f64 / (1u64 << 53) as f64
}

impl Sampler for Weighted {
    #[track_caller]
    fn draws(&self, items: usize) -> Result<usize> {
        match items == self.sums.len() {
            true => Ok(self.draws),
            false => Err(invalid("weighted", format!("{} weights given for {items} items", self.sums.len()))),
        }
    }

    #[track_caller]
    fn order(&self, _items: usize, epoch: u32) -> Result<Vec<usize>> {
        let rng = &mut self.seed.epoch(epoch, b"draw");
        let mut order = reserved(self.draws)?;
        order.extend((0..self.draws).map(|_| self.at(uniform(rng))));
        Ok(order)
    }

    /// The seed, mixed with the bits of the weights.
    fn key(&self) -> u64 {
        self.sums.iter().fold(self.seed.0, |key, sum| mix(key, sum.to_bits()))
    }
}

/// Items of like lengths together: every batch is of neighbours in the order of their lengths, and batches come in random
/// order. For [`Pad`](crate::Pad), which then has little to fill.
///
/// ```
/// use thalweg_data::{ByLength, Dataset, Pad, Seed};
///
/// let words: Vec<Vec<i32>> = vec![vec![1; 9], vec![2], vec![3; 8], vec![4], vec![5; 2], vec![6; 7]];
/// let sampler = ByLength::new(words.iter().map(Vec::len), 2, Seed(1))?;
/// let mut shapes = Vec::new();
/// for batch in words.loader(2, sampler, Pad::with(0))?.epoch(0) {
///     shapes.push(batch?.values.shape);
/// }
/// shapes.sort();
/// assert_eq!(shapes, [[2, 1], [2, 7], [2, 9]]);
/// # Ok::<(), thalweg_graph::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ByLength {
    lengths: Vec<usize>,
    batch: usize,
    seed: Seed,
}

impl ByLength {
    /// For batches of `batch` items of these lengths. Which of the items of one length share a batch differs from epoch to
    /// epoch.
    ///
    /// # Errors
    /// A batch size of 0.
    #[track_caller]
    pub fn new(lengths: impl IntoIterator<Item = usize>, batch: usize, seed: Seed) -> Result<ByLength> {
        match batch {
            0 => Err(invalid("by_length", "a batch needs at least one item; the batch size given is 0".into())),
            _ => Ok(ByLength { lengths: lengths.into_iter().collect(), batch, seed }),
        }
    }
}

impl Sampler for ByLength {
    #[track_caller]
    fn draws(&self, items: usize) -> Result<usize> {
        match items == self.lengths.len() {
            true => Ok(items),
            false => Err(invalid("by_length", format!("{} lengths given for {items} items", self.lengths.len()))),
        }
    }

    #[track_caller]
    fn order(&self, items: usize, epoch: u32) -> Result<Vec<usize>> {
        let rng = &mut self.seed.epoch(epoch, b"leng");
        let mut order = rng.permutation(items);
        // What fills no batch is of any lengths: were it the longest, a loader that drops it would never show them.
        let full = items / self.batch;
        let tail = order.split_off(full * self.batch);
        order.sort_by_key(|i| self.lengths[*i]);
        let batches = rng.permutation(full);
        let mut order: Vec<usize> =
            batches.iter().flat_map(|b| &order[b * self.batch..(b + 1) * self.batch]).copied().collect();
        order.extend(tail);
        Ok(order)
    }

    fn key(&self) -> u64 {
        self.lengths.iter().fold(self.seed.0, |key, len| mix(key, *len as u64))
    }
}

/// An empty vector with room for so many.
#[track_caller]
pub(crate) fn reserved<T>(count: usize) -> Result<Vec<T>> {
    let mut vec = Vec::new();
    match vec.try_reserve_exact(count) {
        Ok(()) => Ok(vec),
        Err(_) => Err(no_memory(count)),
    }
}

#[track_caller]
fn no_memory(count: usize) -> Error {
    error("loader", ErrorKind::Memory(format!("there is no memory on the host for {count} elements")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 0, 1, below, at and above a batch, a prime.
    const SIZES: [usize; 7] = [0, 1, 2, 4, 5, 97, 1000];

    #[test]
    fn show_every_item_once() {
        for n in SIZES {
            let lengths = || (0..n).map(|i| i * 7 % 13);
            let samplers: [Box<dyn Sampler>; 3] = [
                Box::new(InOrder),
                Box::new(Shuffled(Seed(n as u64))),
                Box::new(ByLength::new(lengths(), 4, Seed(1)).unwrap()),
            ];
            for sampler in samplers {
                assert_eq!(sampler.draws(n), Ok(n));
                for epoch in [0, 1, u32::MAX] {
                    let mut order = sampler.order(n, epoch).unwrap();
                    assert_eq!(order, sampler.order(n, epoch).unwrap());
                    order.sort_unstable();
                    assert_eq!(order, (0..n).collect::<Vec<_>>());
                }
            }
        }
    }

    #[test]
    fn random_orders_depend_on_seed_and_epoch() {
        let weights = [1.0; 100];
        let of = |seed| -> [Box<dyn Sampler>; 3] {
            [
                Box::new(Shuffled(seed)),
                Box::new(Weighted::new(&weights, seed).unwrap()),
                Box::new(ByLength::new(0..100, 10, seed).unwrap()),
            ]
        };
        for (a, b) in of(Seed(1)).iter().zip(&of(Seed(2))) {
            assert_eq!(a.order(100, 0), a.order(100, 0));
            assert_ne!(a.order(100, 0), a.order(100, 1));
            assert_ne!(a.order(100, 0), b.order(100, 0));
            assert_ne!(a.key(), b.key());
        }
        assert_ne!(
            Weighted::new(&[1.0, 2.0], Seed(1)).unwrap().key(),
            Weighted::new(&[2.0, 1.0], Seed(1)).unwrap().key()
        );
    }

    /// Counts are within four standard deviations, `√(n p (1 - p))`, of what the weights say.
    #[test]
    fn weights_are_frequencies() {
        for weights in [vec![1.0], vec![0.0, 1.0, 0.0, 3.0, 0.0], (0..97).map(f64::from).collect(), vec![1e-300; 3]] {
            let draws = 100_000;
            let sampler = Weighted::new(&weights, Seed(5)).unwrap().draws(draws);
            let mut counts = vec![0; weights.len()];
            sampler.order(weights.len(), 2).unwrap().into_iter().for_each(|i| counts[i] += 1);
            let total: f64 = weights.iter().sum();
            for (count, w) in counts.into_iter().zip(weights) {
                let p = w / total;
                let deviation = (draws as f64 * p * (1.0 - p)).sqrt();
                assert!((f64::from(count) - draws as f64 * p).abs() <= 4.0 * deviation, "{count} of weight {w}");
            }
        }
    }

    /// Even the largest `u` falls to an item that has a weight.
    #[test]
    fn ends_of_the_interval_are_items() {
        for weights in [vec![0.0, 0.1, 0.0], vec![0.0, 0.1, 0.2, 0.3, 0.0], vec![0.0, f64::MIN_POSITIVE, 0.0]] {
            let sampler = Weighted::new(&weights, Seed(0)).unwrap();
            for u in [0.0, 0.5, 1.0f64.next_down()] {
                assert!(weights[sampler.at(u)] > 0.0);
            }
        }
    }

    #[test]
    fn batches_are_of_like_lengths() {
        let lengths: Vec<usize> = (0..1000).map(|i| i * 389 % 1000).collect();
        let order = ByLength::new(lengths.clone(), 10, Seed(3)).unwrap().order(1000, 4).unwrap();
        for batch in order.chunks(10) {
            let all: Vec<usize> = batch.iter().map(|i| lengths[*i]).collect();
            assert_eq!(all.iter().max().unwrap() - all.iter().min().unwrap(), 9);
        }
        assert!(!order.chunks(10).map(|batch| lengths[batch[0]]).is_sorted());
    }

    #[test]
    fn what_means_nothing_is_an_error() {
        let message = |weights: &[f64]| Weighted::new(weights, Seed(0)).unwrap_err().to_string();
        assert!(message(&[]).starts_with("weighted: the 0 weights come to 0"));
        assert!(message(&[0.0]).starts_with("weighted: the 1 weights come to 0"));
        assert!(message(&[1.0, -1.0]).starts_with("weighted: weight 1 is -1; weights are finite and not negative"));
        assert!(message(&[f64::NAN]).starts_with("weighted: weight 0 is NaN"));
        assert!(message(&[f64::MAX, f64::MAX]).starts_with("weighted: the 2 weights come to inf"));
        let error = Weighted::new(&[1.0], Seed(0)).unwrap().draws(usize::MAX).order(1, 0).unwrap_err().to_string();
        assert!(error.starts_with("loader: there is no memory on the host for 18446744073709551615"), "{error}");
        let error = ByLength::new([1], 0, Seed(0)).unwrap_err().to_string();
        assert!(error.starts_with("by_length: a batch needs at least one item"), "{error}");
        assert!(ByLength::new([1], 1, Seed(0)).unwrap().draws(2).is_err());
    }
}
