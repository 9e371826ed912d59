//! W6 and W7: softmax and layer norm over rows.

use anyhow::{Result, bail};
use thalweg_graph::Tensor;

use crate::{
    clock::{Clock, Work},
    inputs::fill,
};

/// W6.
pub fn softmax(clock: &mut Clock) -> Result<()> {
    let x = fill(&clock.device, 1, &[4096, 1024], 4.0);
    clock.forward(Work::bytes("W6", 2 * x.count() * 4), || Ok(x.softmax(-1)))
}

/// W7: `y = γ (x − μ) / √(σ² + ε) + β`, forward and back to x, γ and β.
pub fn layer_norm(clock: &mut Clock) -> Result<()> {
    let x = fill(&clock.device, 1, &[4096, 1024], 1.0).track();
    let gamma = fill(&clock.device, 2, &[1024], 1.0).track();
    let beta = fill(&clock.device, 3, &[1024], 1.0).track();
    let g = fill(&clock.device, 4, &[4096, 1024], 1.0);
    clock.forward(Work::bytes("W7", 5 * x.count() * 4), || {
        let centred = &x - x.mean_keepdim(-1);
        let variance = centred.square().mean_keepdim(-1);
        let y = centred * (variance + 1e-5).rsqrt() * &gamma + &beta;
        let loss = (y * &g).sum(..);
        let grads = loss.backward()?;
        let grads = [&gamma, &beta, &x].map(|leaf| grads.get(leaf).cloned());
        let [Some(d_gamma), Some(d_beta), Some(d_x)] = grads else { bail!("a gradient is missing") };
        Tensor::eval_all(&[loss, d_gamma.clone(), d_beta, d_x])?;
        Ok(d_gamma)
    })
}
