//! Learning rates: one that the host sets, and those that the device looks up by its own count of steps.
//!
//! A skipped step must not advance the schedule, and only the device knows which steps it skipped. So it is given a ring of
//! the next rates and indexes it with its own step count; the host refills the ring in time, from what it knows of the count
//! by reads that it never waits for.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
};

use thalweg_graph::{DType, Error, ErrorKind, Result, State, Tensor};

use crate::{
    control::vector,
    schedule::{Family, Schedule},
    work::lock,
};

/// Entries of the ring.
const RING: u64 = 64;
/// Steps between refills.
const REFILL: u64 = RING / 2;

type Pending = Pin<Box<dyn Future<Output = Result<Vec<f64>>> + Send>>;

/// A learning rate that is set from the host. Clones share it.
#[derive(Clone, Debug)]
pub struct Rate(Arc<AtomicU64>);

impl Rate {
    pub(crate) fn new(rate: f64) -> Rate {
        Rate(Arc::new(AtomicU64::new(rate.to_bits())))
    }

    /// The rate of the next step.
    pub fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }

    /// Sets it. It is an input of plans: nothing is compiled and nothing waits.
    ///
    /// # Errors
    /// A rate that is negative or no number.
    #[track_caller]
    pub fn set(&self, rate: f64) -> Result<()> {
        if !(rate >= 0.0 && rate.is_finite()) {
            return Err(Error::new("set_lr", ErrorKind::Invalid(format!("{rate} is no learning rate"))));
        }
        self.0.store(rate.to_bits(), Ordering::Relaxed);
        Ok(())
    }
}

/// Where rates come from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// A schedule, by the number of steps taken.
    Schedule(Schedule),
    /// A rate set from the host, since a schedule was ended.
    Fixed(Rate),
}

/// Rates by the device's own count of steps, and their ring there. Clones share all of it, so what a compiled step has looks up
/// whatever they come from now.
#[derive(Clone)]
pub(crate) struct Rates(Arc<Mutex<Inner>>);

struct Inner {
    source: Source,
    /// What is wrong with the schedule.
    problem: Option<String>,
    ring: Option<Tensor>,
    /// The rate of all steps that the ring was filled with, where they have one.
    fixed: f64,
    /// Steps queued since the ring was filled.
    since: u64,
    /// The device's step count is at most this; none before it was read.
    at_most: Option<u64>,
    /// The version of the control vector that the next step must find: another was loaded, or is not known.
    expected: Option<u64>,
    /// A read of the control vector, and how many steps were queued after it.
    pending: Option<(Pending, u64)>,
}

impl fmt::Debug for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", lock(&self.0).source)
    }
}

impl Rates {
    pub fn new(source: Source) -> Rates {
        let inner = Inner {
            problem: source.problem(),
            source,
            ring: None,
            fixed: f64::NAN,
            since: 0,
            at_most: None,
            expected: None,
            pending: None,
        };
        Rates(Arc::new(Mutex::new(inner)))
    }

    /// From elsewhere, from the next step on.
    pub fn set(&self, source: Source) {
        let mut inner = lock(&self.0);
        inner.problem = source.problem();
        inner.source = source;
        // The ring of a schedule reaches back as far as steps may have been skipped since the latest refill.
        inner.forget();
    }

    /// The schedule that is followed.
    pub fn schedule(&self) -> Option<Schedule> {
        match &lock(&self.0).source {
            Source::Schedule(schedule) => Some(schedule.clone()),
            Source::Fixed(_) => None,
        }
    }

    /// Forgets what the device's count was: the vector is another.
    pub fn forget(&self) {
        lock(&self.0).expected = None;
    }

    /// What the device's next step goes by, which it counts in this lane of the control vector.
    #[track_caller]
    pub fn value(&self, control: &State, lane: usize) -> Tensor {
        let (inner, state) = (self.0.clone(), control.clone());
        let vector = control.tensor();
        let ring = Tensor::live(move || lock(&inner).next(&state, lane));
        let ring = match ring {
            Ok(ring) => ring,
            Err(error) => return vector.fail("schedule", error.kind().clone()),
        };
        let slot = vector.select(0, lane as isize).fmod(RING as f64).cast(DType::I32).reshape([1]);
        ring.gather(0, &slot).reshape(())
    }
}

impl Source {
    fn problem(&self) -> Option<String> {
        match self {
            Source::Schedule(schedule) => schedule.check().err(),
            Source::Fixed(_) => None,
        }
    }
}

impl Inner {
    /// The ring for one more step.
    fn next(&mut self, control: &State, lane: usize) -> Result<Tensor> {
        if let Some(problem) = &self.problem {
            return Err(Error::new("schedule", ErrorKind::Invalid(problem.clone())));
        }
        if let Source::Fixed(rate) = &self.source
            && rate.get() != self.fixed
        {
            (self.fixed, self.ring) = (rate.get(), None);
        }
        if self.expected != Some(control.version()) {
            self.forget();
        }
        let ring = match &self.ring {
            Some(ring) if self.since < REFILL => ring.clone(),
            _ => self.refill(&control.tensor(), lane)?,
        };
        self.since += 1;
        self.at_most = self.at_most.map(|n| n + 1);
        self.expected = Some(control.version() + 1);
        if let Some((_, after)) = &mut self.pending {
            *after += 1;
        }
        Ok(ring)
    }

    fn forget(&mut self) {
        (self.at_most, self.ring, self.pending) = (None, None, None);
    }

    fn refill(&mut self, control: &Tensor, lane: usize) -> Result<Tensor> {
        let mut ring = [0.0; RING as usize];
        match self.source.clone() {
            Source::Fixed(_) => ring.fill(self.fixed),
            Source::Schedule(schedule) => {
                let at_most = self.count(control, lane)?;
                // Rates from REFILL steps back, in case the device lags by skipped steps, to REFILL steps ahead.
                for step in at_most.saturating_sub(REFILL)..at_most + REFILL {
                    ring[(step % RING) as usize] = schedule.at(step as f64);
                }
            }
        }
        let ring = vector(control.device(), control.dtype(), &ring);
        self.ring = Some(ring.clone());
        self.since = 0;
        Ok(ring)
    }

    /// What the device's step count is at most.
    fn count(&mut self, control: &Tensor, lane: usize) -> Result<u64> {
        if let Some((mut read, after)) = self.pending.take() {
            match read.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Ok(lanes)) => self.at_most = Some(lanes[lane] as u64 + after),
                Poll::Ready(Err(_)) => {} // The next call that reads reports it.
                Poll::Pending => self.pending = Some((read, after)),
            }
        }
        let at_most = match self.at_most {
            Some(at_most) => at_most,
            // A resumed run, or a schedule given to a running optimizer: this once it is waited for.
            None => control.to_vec::<f64>()?[lane] as u64,
        };
        self.at_most = Some(at_most);
        if self.pending.is_none()
            && let Ok(read) = control.read_async::<f64>()
        {
            self.pending = Some((Box::pin(read), 0));
        }
        Ok(at_most)
    }
}
