//! Two ops that Thalweg does not have, as kernels of their own, trained on the digits: an activation,
//! `x · tanh(ln(1 + eˣ)) + sin(x) / 8`, and the sums of rows and of their squares, which one kernel gives together.
//!
//! `cargo run --release --example custom_op`; `--help` lists the options. Fails below 95 % of the held-out digits.

mod common;

use clap::Parser;
use thalweg::prelude::*;

use self::common::Common;

#[derive(Parser)]
struct Args {
    #[command(flatten)]
    common: Common,
}

/// Mish (Misra 2019, arXiv:1908.08681) with a ripple.
#[derive(Debug)]
struct RippledMish;

impl CustomOp for RippledMish {
    fn name(&self) -> &'static str {
        "rippled_mish"
    }
    fn result(&self, inputs: &[(&[usize], DType)]) -> Result<(Vec<usize>, DType), String> {
        match inputs {
            [(shape, DType::F32)] => Ok((shape.to_vec(), DType::F32)),
            _ => Err("one f32 tensor is wanted".into()),
        }
    }
    fn wgsl(&self) -> String {
        "fn custom(i: u32) -> f32 { let x = in0(i); return x * tanh(log(1.0 + exp(x))) + sin(x) / 8.0; }".into()
    }
    fn reference(&self, inputs: &[Operand<'_>], result: &mut [f64]) {
        for (y, x) in result.iter_mut().zip(inputs[0].data) {
            *y = x * x.exp().ln_1p().tanh() + x.sin() / 8.0;
        }
    }
    fn vjp(&self, inputs: &[Tensor], _: &Tensor, grad: &Tensor) -> Option<Vec<Option<Tensor>>> {
        let x = &inputs[0];
        let t = x.softplus().tanh();
        Some(vec![Some(grad * (&t + x * x.sigmoid() * (1.0 - t.square()) + x.cos() / 8.0))])
    }
}

/// `s_r = Σ_c x_rc` and `q_r = Σ_c x_rc²`: two results, for which each row is read once.
#[derive(Debug)]
struct Sums;

impl MultiOp<2> for Sums {
    fn name(&self) -> &'static str {
        "sums"
    }
    fn results(&self, inputs: &[(&[usize], DType)]) -> Result<[(Vec<usize>, DType); 2], String> {
        match inputs {
            [([rows, _], DType::F32)] => Ok([(vec![*rows], DType::F32), (vec![*rows], DType::F32)]),
            _ => Err("one f32 matrix is wanted".into()),
        }
    }
    fn wgsl(&self) -> String {
        "fn custom_multi(r: u32) {
            var s = 0.0;
            var q = 0.0;
            for (var c = 0u; c < in0_dim(1u); c++) {
                let x = in0(r * in0_dim(1u) + c);
                s += x;
                q += x * x;
            }
            set0(r, s);
            set1(r, q);
        }"
        .into()
    }
    fn reference(&self, inputs: &[Operand<'_>], [s, q]: [&mut [f64]; 2]) {
        for ((row, s), q) in inputs[0].data.chunks(inputs[0].shape[1]).zip(s).zip(q) {
            *s = row.iter().sum();
            *q = row.iter().map(|x| x * x).sum();
        }
    }
    fn vjp(&self, inputs: &[Tensor], _: &[Tensor; 2], [ds, dq]: &[Tensor; 2]) -> Option<Vec<Option<Tensor>>> {
        Some(vec![Some(ds.unsqueeze(1) + 2.0 * &inputs[0] * dq.unsqueeze(1))])
    }
}

/// Rows with mean 0 and variance 1.
fn normalised(x: &Tensor) -> Tensor {
    let [s, q] = x.custom_multi(Sums, &[]).map(|sum| sum.unsqueeze(1) / x.shape()[1] as f64);
    (x - &s) * (q - s.square() + 1e-5).rsqrt()
}

/// Trains a small network with them; gives the accuracy on the held-out digits.
pub fn train(device: &Device, seed: u64) -> Result<f64> {
    let (rng, digits) = (&mut Rng::seed(seed), Digits::embedded()?);
    let layers = [Linear::new(64, 64).init(device, rng)?, Linear::new(64, 10).init(device, rng)?];
    let opt = AdamW { lr: 4e-3, ..AdamW::default() }.init(&layers)?;
    let forward = |layers: &[Linear; 2], x: &Tensor| {
        let hidden = layers[0].forward(&x.flatten(1..));
        layers[1].forward(&normalised(&hidden).custom(RippledMish, &[]))
    };
    for epoch in 0..8 {
        for batch in digits.train.batches(50, Seed(seed + 1))?.epoch(epoch) {
            let loss = forward(&layers, &batch.images.to(device)).cross_entropy(&batch.labels.to(device));
            opt.step(&loss)?;
        }
    }
    layers.eval();
    Ok(evaluate(&digits.test, 200, device, |x| forward(&layers, x))?.accuracy)
}

/// From the command line.
pub fn main() -> anyhow::Result<()> {
    let Args { common } = Args::parse();
    let accuracy = train(&common.device()?, common.seed)?;
    println!("test accuracy: {:.2} %", 100.0 * accuracy);
    anyhow::ensure!(accuracy >= 0.95, "that is below 95 %");
    Ok(())
}
