//! Recurrent nets over sequences, their step recorded once.

use anyhow::Result;
use thalweg::{nn::LayerConfig, prelude::*};

use crate::{
    clock::{Clock, Work},
    inputs::fill,
};

/// What is walked over.
struct Size {
    steps: usize,
    batch: usize,
    inputs: usize,
    width: usize,
}

/// A long sequence of few numbers, and a wide state.
const LONG: Size = Size { steps: 512, batch: 32, inputs: 7, width: 128 };
const WIDE: Size = Size { steps: 64, batch: 32, inputs: 128, width: 512 };

impl Size {
    /// A training step of two layers with so many gates.
    fn work(&self, name: &'static str, gates: usize) -> Work {
        let products = self.batch * gates * self.width * (self.inputs + 3 * self.width);
        Work::flop(name, (3 * 2 * self.steps * products) as f64)
    }
}

/// A training step of two layers of an LSTM.
pub fn lstm(clock: &mut Clock, name: &'static str) -> Result<()> {
    let size = if name == "lstm" { LONG } else { WIDE };
    let work = size.work(name, 4);
    train(clock, &size, work, Lstm::new(size.inputs, size.width).layers(2), |net, xs| net.forward(xs, None).0)
}

/// The same of gated recurrent units.
pub fn gru(clock: &mut Clock, name: &'static str) -> Result<()> {
    let size = WIDE;
    let work = size.work(name, 3);
    train(clock, &size, work, Gru::new(size.inputs, size.width).layers(2), |net, xs| net.forward(xs, None).0)
}

fn train<S: LayerConfig<Layer: Module>>(
    clock: &mut Clock,
    size: &Size,
    work: Work,
    settings: S,
    forward: impl Fn(&S::Layer, &Tensor) -> Tensor,
) -> Result<()> {
    #[derive(Module)]
    struct Net<L> {
        layers: L,
        head: Linear,
    }
    let device = clock.device.clone();
    let rng = &mut Rng::seed(0);
    let net = Net { layers: settings.init(&device, rng)?, head: Linear::new(size.width, 1).init(&device, rng)? };
    let opt = AdamW { lr: 1e-3, ..AdamW::default() }.init(&net)?;
    let (xs, y) =
        (fill(&device, 1, &[size.steps, size.batch, size.inputs], 1.0), fill(&device, 2, &[size.batch, 1], 1.0));
    clock.train(work, || {
        let end = forward(&net.layers, &xs).select(0, -1);
        let loss = (net.head.forward(&end) - &y).square().mean(..);
        opt.step(&loss)?;
        Ok(loss)
    })
}
