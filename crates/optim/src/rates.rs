//! Learning rates that the device looks up by its own count of steps.
//!
//! A skipped step must not advance the schedule, and only the device knows which steps it skipped. So it is given a ring of
//! the next rates and indexes it with its own step count; the host refills the ring in time, from what it knows of the count
//! by reads that it never waits for.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use thalweg_graph::{DType, Device, Result, Tensor};

/// Entries of the ring.
const RING: u64 = 64;
/// Steps between refills.
const REFILL: u64 = RING / 2;

type Pending = Pin<Box<dyn Future<Output = Result<Vec<f64>>> + Send>>;

/// A schedule, and its ring on the device.
pub(crate) struct Rates {
    schedule: Box<dyn Fn(u64) -> f64 + Send>,
    ring: Option<Tensor>,
    /// Steps queued since the ring was filled.
    since: u64,
    /// The device's step count is at most this.
    at_most: u64,
    /// A read of the control vector, and how many steps were queued after it.
    pending: Option<(Pending, u64)>,
}

impl fmt::Debug for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rates(at most step {})", self.at_most)
    }
}

impl Rates {
    pub fn new(schedule: impl Fn(u64) -> f64 + Send + 'static) -> Rates {
        Rates { schedule: Box::new(schedule), ring: None, since: 0, at_most: 0, pending: None }
    }

    /// The rate of the device's next step, `step` being how many it has taken.
    #[track_caller]
    pub fn lr(&mut self, device: &Device, step: &Tensor, control: &Tensor, step_lane: usize) -> Tensor {
        let ring = match &self.ring {
            Some(ring) if self.since < REFILL => ring.clone(),
            _ => self.refill(device, control, step_lane),
        };
        self.since += 1;
        self.at_most += 1;
        if let Some((_, after)) = &mut self.pending {
            *after += 1;
        }
        let slot = step.fmod(RING as f64).cast(DType::I32).reshape([1]);
        ring.gather(0, &slot).reshape(()).cast(step.dtype())
    }

    #[track_caller]
    fn refill(&mut self, device: &Device, control: &Tensor, step_lane: usize) -> Tensor {
        if let Some((mut read, after)) = self.pending.take() {
            match read.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Ok(lanes)) => self.at_most = lanes[step_lane] as u64 + after,
                Poll::Ready(Err(_)) => {} // The next call that reads reports it.
                Poll::Pending => self.pending = Some((read, after)),
            }
        }
        if self.pending.is_none()
            && control.is_evaluated()
            && let Ok(read) = control.read_async::<f64>()
        {
            self.pending = Some((Box::pin(read), 0));
        }
        // Rates from REFILL steps back, in case the device lags by skipped steps, to REFILL steps ahead.
        let mut ring = vec![0f32; RING as usize];
        for step in self.at_most.saturating_sub(REFILL)..self.at_most + REFILL {
            ring[(step % RING) as usize] = (self.schedule)(step) as f32;
        }
        let ring = Tensor::from_slice(device, &ring, [RING as usize]);
        self.ring = Some(ring.clone());
        self.since = 0;
        ring
    }
}
