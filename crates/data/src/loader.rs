//! Batches of any data set.

use std::{
    panic::Location,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use thalweg_graph::{
    Result,
    module::snapshot::{Loading, Snapshot, Stateful, Value},
};

use crate::{
    collate::{Weighed, weights},
    permutation::{Seed, mix},
    place::invalid,
    position::{At, Position},
    prefetch::{Draw, Make, Recipe, Stream},
    sampler::Sampler,
    tail::Tail,
};

/// Batches `B` of a data set, epoch after epoch, prepared on another thread: made by
/// [`Dataset::loader`](crate::Dataset::loader).
///
/// Which items batch `i` of an epoch has, is a function of the sampler, the epoch and `i`. There are two ways to go through
/// them. [`Loader::epoch`] gives the batches of one epoch, and changes nothing. The loader itself also stands somewhere:
/// [`Loader::next_batch`] and `for batch in &loader` take the next batch from where it stands, and its [`Loader::position`] is
/// plain numbers to keep with a checkpoint. A loader that [`seek`](Loader::seek)s such a position goes on with the same
/// batches as one that was never interrupted, also in the middle of an epoch.
///
/// ```
/// use thalweg_data::{Dataset, Loader, Seed, Shuffled, Stack};
///
/// let numbers: Vec<i32> = (0..10).collect();
/// let loader = || numbers.clone().loader(4, Shuffled(Seed(1)), Stack);
///
/// let first = loader()?;
/// let before = first.next_batch()?;
/// let saved = first.position().to_words();
/// # use thalweg_data::Position;
///
/// let resumed = loader()?;
/// resumed.seek(Position::from_words(saved)?)?;
/// while resumed.position().epoch < 2 {
///     for batch in &resumed { // what is left of the epoch
///         assert_eq!(batch?, first.next_batch()?);
///     }
/// }
/// # Ok::<(), thalweg_graph::Error>(())
/// ```
///
/// Its errors are at the place where it was made. What panics in a data set, a sampler or a collator, panics where the batch
/// is asked for.
pub struct Loader<B> {
    recipe: Recipe<B>,
    workers: usize,
    cursor: Mutex<Cursor<B>>,
}

/// Where a loader stands, and the batches from there on once one was asked for.
struct Cursor<B> {
    at: At,
    stream: Option<Stream<B>>,
}

impl<B: Send + 'static> Loader<B> {
    #[track_caller]
    pub(crate) fn new(
        items: usize,
        size: usize,
        sampler: impl Sampler + 'static,
        make: Arc<Make<B>>,
    ) -> Result<Loader<B>> {
        let draws = sampler.draws(items)?;
        if size == 0 {
            return Err(invalid("loader", "a batch needs at least one item; the batch size given is 0".into()));
        }
        if items == 0 || draws == 0 {
            return Err(invalid("loader", format!("an epoch of {draws} of {items} items has no batches")));
        }
        let (key, sampler, order) = (sampler.key(), Arc::new(sampler), Arc::default());
        let recipe =
            Recipe { make, sampler, key, items, draws, size, tail: Tail::Keep, place: Location::caller(), order };
        Ok(Loader::of(recipe, 1))
    }

    /// Stands at the beginning.
    fn of(recipe: Recipe<B>, workers: usize) -> Loader<B> {
        Loader { recipe, workers, cursor: Mutex::new(Cursor { at: At { epoch: 0, batch: 0 }, stream: None }) }
    }

    /// A loader whose positions are told apart by this seed as well.
    pub(crate) fn seeded(self, Seed(seed): Seed) -> Loader<B> {
        let key = mix(self.recipe.key, seed);
        Loader::of(Recipe { key, ..self.recipe }, self.workers)
    }

    /// Leaves out what does not fill a batch at the end of an epoch: all batches have one size.
    ///
    /// # Errors
    /// When there is no full batch.
    #[track_caller]
    pub fn drop_tail(self) -> Result<Loader<B>> {
        self.tail(Tail::Drop)
    }

    #[track_caller]
    pub(crate) fn tail(self, tail: Tail) -> Result<Loader<B>> {
        let (draws, size) = (self.recipe.draws, self.recipe.size);
        if tail == Tail::Drop && draws < size {
            let problem = format!(
                "an epoch of {draws} items has no full batch of {size}; take smaller batches, or keep the tail"
            );
            return Err(invalid("loader", problem));
        }
        Ok(Loader::of(Recipe { tail, ..self.recipe }, self.workers))
    }

    /// Fills the last batch of an epoch up with copies of its first item that weigh nothing: all batches have one size, and so
    /// one plan, and a weighted sum over them is one over the items. For evaluation:
    ///
    /// ```
    /// use thalweg_data::{Dataset, InOrder, Stack};
    ///
    /// let (mut sum, mut weight) = (0.0, 0.0);
    /// for each in vec![1.0f32, 2.0, 3.0].loader(2, InOrder, Stack)?.pad_tail().epoch(0) {
    ///     let each = each?;
    ///     assert_eq!(each.batch.shape, [2]);
    ///     sum += each.batch.values.iter().zip(&each.weights.values).map(|(x, w)| x * w).sum::<f32>();
    ///     weight += each.weights.values.iter().sum::<f32>();
    /// }
    /// assert_eq!(sum / weight, 2.0);
    /// # Ok::<(), thalweg_graph::Error>(())
    /// ```
    pub fn pad_tail(self) -> Loader<Weighed<B>> {
        let Recipe { make, sampler, key, items, draws, size, place, order, .. } = self.recipe;
        let make = move |draw: &Draw<'_>| {
            let weights = weights(draw.len, draw.indices.len());
            Ok(Weighed { batch: make(draw)?, weights, len: draw.len })
        };
        let (make, tail) = (Arc::new(make), Tail::Pad);
        Loader::of(Recipe { make, sampler, key, items, draws, size, tail, place, order }, self.workers)
    }

    /// Prepares batches on so many threads, 1 unless this says otherwise; the batches are the same. With 0 they are made when
    /// they are asked for, by whoever asks. At most 256.
    pub fn workers(self, workers: usize) -> Loader<B> {
        let at = self.cursor().at;
        Loader { recipe: self.recipe, workers, cursor: Mutex::new(Cursor { at, stream: None }) }
    }

    /// The number of batches in an epoch.
    pub fn len(&self) -> usize {
        self.recipe.batches()
    }

    /// Never: a loader without batches is an error where it is made.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The batches of an epoch: always all of them, wherever the loader stands, which stays there. To begin in the middle,
    /// [`skip`](Iterator::skip) some; they are not made.
    pub fn epoch(&self, epoch: u32) -> Epoch<B> {
        self.from(At { epoch, batch: 0 })
    }

    /// From a batch to the end of its epoch.
    fn from(&self, at: At) -> Epoch<B> {
        Epoch { recipe: self.recipe.clone(), workers: self.workers, at, left: self.len() - at.batch, stream: None }
    }

    /// The next batch, of the next epoch behind the last one of an epoch. The loader then stands behind it, also where it is
    /// an error.
    ///
    /// # Errors
    /// What went wrong in the data set, the sampler or the collator.
    pub fn next_batch(&self) -> Result<B> {
        self.take(&mut self.cursor())
    }

    /// Where the loader stands.
    pub fn position(&self) -> Position {
        let At { epoch, batch } = self.cursor().at;
        let Recipe { items, size, key, .. } = self.recipe;
        Position { epoch, batch, batches: self.len(), items, size, key }
    }

    /// Goes to a position of this loader, or of one that was made the same.
    ///
    /// # Errors
    /// When it is one in other data, in batches of another size, or with another seed; a batch that an epoch does not have.
    #[track_caller]
    pub fn seek(&self, position: Position) -> Result<()> {
        self.position().check(position)?;
        *self.cursor() = Cursor { at: At { epoch: position.epoch, batch: position.batch }, stream: None };
        Ok(())
    }

    fn cursor(&self) -> MutexGuard<'_, Cursor<B>> {
        // A panic of the user's goes through here with the cursor already moved on: it is as good as before.
        self.cursor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, cursor: &mut Cursor<B>) -> Result<B> {
        let at = cursor.at;
        cursor.at = at.plus(1, self.len());
        // Out of its place while it works: where that panics, the next batch begins another.
        let start = || Stream::start(&self.recipe, at, None, self.workers);
        let mut stream = cursor.stream.take().unwrap_or_else(start);
        let batch = stream.next();
        cursor.stream = Some(stream);
        batch
    }
}

