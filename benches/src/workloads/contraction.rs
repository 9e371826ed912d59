//! W1 to W5: matrix products and convolutions.

use anyhow::{Context, Result};
use thalweg_graph::{ConvConfig, DType, Tensor};

use crate::{
    clock::{Clock, Work},
    inputs::fill,
};

/// W1, W2: `c = a @ b` in f32, and with f16 storage.
pub fn matmul(clock: &mut Clock, name: &'static str) -> Result<()> {
    let dtype = if name == "W2" { DType::F16 } else { DType::F32 };
    let largest = clock.max_size;
    for n in [256, 512, 1024, 2048].into_iter().filter(|n| *n <= largest) {
        let [a, b] = [1, 2].map(|seed| fill(&clock.device, seed, &[n, n], 1.0).cast(dtype));
        a.eval()?;
        b.eval()?;
        let mut work = Work::flop(name, 2.0 * (n as f64).powi(3));
        work.params = vec![("n", n.into()), ("dtype", dtype.to_string().into())];
        clock.forward(work, || Ok(a.matmul(&b)))?;
    }
    Ok(())
}

/// W3: 64 small products.
pub fn batched(clock: &mut Clock) -> Result<()> {
    let a = fill(&clock.device, 1, &[64, 128, 64], 1.0);
    let b = fill(&clock.device, 2, &[64, 64, 128], 1.0);
    clock.forward(Work::flop("W3", (64 * 2 * 128 * 128 * 64) as f64), || Ok(a.matmul(&b)))
}

/// Operations of W4's forward pass.
const CONV: f64 = 2.0 * 32.0 * 64.0 * 64.0 * 32.0 * 32.0 * 9.0;

fn same() -> ConvConfig {
    ConvConfig { padding: vec![1], ..ConvConfig::default() }
}

/// W4f: a 3 × 3 convolution.
pub fn conv(clock: &mut Clock) -> Result<()> {
    let x = fill(&clock.device, 1, &[32, 64, 32, 32], 1.0);
    let w = fill(&clock.device, 2, &[64, 64, 3, 3], 1.0 / 24.0);
    clock.forward(Work::flop("W4f", CONV), || Ok(x.conv2d(&w, &same())))
}

/// W4b: the same, and back to both operands.
pub fn conv_backward(clock: &mut Clock) -> Result<()> {
    let x = fill(&clock.device, 1, &[32, 64, 32, 32], 1.0).track();
    let w = fill(&clock.device, 2, &[64, 64, 3, 3], 1.0 / 24.0).track();
    let g = fill(&clock.device, 3, &[32, 64, 32, 32], 1.0);
    clock.forward(Work::flop("W4b", 3.0 * CONV), || {
        let loss = (x.conv2d(&w, &same()) * &g).sum(..);
        let grads = loss.backward()?;
        let dx = grads.get(&x).context("no gradient of x")?;
        let dw = grads.get(&w).context("no gradient of w")?;
        Tensor::eval_all(&[loss, dx.clone(), dw.clone()])?;
        Ok(dw.clone())
    })
}

/// W5: depthwise.
pub fn depthwise(clock: &mut Clock) -> Result<()> {
    let x = fill(&clock.device, 1, &[32, 64, 32, 32], 1.0);
    let w = fill(&clock.device, 2, &[64, 1, 3, 3], 1.0 / 3.0);
    let config = ConvConfig { groups: 64, ..same() };
    clock.forward(Work::bytes("W5", 2 * x.count() * 4), || Ok(x.conv2d(&w, &config)))
}
