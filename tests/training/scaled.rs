//! Loss scaling and clipping take two launches, and nothing of the size of the gradients or of what is kept for them.

use thalweg::prelude::*;
use thalweg_graph::{Result, backend::PlanReport};
use thalweg_tests::{cpu, own_gpu};

#[derive(Module)]
struct Mlp {
    layers: Vec<Linear>,
}

/// The plan of a step of six layers.
fn plan(
    device: &Device,
    width: usize,
    rows: usize,
    with: impl Fn(Optimizer) -> Result<Optimizer>,
) -> Result<PlanReport> {
    let rng = &mut Rng::seed(1);
    let layers = (0..6).map(|_| Linear::new(width, width).init(device, rng)).collect::<Result<_>>()?;
    let net = Mlp { layers };
    let opt = with(AdamW::default().init(&net)?)?;
    let x = Tensor::ones(device, [rows, width]);
    let y = net.layers.iter().fold(x, |x, layer| layer.forward(&x).relu());
    opt.step(&y.square().mean(..))?;
    Ok(device.last_step().expect("a step was taken"))
}

/// Sizes at which weights are most of the memory, and activations.
const SIZES: [(usize, usize); 2] = [(160, 4), (32, 1024)];

#[test]
fn gradients_are_measured_where_they_lie() -> Result<()> {
    for device in [cpu(), own_gpu()] {
        for (width, rows) in SIZES {
            let plain = plan(&device, width, rows, Ok)?;
            let clipped = plan(&device, width, rows, |opt| Ok(opt.clip_norm(1.0)))?;
            let scaled = plan(&device, width, rows, |opt| opt.loss_scale(LossScale::default()))?;
            let both = plan(&device, width, rows, |opt| opt.clip_norm(1.0).loss_scale(LossScale::default()))?;
            let f16 = plan(&device.with_precision(Precision::MixedF16), width, rows, Ok)?;
            let bf16 = plan(&device.with_precision(Precision::MixedBf16), width, rows, Ok)?;
            for (with, without) in [(clipped, plain), (scaled, plain), (both, plain), (f16, bf16)] {
                let at = format!("{device}, {rows} × {width}: {with:?} and {without:?}");
                assert!(with.launches <= without.launches + 2, "{at}");
                assert!(with.planned_bytes <= without.planned_bytes + 8192, "{at}");
            }
        }
    }
    Ok(())
}
