//! A small training run with everything in it that a run can have. Stopped anywhere and gone on with, it must give the bits of one
//! that was never stopped.

use std::cell::RefCell;

use thalweg::{
    data::{Dataset, Host, Loader, Shuffled, Stack},
    optim::Average,
    prelude::*,
    train::{Checkpoint, Journal},
};

/// Images in a batch, and of the data set: five batches and a tail that is dropped.
const BATCH: usize = 6;
const ITEMS: usize = 32;

#[derive(Module)]
struct Net {
    conv: Conv2d,
    norm: BatchNorm2d,
    dropout: Dropout,
    head: Linear,
    /// Frozen when the optimizer is made, and not later on.
    late: Linear,
}

impl Net {
    fn new(device: &Device, rng: &mut Rng) -> Result<Net> {
        let net = Net {
            conv: Conv2d::new(1, 4, 3).padding(1).init(device, rng)?,
            norm: BatchNorm2d::new(4).init(device, rng)?,
            dropout: Dropout::new(0.25).init(device, rng)?,
            head: Linear::new(4 * 4 * 4, 12).init(device, rng)?,
            late: Linear::new(12, 10).init(device, rng)?,
        };
        net.late.freeze(true);
        Ok(net)
    }

    /// `[B, 1, 8, 8] → [B, 10]`
    fn forward(&self, x: &Tensor) -> Tensor {
        let x = self.norm.forward(&self.conv.forward(x)).relu().max_pool2d(2);
        self.late.forward(&self.head.forward(&self.dropout.forward(&x.flatten(1..))).relu())
    }
}

/// The run.
pub struct Everything {
    device: Device,
    net: Net,
    opt: Optimizer,
    average: Average,
    rng: RefCell<Rng>,
    data: Loader<(Host<f32>, Host<i32>)>,
    journal: Journal,
    kind: usize,
}

impl Everything {
    /// Several kinds of rule: how many there are.
    pub const KINDS: usize = 3;

    /// At its start. `kind` chooses the rule, and whether rates come from a schedule or from the program.
    ///
    /// # Errors
    /// What goes wrong on the device.
    pub fn new(device: &Device, kind: usize, seed: u64) -> Result<Everything> {
        let rng = &mut Rng::seed(seed);
        let net = Net::new(device, rng)?;
        let opt = match kind % Everything::KINDS {
            0 => AdamW { lr: 2e-2, ..AdamW::default() }
                .init(&net)?
                .group("*.bias", Sgd { lr: 1e-2, momentum: 0.9, ..Sgd::default() })?
                .clip_norm(0.5),
            1 => {
                Sgd { momentum: 0.9, nesterov: true, weight_decay: 1e-3, ..Sgd::default() }.init(&net)?.clip_value(0.2)
            }
            _ => Adam { lr: 1e-2, amsgrad: true, ..Adam::default() }.init(&net)?,
        };
        let opt = match device.compute_dtype() {
            // Overflows at first; later it grows and overflows again.
            Some(DType::F16) => {
                opt.loss_scale(LossScale { init: 1e7, interval: 3, max: 1e8, ..LossScale::default() })?
            }
            _ => opt,
        };
        let opt = if kind.is_multiple_of(2) { opt.schedule(|step| 2e-2 / (1.0 + step as f64)) } else { opt };
        let average = Average::exponential(&net, 0.8)?;
        let shown = Digits::embedded()?.train.subset((0..ITEMS).collect::<Vec<_>>())?;
        let noisy = shown.augment(Seed(seed), |(mut image, label), rng| {
            image.values.iter_mut().for_each(|pixel| *pixel += 0.05 * rng.normal() as f32);
            (image, label)
        });
        let data = noisy.loader(BATCH, Shuffled(Seed(seed)), (Stack, Stack))?.drop_tail()?;
        let journal = Journal::new(device, 2);
        let rng = RefCell::new(rng.fork());
        Ok(Everything { device: device.clone(), net, opt, average, rng, data, journal, kind })
    }

    /// Steps so far, halves of accumulated ones among them.
    pub fn steps(&self) -> usize {
        self.journal.steps()
    }

    /// Everything that it is.
    pub fn checkpoint(&self) -> Checkpoint<'_> {
        Checkpoint::new()
            .part("model", &self.net)
            .part("optimizer", &self.opt)
            .part("average", &self.average)
            .part("rng", &self.rng)
            .part("data", &self.data)
            .part("journal", &self.journal)
    }

    /// One step. Every twelve, parts are frozen, put into evaluation mode, and back; gradients are accumulated over two batches; and one
    /// loss is no number.
    ///
    /// # Errors
    /// What goes wrong on the device.
    pub fn step(&self) -> Result<()> {
        let Everything { device, net, opt, .. } = self;
        let step = self.steps();
        match step % 12 {
            2 => net.conv.freeze(true),
            3 => net.norm.eval(),
            4 => net.late.freeze(false),
            5 => net.norm.train(),
            8 => net.conv.freeze(false),
            _ => {}
        }
        if self.kind % 2 == 1 {
            opt.set_lr(1e-2 / (1.0 + step as f64))?;
        }
        let (images, labels) = self.data.next_batch()?;
        let labels = labels.to(device);
        // A step that is skipped, by kind a whole one or the second half of an accumulated one.
        let jitter = if step % 12 == [7, 10][self.kind % 2] { f64::NAN } else { 0.1 * self.rng.borrow_mut().normal() };
        let logits = net.forward(&(images.to(device) + jitter));
        let loss = logits.cross_entropy(&labels);
        match step % 12 {
            6 => opt.accumulate(&loss)?,
            7 => {
                opt.accumulate(&loss)?;
                opt.step_accumulated()?;
            }
            _ => opt.step(&loss)?,
        }
        self.average.update()?;
        self.journal.step(BATCH, &loss, || accuracy(&logits, &labels))
    }
}
