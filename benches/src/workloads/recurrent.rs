//! A recurrent net over a long sequence, its step recorded once.

use anyhow::Result;
use thalweg::prelude::*;

use crate::{
    clock::{Clock, Work},
    inputs::fill,
};

/// Steps, batch, inputs and width.
const SIZE: [usize; 4] = [512, 32, 7, 128];

/// One layer of an LSTM: four gates from the input and the state before.
#[derive(Module)]
struct Layer {
    input: Linear,
    state: Linear,
}

impl Layer {
    fn new(inputs: usize, width: usize, device: &Device, rng: &mut Rng) -> Result<Layer> {
        let input = Linear::new(inputs, 4 * width).init(device, rng)?;
        Ok(Layer { input, state: Linear::new(width, 4 * width).bias(false).init(device, rng)? })
    }

    /// The next state and cell.
    fn step(&self, x: &Tensor, state: &Tensor, cell: &Tensor) -> [Tensor; 2] {
        let gates = self.input.forward(x) + self.state.forward(state);
        let width = state.shape()[1];
        let gate = |k: usize| gates.narrow(1, k * width, width);
        let cell = gate(0).sigmoid() * gate(1).tanh() + gate(2).sigmoid() * cell;
        [gate(3).sigmoid() * cell.tanh(), cell]
    }
}

#[derive(Module)]
struct Net {
    layers: [Layer; 2],
    head: Linear,
}

/// A training step of two layers.
pub fn lstm(clock: &mut Clock) -> Result<()> {
    let [steps, batch, inputs, width] = SIZE;
    let device = clock.device.clone();
    let rng = &mut Rng::seed(0);
    let layers = [Layer::new(inputs, width, &device, rng)?, Layer::new(width, width, &device, rng)?];
    let net = Net { layers, head: Linear::new(width, 1).init(&device, rng)? };
    let opt = AdamW { lr: 1e-3, ..AdamW::default() }.init(&net)?;
    let (xs, y) = (fill(&device, 1, &[steps, batch, inputs], 1.0), fill(&device, 2, &[batch, 1], 1.0));
    let zero = Tensor::zeros(&device, [batch, width]);
    let products = batch * 4 * width * (inputs + 3 * width);
    let work = Work::flop("lstm", (3 * 2 * steps * products) as f64);
    clock.train(work, || {
        let (end, _) = scan(&[&zero, &zero, &zero, &zero], &[&xs], |state, x| {
            let [first, cell] = net.layers[0].step(&x[0], &state[0], &state[1]);
            let [second, other] = net.layers[1].step(&first, &state[2], &state[3]);
            (vec![first, cell, second, other], vec![])
        })?;
        let loss = (net.head.forward(&end[2]) - &y).square().mean(..);
        opt.step(&loss)?;
        Ok(loss)
    })
}
