//! What a training run shows and keeps: the progress bar, the loss curve, and the last word of every epoch.

use std::cell::{Ref, RefCell};

use thalweg_graph::{
    DType, Device, Element, Error, ErrorKind, Result, Tensor,
    module::snapshot::{Array, Loading, Snapshot, Stateful, Value},
};

use crate::{curve::Curve, evaluate::Score, meter::Meter, progress::Progress};

/// Follows a training loop without making it wait: every few steps the loss and the accuracy are read back, later.
///
/// As a part of a [`Checkpoint`](crate::Checkpoint) it keeps the number of steps, the curve and the means that it shows.
pub struct Journal {
    device: Device,
    every: usize,
    now: RefCell<Now>,
}

#[derive(Default)]
struct Now {
    step: usize,
    losses: Meter,
    accuracies: Meter,
    progress: Option<Progress>,
    shown: Shown,
}

/// What is known of the steps so far.
#[derive(Clone, Debug, Default)]
struct Shown {
    curve: Curve,
    loss: Option<f64>,
    accuracy: Option<f64>,
}

/// The share of a new value in the shown mean.
const SMOOTHING: f64 = 0.2;

impl Journal {
    /// A journal that looks at every `every`-th step.
    pub fn new(device: &Device, every: usize) -> Journal {
        Journal { device: device.clone(), every: every.max(1), now: RefCell::default() }
    }

    /// Starts an epoch of so many samples, or what is left of one.
    pub fn epoch(&self, name: impl Into<String>, samples: usize) {
        self.now.borrow_mut().progress = Some(Progress::new(name, samples));
    }

    /// The number of steps so far.
    pub fn steps(&self) -> usize {
        self.now.borrow().step
    }

    /// After a step. `accuracy` is asked only on the steps that are looked at.
    ///
    /// # Errors
    /// What went wrong on the device.
    #[track_caller]
    pub fn step(&self, samples: usize, loss: &Tensor, accuracy: impl FnOnce() -> Tensor) -> Result<()> {
        let step = self.steps().saturating_add(1);
        // Asked before anything is borrowed: it may look at the journal.
        let watched = step.is_multiple_of(self.every).then(accuracy);
        let now = &mut *self.now.borrow_mut();
        now.step = step;
        if let Some(progress) = &mut now.progress {
            progress.advance(samples);
        }
        if let Some(accuracy) = watched {
            now.losses.watch(step, loss)?;
            now.accuracies.watch(step, &accuracy)?;
        }
        let (losses, accuracies) = (now.losses.arrived()?, now.accuracies.arrived()?);
        now.note(losses, accuracies);
        Ok(())
    }

    /// Ends the epoch with a line of its figures. Waits for the device.
    ///
    /// # Errors
    /// What went wrong on the device.
    #[track_caller]
    pub fn end_epoch(&self, test: &Score) -> Result<()> {
        self.wait()?;
        let now = &mut *self.now.borrow_mut();
        now.shown.curve.test(now.step, test.loss);
        if let Some(progress) = now.progress.take() {
            progress.finish(&format!("  test loss {:.4}  test accuracy {:.2} %", test.loss, 100.0 * test.accuracy));
        }
        Ok(())
    }

    /// The loss curve so far.
    pub fn curve(&self) -> Ref<'_, Curve> {
        Ref::map(self.now.borrow(), |now| &now.shown.curve)
    }

    /// Notes what is still on its way, so that the curve has every step that was looked at. Waits for the device.
    ///
    /// # Errors
    /// What went wrong on the device.
    #[track_caller]
    pub fn wait(&self) -> Result<()> {
        let now = &mut *self.now.borrow_mut();
        let (losses, accuracies) = (now.losses.all(&self.device)?, now.accuracies.all(&self.device)?);
        now.note(losses, accuracies);
        Ok(())
    }
}

impl Now {
    fn note(&mut self, losses: Vec<(usize, f64)>, accuracies: Vec<(usize, f64)>) {
        let mix = |mean: Option<f64>, new: f64| match mean.filter(|mean| mean.is_finite()) {
            Some(mean) => mean + SMOOTHING * (new - mean),
            None => new,
        };
        let shown = &mut self.shown;
        for (step, loss) in losses {
            shown.curve.train(step, loss);
            shown.loss = Some(mix(shown.loss, loss));
        }
        for (_, accuracy) in accuracies {
            shown.accuracy = Some(mix(shown.accuracy, accuracy));
        }
        if let Some(progress) = &mut self.progress {
            progress.show(shown.loss.unwrap_or(f64::NAN), shown.accuracy);
        }
    }
}

const STEP: &str = "#step";
const LOSS: &str = "#loss";
const ACCURACY: &str = "#accuracy";
/// Points of the curve: `[n, 2]`, F64.
const TRAIN: &str = "train";
const TEST: &str = "test";

impl Stateful for Journal {
    fn save(&self, to: &mut Snapshot) -> Result<()> {
        self.wait()?;
        let now = self.now.borrow();
        let Shown { curve, loss, accuracy } = &now.shown;
        to.insert(STEP, Value::Words(vec![now.step as u64]));
        for (name, mean) in [(LOSS, loss), (ACCURACY, accuracy)] {
            mean.iter().for_each(|mean| to.insert(name, Value::Number(*mean)));
        }
        for (name, line) in [(TRAIN, &curve.train), (TEST, &curve.test)] {
            let flat: Vec<f64> = line.iter().flat_map(|(step, loss)| [*step, *loss]).collect();
            let array = Array { dtype: DType::F64, shape: vec![line.len(), 2], bytes: f64::bytes(&flat) };
            to.insert(name, Value::Array(array));
        }
        Ok(())
    }

    fn prepare<'a>(&'a self, from: &Snapshot) -> Result<Loading<'a>> {
        let [step] = from.words(STEP)?;
        let mut mean = [None; 2];
        for (mean, name) in mean.iter_mut().zip([LOSS, ACCURACY]).filter(|(_, name)| from.get(name).is_some()) {
            *mean = Some(from.number(name)?);
        }
        let mut lines = [Vec::new(), Vec::new()];
        for (line, name) in lines.iter_mut().zip([TRAIN, TEST]) {
            let array = from.array(name)?;
            let Some(flat) = f64::from_bytes(&array.bytes, array.dtype).filter(|_| array.dtype == DType::F64) else {
                let problem = format!("'{name}' is {array:?}, and points in f64 are needed");
                return Err(Error::new("load", ErrorKind::Invalid(problem)));
            };
            *line = flat.as_chunks().0.iter().map(|[step, loss]| (*step, *loss)).collect();
        }
        let ([loss, accuracy], [train, test]) = (mean, lines);
        let shown = Shown { curve: Curve { train, test }, loss, accuracy };
        let mut loading = Loading::new();
        loading.then(move || {
            *self.now.borrow_mut() = Now { step: step as usize, shown, ..Now::default() };
            Ok(())
        });
        Ok(loading)
    }
}
