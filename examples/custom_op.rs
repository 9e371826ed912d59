//! An activation that Thalweg does not have, `x · tanh(ln(1 + eˣ)) + sin(x) / 8`, as a kernel of its own, trained on the digits.
//!
//! `cargo run --release --example custom_op [DEVICE]`

use thalweg::prelude::*;

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

/// Trains a small network with it; gives the accuracy on the held-out digits.
pub fn train(device: &Device) -> Result<f64> {
    let (rng, digits) = (&mut Rng::seed(0), Digits::embedded()?);
    let layers = [Linear::new(64, 64).init(device, rng)?, Linear::new(64, 10).init(device, rng)?];
    let opt = AdamW { lr: 4e-3, ..AdamW::default() }.init(&layers)?;
    let forward = |layers: &[Linear; 2], x: &Tensor| {
        let hidden = layers[0].forward(&x.flatten(1..));
        layers[1].forward(&hidden.custom(RippledMish, &[]))
    };
    for epoch in 0..8 {
        for batch in digits.train.batches(50, Seed(1))?.epoch(epoch) {
            let loss = forward(&layers, &batch.images.to(device)).cross_entropy(&batch.labels.to(device));
            opt.step(&loss)?;
        }
    }
    layers.eval();
    Ok(evaluate(&digits.test, 200, device, |x| forward(&layers, x))?.accuracy)
}

/// From the command line.
pub fn main() -> Result<()> {
    let device = std::env::args().nth(1).map_or_else(Device::best, |name| Device::named(&name))?;
    println!("test accuracy: {:.2} %", 100.0 * train(&device)?);
    Ok(())
}
