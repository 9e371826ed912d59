//! Batches, prepared on other threads while the device works on the ones before.

use std::{
    panic::{Location, resume_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::JoinHandle,
};

use thalweg_graph::{Error, ErrorKind, Result};

use crate::{
    place::on_behalf_of,
    position::At,
    sampler::{Sampler, reserved},
    tail::Tail,
};

/// Makes a batch.
pub(crate) type Make<B> = dyn Fn(&Draw<'_>) -> Result<B> + Send + Sync;

/// What a batch is made of.
pub(crate) struct Draw<'a> {
    /// The items.
    pub indices: &'a [usize],
    /// How many of them are no padding.
    pub len: usize,
    pub epoch: u32,
    /// How many items the epoch showed before.
    pub before: usize,
}

/// All that a batch depends on. A cheap clone, which every thread has.
pub(crate) struct Recipe<B> {
    pub make: Arc<Make<B>>,
    pub sampler: Arc<dyn Sampler>,
    /// Tells what is random about it: the sampler's key, and the seed of random changes.
    pub key: u64,
    /// Items of the data set.
    pub items: usize,
    /// Items that an epoch shows.
    pub draws: usize,
    /// Items of a batch.
    pub size: usize,
    pub tail: Tail,
    /// Who asked for it.
    pub place: &'static Location<'static>,
    /// The order that was asked for last.
    pub order: Arc<Mutex<Option<(u32, Arc<[usize]>)>>>,
}

impl<B> Clone for Recipe<B> {
    fn clone(&self) -> Recipe<B> {
        let (make, sampler, order) = (self.make.clone(), self.sampler.clone(), self.order.clone());
        Recipe { make, sampler, order, ..*self }
    }
}

impl<B> Recipe<B> {
    /// Batches in an epoch.
    pub fn batches(&self) -> usize {
        match self.tail {
            Tail::Drop => self.draws / self.size,
            Tail::Keep | Tail::Pad => self.draws.div_ceil(self.size),
        }
    }

    pub fn batch(&self, at: At) -> Result<B> {
        let order = self.order(at.epoch)?;
        let start = at.batch * self.size;
        let real = &order[start..start.saturating_add(self.size).min(order.len())];
        let rows = if self.tail == Tail::Pad { self.size } else { real.len() };
        let mut indices = on_behalf_of(self.place, [], || reserved(rows))?;
        indices.extend_from_slice(real);
        // Padding repeats a real item: zeros could be out of distribution for running statistics and f16 ranges.
        indices.resize(rows, real[0]);
        let draw = Draw { indices: &indices, len: real.len(), epoch: at.epoch, before: start };
        on_behalf_of(self.place, draw.indices, || (self.make)(&draw))
    }

    /// What an epoch shows. Kept for the next batch, as it takes longer than one.
    fn order(&self, epoch: u32) -> Result<Arc<[usize]>> {
        // Whoever panics here leaves the old order, which is as good as none.
        let mut kept = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, order)) = &*kept
            && *of == epoch
        {
            return Ok(order.clone());
        }
        let order = on_behalf_of(self.place, [], || self.sampler.order(self.items, epoch))?;
        let problem = match order.iter().find(|index| **index >= self.items) {
            Some(index) => format!("shows index {index} of {} items", self.items),
            None if order.len() != self.draws => {
                format!("shows {} items, and said it would show {}", order.len(), self.draws)
            }
            None => {
                let order: Arc<[usize]> = order.into();
                *kept = Some((epoch, order.clone()));
                return Ok(order);
            }
        };
        let kind = ErrorKind::Invalid(format!("the sampler {problem} in epoch {epoch}"));
        Err(Error::at("loader", kind, self.place, None))
    }
}

/// Batches from one on, in order. With no threads they are made when they are asked for.
pub(crate) struct Stream<B> {
    recipe: Recipe<B>,
    at: At,
    /// Lane `i` of `n` has every n-th batch, so that batches arrive in order without being sorted.
    lanes: Vec<Lane<B>>,
    turn: usize,
}

struct Lane<B> {
    receiver: Receiver<Result<B>>,
    thread: JoinHandle<()>,
}

/// Batches that wait ahead of their use, in all lanes together.
const AHEAD: usize = 2;
/// More threads than any machine has work for.
const MOST: usize = 256;

impl<B: Send + 'static> Stream<B> {
    /// The batches from `at` on: all of the epochs that follow, or the next `count` of them.
    pub fn start(recipe: &Recipe<B>, at: At, count: Option<usize>, threads: usize) -> Stream<B> {
        let threads = threads.min(count.unwrap_or(MOST)).min(MOST);
        let lane = |i: usize| {
            let recipe = recipe.clone();
            let ahead = AHEAD.div_ceil(threads);
            let (sender, receiver) = sync_channel(ahead);
            let work = move || lane(&recipe, at, (i..count.unwrap_or(usize::MAX)).step_by(threads), &sender);
            let thread = std::thread::Builder::new().name("thalweg-data".into()).spawn(work).ok()?;
            Some(Lane { receiver, thread })
        };
        // Where the system has no more threads, the caller's does the work.
        let lanes = (0..threads).map(lane).collect::<Option<Vec<_>>>().unwrap_or_default();
        Stream { recipe: recipe.clone(), at, lanes, turn: 0 }
    }

    pub fn next(&mut self) -> Result<B> {
        let at = self.at;
        self.at = at.plus(1, self.recipe.batches());
        if self.lanes.is_empty() {
            return self.recipe.batch(at);
        }
        let turn = self.turn;
        self.turn = (turn + 1) % self.lanes.len();
        if let Ok(batch) = self.lanes[turn].receiver.recv() {
            return batch;
        }
        // The thread is gone before its work was done: what panicked there goes on here.
        match self.lanes.swap_remove(turn).thread.join() {
            Err(panic) => resume_unwind(panic),
            Ok(()) => unreachable!("a thread that makes batches ended before it had made all of them"),
        }
    }
}

/// Makes every n-th batch until there is no more, or nobody takes it.
fn lane<B>(recipe: &Recipe<B>, start: At, mine: impl Iterator<Item = usize>, sender: &SyncSender<Result<B>>) {
    for i in mine {
        let batch = recipe.batch(start.plus(i, recipe.batches()));
        if sender.send(batch).is_err() {
            break;
        }
    }
}
