//! Tells once that steps are skipped: a run whose loss is not finite trains nothing, and nothing else would say so.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use thalweg_graph::{Result, Tensor};

/// Steps between looks. A look is a read that nothing waits for.
const EVERY: u64 = 64;

type Pending = Pin<Box<dyn Future<Output = Result<Vec<f64>>> + Send>>;

/// Looks at the count of skipped steps from time to time.
#[derive(Default)]
pub(crate) struct Skips {
    steps: u64,
    pending: Option<Pending>,
    said: bool,
}

impl Skips {
    /// After a step, with the control vector and the lanes in which it counts steps that were taken and skipped.
    pub fn look(&mut self, control: &Tensor, taken: usize, skipped: usize) {
        self.steps += 1;
        if self.said {
            return;
        }
        if let Some(read) = &mut self.pending {
            let Poll::Ready(lanes) = read.as_mut().poll(&mut Context::from_waker(Waker::noop())) else { return };
            self.pending = None;
            // What went wrong on the device is told by the next call that reads.
            if let Ok(lanes) = lanes {
                self.note(lanes[taken], lanes[skipped]);
            }
        }
        if self.steps.is_multiple_of(EVERY) {
            self.pending = control.read_async::<f64>().ok().map(|read| Box::pin(read) as Pending);
        }
    }

    /// Tells it, if there is something to tell and it was not told.
    pub fn note(&mut self, taken: f64, skipped: f64) {
        if skipped > 0.0 && !self.said {
            self.said = true;
            log::warn!(
                "{skipped} of {} steps were skipped, because the loss or a gradient was not finite; Optimizer::report() has the \
                 count",
                taken + skipped
            );
        }
    }
}

impl fmt::Debug for Skips {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Skips(said: {})", self.said)
    }
}