/// The entry of a position in a snapshot.
const POSITION: &str = "#position";

/// Where it stands.
impl<B: Send + 'static> Stateful for Loader<B> {
    fn save(&self, to: &mut Snapshot) -> Result<()> {
        to.insert(POSITION, Value::Words(self.position().to_words().to_vec()));
        Ok(())
    }

    fn prepare<'a>(&'a self, from: &Snapshot) -> Result<Loading<'a>> {
        let position = Position::from_words(from.words(POSITION)?)?;
        self.position().check(position)?;
        let mut loading = Loading::new();
        loading.then(move || self.seek(position));
        Ok(loading)
    }
}

impl<B> std::fmt::Debug for Loader<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Recipe { items, draws, size, tail, .. } = self.recipe;
        let mut text = f.debug_struct("Loader");
        text.field("items", &items).field("draws", &draws).field("size", &size).field("tail", &tail);
        text.field("workers", &self.workers).finish_non_exhaustive()
    }
}

/// What is left of the epoch it stands in.
impl<B: Send + 'static> IntoIterator for Loader<B> {
    type Item = Result<B>;
    type IntoIter = Epoch<B>;

    fn into_iter(self) -> Epoch<B> {
        let at = self.cursor().at;
        self.from(at)
    }
}

/// What is left of the epoch it stands in. The loader moves on with every batch.
impl<'a, B: Send + 'static> IntoIterator for &'a Loader<B> {
    type Item = Result<B>;
    type IntoIter = Rest<'a, B>;

    fn into_iter(self) -> Rest<'a, B> {
        Rest { epoch: self.cursor().at.epoch, loader: self }
    }
}

