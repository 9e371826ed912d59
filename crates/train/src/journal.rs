//! What a training run shows and keeps: the progress bar, the loss curve, and the last word of every epoch.

use thalweg_graph::{Device, Result, Tensor};

use crate::{curve::Curve, evaluate::Score, meter::Meter, progress::Progress};

/// Follows a training loop without making it wait: every few steps the loss and the accuracy are read back, later.
pub struct Journal {
    device: Device,
    every: usize,
    step: usize,
    losses: Meter,
    accuracies: Meter,
    progress: Option<Progress>,
    curve: Curve,
    loss: f64,
    accuracy: Option<f64>,
}

/// The share of a new value in the shown mean.
const SMOOTHING: f64 = 0.2;

impl Journal {
    /// A journal that looks at every `every`-th step.
    pub fn new(device: &Device, every: usize) -> Journal {
        Journal {
            device: device.clone(),
            every: every.max(1),
            step: 0,
            losses: Meter::default(),
            accuracies: Meter::default(),
            progress: None,
            curve: Curve::default(),
            loss: f64::NAN,
            accuracy: None,
        }
    }

    /// Starts an epoch of so many samples.
    pub fn epoch(&mut self, name: impl Into<String>, samples: usize) {
        self.progress = Some(Progress::new(name, samples));
    }

    /// The number of steps so far.
    pub fn steps(&self) -> usize {
        self.step
    }

    /// After a step. `accuracy` is asked only on the steps that are looked at.
    ///
    /// # Errors
    /// What went wrong on the device.
    #[track_caller]
    pub fn step(&mut self, samples: usize, loss: &Tensor, accuracy: impl FnOnce() -> Tensor) -> Result<()> {
        self.step += 1;
        if let Some(progress) = &mut self.progress {
            progress.advance(samples);
        }
        if self.step.is_multiple_of(self.every) {
            self.losses.watch(self.step, loss)?;
            self.accuracies.watch(self.step, &accuracy())?;
        }
        let (losses, accuracies) = (self.losses.arrived()?, self.accuracies.arrived()?);
        self.note(losses, accuracies);
        Ok(())
    }

    /// Ends the epoch with a line of its figures. Waits for the device.
    ///
    /// # Errors
    /// What went wrong on the device.
    #[track_caller]
    pub fn end_epoch(&mut self, test: &Score) -> Result<()> {
        let (losses, accuracies) = (self.losses.all(&self.device)?, self.accuracies.all(&self.device)?);
        self.note(losses, accuracies);
        self.curve.test(self.step, test.loss);
        if let Some(progress) = self.progress.take() {
            progress.finish(&format!("  test loss {:.4}  test accuracy {:.2} %", test.loss, 100.0 * test.accuracy));
        }
        Ok(())
    }

    /// The loss curve so far.
    pub fn curve(&self) -> &Curve {
        &self.curve
    }

    fn note(&mut self, losses: Vec<(usize, f64)>, accuracies: Vec<(usize, f64)>) {
        let mix = |mean: f64, new: f64| if mean.is_finite() { mean + SMOOTHING * (new - mean) } else { new };
        for (step, loss) in losses {
            self.curve.train(step, loss);
            self.loss = mix(self.loss, loss);
        }
        for (_, accuracy) in accuracies {
            self.accuracy = Some(mix(self.accuracy.unwrap_or(f64::NAN), accuracy));
        }
        if let Some(progress) = &mut self.progress {
            progress.show(self.loss, self.accuracy);
        }
    }
}
