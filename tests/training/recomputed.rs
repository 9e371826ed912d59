//! Checkpointed blocks: the same bits, less memory for values that wait for the backward pass, draws and states once.

use thalweg::prelude::*;
use thalweg_graph::checkpoint;
use thalweg_tests::{cpu, strict, test_gpu};

#[derive(Module)]
struct Block {
    wide: Conv2d,
    norm: BatchNorm2d,
    dropout: Dropout,
    narrow: Conv2d,
}

impl Block {
    fn new(device: &Device, rng: &mut Rng) -> Result<Block> {
        Ok(Block {
            wide: Conv2d::new(2, 16, 3).padding(1).init(device, rng)?,
            norm: BatchNorm2d::new(16).init(device, rng)?,
            dropout: Dropout::new(0.2).init(device, rng)?,
            narrow: Conv2d::new(16, 2, 3).padding(1).init(device, rng)?,
        })
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        let hidden = self.norm.forward(&self.wide.forward(x)).tanh();
        x + self.narrow.forward(&self.dropout.forward(&hidden))
    }
}

/// Losses, weights and running statistics after a few steps, the activation pool's bytes and the plans that were built.
fn train(device: &Device, again: bool) -> Result<(Vec<f32>, u64, u64)> {
    let blocks = (0..6)
        .map({
            let mut rng = Rng::seed(2);
            move |_| Block::new(device, &mut rng)
        })
        .collect::<Result<Vec<Block>>>()?;
    let opt = Sgd { lr: 0.05, ..Sgd::default() }.init(&blocks)?;
    let mut rng = Rng::seed(5);
    let mut found = Vec::new();
    let mut plans = 0;
    for step in 0..4 {
        let values: Vec<f32> = (0..4 * 2 * 64).map(|_| rng.normal() as f32).collect();
        let x = Tensor::from_slice(device, &values, [4, 2, 8, 8]);
        let y = blocks.iter().fold(x, |x, block| match again {
            true => checkpoint(&[&x], |x| block.forward(&x[0])),
            false => block.forward(&x),
        });
        let loss = y.square().mean(..);
        drop(y);
        opt.step(&loss)?;
        found.push(loss.to_vec::<f32>()?[0]);
        if step == 1 {
            plans = device.stats().plans_built;
        }
    }
    let more_plans = device.stats().plans_built - plans;
    for tensor in blocks.params().iter().map(|(_, p)| p.tensor()).chain(blocks.states().iter().map(|(_, s)| s.tensor()))
    {
        found.extend(tensor.to_vec::<f32>()?);
    }
    Ok((found, device.last_step().map_or(0, |report| report.planned_bytes), more_plans))
}

#[test]
fn gradients_are_the_same_and_memory_is_less() {
    for device in [strict(), cpu(), Device::named(&test_gpu!().properties().name).unwrap()] {
        let (want, kept, _) = train(&device, false).unwrap();
        let (got, again, plans) = train(&device, true).unwrap();
        assert!(want.iter().all(|v| v.is_finite()));
        let far = want.iter().zip(&got).map(|(w, g)| (w - g).abs() / w.abs().max(1e-2)).fold(0.0, f32::max);
        assert!(far < 1e-5, "{device}: {far}");
        assert_eq!(plans, 0, "{device}: a steady loop builds no plan");
        if device.properties().scheduled {
            assert!(again * 2 < kept, "{device}: {again} bytes, and {kept} without");
        }
    }
}

#[test]
fn nested_parts_and_second_derivatives() {
    let device = strict();
    let x = Tensor::from_slice(&device, &[0.3f64, -0.7, 1.1], [3]).track();
    let w = Tensor::from_slice(&device, &[0.5f64, 0.25, -1.5], [3]).track();
    let plain = |x: &Tensor| (x.tanh() * &w).exp() * x;
    let nested = |x: &Tensor| checkpoint(&[x], |x| checkpoint(&[&x[0]], |x| (x[0].tanh() * &w).exp()) * &x[0]);
    let derivatives = |f: &dyn Fn(&Tensor) -> Tensor| -> Result<Vec<f64>> {
        let grads = f(&x).sum(..).backward()?;
        let (gx, gw) = (grads.get(&x).unwrap(), grads.get(&w).unwrap());
        let second = (gx.square() + gw).sum(..).backward()?;
        let all = [gx, gw, second.get(&x).unwrap(), second.get(&w).unwrap()];
        Ok(all.into_iter().map(|t| t.to_vec::<f64>()).collect::<Result<Vec<_>>>()?.concat())
    };
    let (want, got) = (derivatives(&plain).unwrap(), derivatives(&nested).unwrap());
    assert!(want.iter().zip(&got).all(|(a, b)| (a - b).abs() < 1e-12), "{want:?} {got:?}");
    // Nothing tracked, and a part that is its input: as if it were not there.
    assert_eq!(checkpoint(&[&w.detach()], |w| &w[0] * 2.0).to_vec::<f64>().unwrap(), [1.0, 0.5, -3.0]);
    assert!(checkpoint(&[&w], |w| w[0].clone()).sum(..).backward().unwrap().get(&w).is_some());
}
