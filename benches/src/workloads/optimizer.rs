//! W15: the optimizer alone.

use anyhow::{Context, Result};
use thalweg::prelude::*;

use crate::{
    clock::{Clock, Work, first_element},
    inputs::fill,
};

/// Tensors and the shape of each.
const TENSORS: u32 = 100;
/// See [`TENSORS`].
const SHAPE: [usize; 2] = [100, 1000];

/// Adam on 100 tensors whose gradients are there and stay the same.
pub fn adam(clock: &mut Clock) -> Result<()> {
    let device = clock.device.clone();
    let param = |k| Param::new(fill(&device, 1 + k, &SHAPE, 0.1));
    let params = (0..TENSORS).map(param).collect::<thalweg::graph::Result<Vec<Param>>>()?;
    let constants: Vec<Tensor> = (0..TENSORS).map(|k| fill(&device, 1001 + k, &SHAPE, 0.1)).collect();
    let rule = Adam { lr: 1e-3, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0, ..Adam::default() };
    let opt = rule.init(&params)?;
    // Seven passes over 10⁷ numbers: parameters, both moments and gradients read, the first three written.
    let work = Work::bytes("W15", 7 * 10_000_000 * 4);
    let gradients = || {
        // The gradient of Σ p · c is c itself. It then lies where passes leave what they add up.
        let terms = params.iter().zip(&constants).map(|(p, c)| (p.tensor() * c).sum(..));
        opt.accumulate(&terms.reduce(|a, b| a + b).context("no parameters")?)?;
        Ok(device.synchronize()?)
    };
    let mut line = clock.measure_after(work, gradients, |sync| {
        opt.step_accumulated()?;
        if sync {
            device.synchronize()?;
            first_element(&params.last().context("no parameters")?.tensor().detach())?;
        }
        Ok(())
    })?;
    clock.plan(&mut line);
    line.print();
    Ok(())
}
