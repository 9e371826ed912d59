//! W11 and W12: whole training steps.

use anyhow::Result;
use thalweg::prelude::*;

use crate::{
    clock::{Clock, Work},
    inputs::{fill, targets},
};

/// AdamW as the workloads define it.
fn adamw() -> AdamW {
    AdamW { lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.01, ..AdamW::default() }
}

/// The seed of initial weights.
const SEED: u64 = 0;

#[derive(Module)]
struct Mlp {
    layers: [Linear; 3],
}

/// W11: 784-512-512-10, batch 128.
pub fn mlp(clock: &mut Clock) -> Result<()> {
    let device = clock.device.clone();
    let rng = &mut Rng::seed(SEED);
    let layer = |inputs, outputs, rng: &mut Rng| Linear::new(inputs, outputs).init(&device, rng);
    let net = Mlp { layers: [layer(784, 512, rng)?, layer(512, 512, rng)?, layer(512, 10, rng)?] };
    let opt = adamw().init(&net)?;
    let (x, y) = (fill(&device, 1, &[128, 784], 1.0), targets(&device, 2, 128, 10));
    let work = Work::flop("W11", (6 * 128 * (784 * 512 + 512 * 512 + 512 * 10)) as f64);
    clock.train(work, || {
        let [first, second, head] = &net.layers;
        let logits = head.forward(&second.forward(&first.forward(&x).relu()).relu());
        let loss = logits.cross_entropy(&y);
        opt.step(&loss)?;
        Ok(loss)
    })
}

#[derive(Module)]
struct Cnn {
    conv1: Conv2d,
    conv2: Conv2d,
    fc1: Linear,
    fc2: Linear,
}

impl Cnn {
    fn forward(&self, x: &Tensor) -> Tensor {
        let x = self.conv1.forward(x).relu().max_pool2d(2);
        let x = self.conv2.forward(&x).relu().max_pool2d(2).flatten(1..);
        self.fc2.forward(&self.fc1.forward(&x).relu())
    }
}

/// W12: two convolutions with pooling and two affine layers, batch 64 of 28 × 28.
pub fn cnn(clock: &mut Clock) -> Result<()> {
    let device = clock.device.clone();
    let rng = &mut Rng::seed(SEED);
    let net = Cnn {
        conv1: Conv2d::new(1, 32, 3).padding(1).init(&device, rng)?,
        conv2: Conv2d::new(32, 64, 3).padding(1).init(&device, rng)?,
        fc1: Linear::new(3136, 128).init(&device, rng)?,
        fc2: Linear::new(128, 10).init(&device, rng)?,
    };
    let opt = adamw().init(&net)?;
    let (x, y) = (fill(&device, 1, &[64, 1, 28, 28], 1.0), targets(&device, 2, 64, 10));
    let amount = 3 * 2 * 64 * (32 * 784 * 9 + 64 * 196 * 288 + 3136 * 128 + 1280);
    clock.train(Work::flop("W12", amount as f64), || {
        let loss = net.forward(&x).cross_entropy(&y);
        opt.step(&loss)?;
        Ok(loss)
    })
}
