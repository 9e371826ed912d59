//! Numbers that come back from the device while it works on.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use thalweg_graph::{Device, Result, Tensor};

type Pending = Pin<Box<dyn Future<Output = Result<Vec<f32>>> + Send>>;

/// Reads scalars in the order in which they were given, and never makes a training loop wait.
#[derive(Default)]
pub struct Meter {
    pending: VecDeque<(usize, Pending)>,
}

impl Meter {
    /// Queues the read of a value of this step.
    ///
    /// # Errors
    /// The error the tensor carries.
    #[track_caller]
    pub fn watch(&mut self, step: usize, value: &Tensor) -> Result<()> {
        self.pending.push_back((step, Box::pin(value.read_async::<f32>()?)));
        Ok(())
    }

    /// The values that have arrived, with their steps.
    ///
    /// # Errors
    /// What went wrong on the device.
    pub fn arrived(&mut self) -> Result<Vec<(usize, f64)>> {
        let mut arrived = Vec::new();
        while let Some((step, future)) = self.pending.front_mut() {
            let Poll::Ready(values) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) else { break };
            arrived.extend(values?.first().map(|value| (*step, f64::from(*value))));
            self.pending.pop_front();
        }
        Ok(arrived)
    }

    /// All values, waiting for the device.
    ///
    /// # Errors
    /// What went wrong on the device.
    #[track_caller]
    pub fn all(&mut self, device: &Device) -> Result<Vec<(usize, f64)>> {
        let mut all = Vec::new();
        while !self.pending.is_empty() {
            device.synchronize()?;
            all.extend(self.arrived()?);
            std::thread::yield_now();
        }
        Ok(all)
    }
}