/// The batches of one epoch, in order.
pub struct Epoch<B> {
    recipe: Recipe<B>,
    workers: usize,
    at: At,
    left: usize,
    /// Begun with the first batch, so that skipping some before makes none.
    stream: Option<Stream<B>>,
}

impl<B: Send + 'static> Iterator for Epoch<B> {
    type Item = Result<B>;

    fn next(&mut self) -> Option<Result<B>> {
        let (at, left) = (self.at, self.left);
        self.left = left.checked_sub(1)?;
        self.at = at.plus(1, self.recipe.batches());
        let start = || Stream::start(&self.recipe, at, Some(left), self.workers);
        let mut stream = self.stream.take().unwrap_or_else(start);
        let batch = stream.next();
        self.stream = Some(stream);
        Some(batch)
    }

    fn nth(&mut self, n: usize) -> Option<Result<B>> {
        let n = n.min(self.left);
        match self.stream {
            None => (self.at, self.left) = (self.at.plus(n, self.recipe.batches()), self.left - n),
            Some(_) => (0..n).for_each(|_| drop(self.next())),
        }
        self.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<B: Send + 'static> ExactSizeIterator for Epoch<B> {}

/// What is left of the epoch that a loader stands in: `for batch in &loader`.
pub struct Rest<'a, B> {
    loader: &'a Loader<B>,
    epoch: u32,
}

impl<B: Send + 'static> Iterator for Rest<'_, B> {
    type Item = Result<B>;

    fn next(&mut self) -> Option<Result<B>> {
        let mut cursor = self.loader.cursor();
        match cursor.at.epoch == self.epoch {
            true => Some(self.loader.take(&mut cursor)),
            false => None,
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let at = self.loader.cursor().at;
        let left = if at.epoch == self.epoch { self.loader.len() - at.batch } else { 0 };
        (left, Some(left))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        panic::{AssertUnwindSafe, catch_unwind},
        sync::atomic::{AtomicUsize, Ordering},
    };

    use thalweg_graph::Error;

    use super::*;
    use crate::{ByLength, Dataset, InOrder, Shuffled, Stack, Weighted};

    /// 1, a prime, and around a batch of 5.
    const SIZES: [usize; 7] = [1, 2, 4, 5, 6, 10, 97];

    fn numbers(n: usize) -> Vec<i32> {
        (0..n as i32).collect()
    }

    fn values(batches: impl IntoIterator<Item = Result<crate::Host<i32>>>) -> Vec<Vec<i32>> {
        batches.into_iter().map(|batch| batch.unwrap().values).collect()
    }

    #[test]
    fn every_item_is_shown_once() {
        for n in SIZES {
            for workers in [0, 1, 2, 3, 100] {
                let loader = numbers(n).loader(5, Shuffled(Seed(1)), Stack).unwrap().workers(workers);
                let batches = values(loader.epoch(3));
                assert_eq!((batches.len(), loader.len()), (n.div_ceil(5), n.div_ceil(5)));
                assert!(batches.iter().rev().skip(1).all(|batch| batch.len() == 5));
                let order: Vec<i32> = crate::permutation(n, Seed(1), 3).into_iter().map(|i| i as i32).collect();
                assert_eq!(batches.concat(), order, "{n} items, {workers} workers");
            }
        }
    }

    #[test]
    fn the_tail_is_kept_dropped_or_padded() {
        for n in SIZES {
            let loader = || numbers(n).loader(5, InOrder, Stack).unwrap();
            assert_eq!(values(loader().epoch(0)).concat(), numbers(n));
            match loader().drop_tail() {
                Ok(dropped) => assert_eq!(values(dropped.epoch(0)).concat(), numbers(n / 5 * 5)),
                Err(error) => {
                    assert!(n < 5);
                    let text = format!("loader: an epoch of {n} items has no full batch of 5; take smaller");
                    assert!(error.to_string().starts_with(&text), "{error}");
                }
            }
            let mut seen = Vec::<i32>::new();
            for each in loader().pad_tail().epoch(0) {
                let Weighed { batch, weights, len } = each.unwrap();
                assert_eq!((batch.shape, weights.shape), (vec![5], vec![5]));
                for (i, (value, weight)) in batch.values.iter().zip(weights.values).enumerate() {
                    assert_eq!(weight, if i < len { 1.0 } else { 0.0 });
                    assert!(i < len || *value == batch.values[0]);
                }
                seen.extend(&batch.values[..len]);
            }
            assert_eq!(seen, numbers(n));
        }
    }

    /// Stops behind every batch of three epochs, and goes on in another loader.
    #[test]
    fn a_resumed_loader_gives_what_an_uninterrupted_one_does() {
        let weights: Vec<f64> = (0..97).map(f64::from).collect();
        type Make = Box<dyn Fn() -> Loader<crate::Host<i32>>>;
        let loaders: [Make; 5] = [
            Box::new(|| numbers(97).loader(10, Shuffled(Seed(1)), Stack).unwrap()),
            Box::new(|| numbers(97).loader(10, Shuffled(Seed(1)), Stack).unwrap().drop_tail().unwrap().workers(3)),
            Box::new(move || numbers(97).loader(10, Weighted::new(&weights, Seed(2)).unwrap(), Stack).unwrap()),
            Box::new(|| numbers(97).loader(10, ByLength::new(0..97, 10, Seed(3)).unwrap(), Stack).unwrap().workers(0)),
            Box::new(|| numbers(1).loader(10, Shuffled(Seed(1)), Stack).unwrap()),
        ];
        for make in loaders {
            let whole = make();
            let batches = whole.len();
            let all: Vec<Vec<i32>> = (0..3 * batches).map(|_| whole.next_batch().unwrap().values).collect();
            assert_eq!(all, (0..3).flat_map(|epoch| values(make().epoch(epoch))).collect::<Vec<_>>());
            for stop in 0..3 * batches {
                let first = make();
                (0..stop).for_each(|_| drop(first.next_batch().unwrap()));
                let saved = first.position();
                assert_eq!((saved.epoch as usize, saved.batch), (stop / batches, stop % batches));
                let second = make();
                second.seek(Position::from_words(saved.to_words()).unwrap()).unwrap();
                let mut rest = Vec::new();
                while second.position().epoch < 3 {
                    rest.extend(values(&second));
                }
                assert_eq!(rest, all[stop..]);
                let skipped = make().epoch(saved.epoch).skip(saved.batch);
                assert_eq!(values(skipped), all[stop..(stop / batches + 1) * batches]);
            }
        }
    }

    #[test]
    fn an_epoch_moves_no_loader_and_a_loader_moves_with_every_batch() {
        let loader = numbers(10).loader(4, Shuffled(Seed(1)), Stack).unwrap();
        assert_eq!(values(loader.epoch(5)).len(), 3);
        assert_eq!((loader.position().epoch, loader.position().batch), (0, 0));
        let mut rest = (&loader).into_iter();
        assert_eq!(rest.size_hint(), (3, Some(3)));
        assert!(rest.next().is_some());
        assert_eq!((loader.position().epoch, loader.position().batch), (0, 1));
        assert_eq!((values(&loader).len(), loader.position().epoch), (2, 1));
        assert_eq!((rest.size_hint(), rest.next()), ((0, Some(0)), None));
        loader.next_batch().unwrap();
        assert_eq!(values(loader).len(), 2);
    }

    #[test]
    fn positions_of_other_loaders_are_errors() {
        let make = |n, size, seed| numbers(n).loader(size, Shuffled(Seed(seed)), Stack).unwrap();
        let loader = make(10, 4, 1);
        let message = |other: Loader<_>| {
            let error = loader.seek(other.position()).unwrap_err();
            assert_eq!((error.location().file(), error.location().line()), (file!(), line!() - 1));
            error.to_string()
        };
        assert!(
            message(make(11, 4, 1))
                .starts_with("seek: the position is one of a loader with 11 items, and this one has 10")
        );
        assert!(message(make(10, 5, 1)).contains("with 5 items in a batch, and this one has 4"));
        assert!(message(make(10, 4, 2)).contains("with 2 as the key of its seeds, and this one has 1"));
        assert!(
            message(make(10, 4, 1).drop_tail().unwrap()).contains("with 2 batches in an epoch, and this one has 3")
        );
        let error = loader.seek(Position { batch: 3, ..loader.position() }).unwrap_err().to_string();
        assert!(error.starts_with("seek: index 3 is out of range for axis 0 of extent 3"), "{error}");
        let last = Position { epoch: u32::MAX, batch: 2, ..loader.position() };
        loader.seek(last).unwrap();
        assert_eq!((loader.next_batch().unwrap().shape, loader.position().epoch), (vec![2], 0));
    }

    #[test]
    fn skipped_batches_are_not_made() {
        let made = Arc::new(AtomicUsize::new(0));
        let count = made.clone();
        let data = numbers(100).map(move |x| (count.fetch_add(1, Ordering::Relaxed), x).1);
        let loader = data.loader(10, InOrder, Stack).unwrap().workers(0);
        assert_eq!(values(loader.epoch(0).skip(9)), [(90..100).collect::<Vec<_>>()]);
        assert_eq!(made.load(Ordering::Relaxed), 10);
        assert!(loader.epoch(0).nth(10).is_none());
        let mut begun = loader.epoch(0);
        begun.next();
        assert_eq!((begun.nth(1).unwrap().unwrap().values[0], begun.len()), (20, 7));
        assert!(begun.nth(usize::MAX).is_none());
    }

    #[test]
    fn leaving_early_is_fine() {
        let loader = numbers(1000).loader(1, InOrder, Stack).unwrap().workers(3);
        for _ in 0..20 {
            assert!(loader.epoch(0).next().is_some());
            loader.next_batch().unwrap();
            loader.seek(Position { epoch: 7, ..loader.position() }).unwrap();
        }
        let stood = loader.position();
        assert_eq!(stood, loader.workers(2).position());
    }

    #[test]
    fn bad_settings_are_errors_at_the_callers_place() {
        let errors = [
            (numbers(3).loader(0, InOrder, Stack).unwrap_err(), line!(), "a batch needs at least one item"),
            (numbers(0).loader(2, InOrder, Stack).unwrap_err(), line!(), "an epoch of 0 of 0 items has no batches"),
            (
                numbers(3).loader(2, Weighted::new(&[1.0], Seed(0)).unwrap(), Stack).unwrap_err(),
                line!() - 1,
                "1 weights given for 3 items",
            ),
            (
                numbers(3).loader(2, Weighted::new(&[1.0; 3], Seed(0)).unwrap().draws(0), Stack).unwrap_err(),
                line!() - 1,
                "an epoch of 0 of 3 items has no batches",
            ),
        ];
        for (error, line, text) in errors {
            assert_eq!((error.location().file(), error.location().line()), (file!(), line), "{error}");
            assert!(error.to_string().contains(text), "{error}");
        }
    }

    /// Errors that come up on the loader's thread are at the place where the loader was made, those of the user's where he
    /// made them, and the loader goes on behind them.
    #[test]
    fn errors_of_batches_have_places_and_pass() {
        let ragged = || vec![vec![0], vec![1], vec![2], vec![3, 4], vec![5], vec![6]];
        let loader = ragged().loader(2, |_, _| Ok(vec![5, 4, 2, 3, 1, 0]), Stack).unwrap();
        let line = line!() - 1;
        let batches: Vec<_> = loader.epoch(0).collect();
        let error = batches[1].clone().unwrap_err();
        let text = "stack: shapes [1] and [2] of item 0 (index 2 of the data set) and item 1 (index 3 of the data set) \
                    cannot be stacked";
        assert!(error.to_string().starts_with(text), "{error}");
        assert_eq!((error.location().file(), error.location().line()), (file!(), line));
        assert!(batches[0].is_ok() && batches[2].is_ok());
        assert!(loader.next_batch().is_ok() && loader.next_batch().is_err() && loader.next_batch().is_ok());

        let odd = numbers(4).try_map(|x| match x {
            3 => Err(Error::new("mine", thalweg_graph::ErrorKind::Invalid("3".into()))),
            x => Ok(x),
        });
        let line = line!() - 3;
        let error = odd.loader(4, InOrder, Stack).unwrap().next_batch().unwrap_err();
        assert_eq!((error.op(), error.location().line()), ("mine", line));
    }

    #[test]
    fn samplers_that_break_their_word_are_errors() {
        let message = |order: fn(u32) -> Vec<usize>| {
            let loader = numbers(3).loader(3, move |_, epoch| Ok(order(epoch)), Stack).unwrap();
            assert!(loader.next_batch().is_ok());
            let error = loader.next_batch().unwrap_err();
            assert_eq!(error.location().line(), line!() - 3);
            error.to_string()
        };
        let error = message(|epoch| vec![0, 1, 2 + epoch as usize]);
        assert!(error.starts_with("loader: the sampler shows index 3 of 3 items in epoch 1"), "{error}");
        let error = message(|epoch| vec![0; 3 - epoch as usize]);
        assert!(error.starts_with("loader: the sampler shows 2 items, and said it would show 3"), "{error}");
    }

    #[test]
    fn no_memory_for_padding_is_an_error() {
        let loader = numbers(3).loader(usize::MAX, InOrder, Stack).unwrap();
        assert_eq!(loader.next_batch().unwrap().shape, [3]);
        let error = loader.pad_tail().next_batch().unwrap_err();
        assert!(error.to_string().starts_with("loader: there is no memory on the host"), "{error}");
        assert_eq!(error.location().line(), line!() - 4);
    }

    /// A panic of a data set is one of whoever asks for the batch, and harms no other batch.
    #[test]
    fn panics_arrive_where_the_batch_is_asked_for() {
        for workers in [0, 1, 3] {
            let data = numbers(6).map(|x| if x == 2 { panic!("two") } else { x });
            let loader = data.loader(1, InOrder, Stack).unwrap().workers(workers);
            let mut epoch = loader.epoch(0);
            for i in 0..6 {
                let next = catch_unwind(AssertUnwindSafe(|| epoch.next()));
                let taken = catch_unwind(AssertUnwindSafe(|| loader.next_batch()));
                if i == 2 {
                    assert_eq!(next.unwrap_err().downcast_ref(), Some(&"two"));
                    assert_eq!(taken.unwrap_err().downcast_ref(), Some(&"two"));
                } else {
                    assert_eq!(next.unwrap().unwrap().unwrap().values, [i]);
                    assert_eq!(taken.unwrap().unwrap().values, [i]);
                }
            }
        }
    }
}
