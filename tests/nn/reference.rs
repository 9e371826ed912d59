//! Models with given weights compute what the same models of PyTorch compute.
//!
//! The reference is PyTorch 2.15 with torchvision's models written out, in evaluation mode, of `x = s.reshape(1, 3, 64, 64)`; a
//! parameter or buffer called `name` is, with `s = sin(0.7 i + 0.3 + len(name))` over its elements in f64:
//!
//! ```python
//! if name.endswith("running_var"): v = 1 + 0.2 * s
//! elif name.endswith("running_mean"): v = 0.1 * s
//! elif name.endswith("weight") and rank == 1: v = 1 + 0.1 * s
//! elif name.endswith("weight"): v = s * sqrt(2 / (numel / shape[0]))
//! else: v = 0.1 * s
//! ```

use thalweg::{nn::models::*, prelude::*};
use thalweg_tests::cpu;

use super::{close, wave};

/// What a parameter or a state of this name and shape is.
fn value(name: &str, shape: &[usize]) -> Vec<f32> {
    let wave = |i: usize| (0.7 * i as f64 + 0.3 + name.len() as f64).sin();
    let (offset, scale) = match shape {
        _ if name.ends_with("running_var") => (1.0, 0.2),
        [_] if name.ends_with("weight") => (1.0, 0.1),
        [_, rest @ ..] if name.ends_with("weight") => (0.0, (2.0 / rest.iter().product::<usize>() as f64).sqrt()),
        _ => (0.0, 0.1),
    };
    (0..shape.iter().product()).map(|i| (offset + scale * wave(i)) as f32).collect()
}

/// A model with these weights, in evaluation mode.
fn given<M: Module>(device: &Device, net: M) -> Result<M> {
    for (name, param) in net.params() {
        param.set(&Tensor::from_slice(device, &value(&name, &param.shape()), param.shape()))?;
    }
    for (name, state) in net.states() {
        state.write(&Tensor::from_slice(device, &value(&name, &state.shape()), state.shape()))?;
    }
    net.eval();
    Ok(net)
}

#[test]
fn models_compute_what_pytorch_computes() -> Result<()> {
    let (device, rng) = (cpu(), &mut Rng::seed(0));
    let x = wave(&device, &[1, 3, 64, 64]);
    macro_rules! holds {
        ($($net:expr => $want:expr;)*) => {$(
            let net = given(&device, $net.init(&device, rng)?)?;
            let y = net.forward(&x).to_vec::<f64>()?;
            let scale = y.iter().fold(1.0, |most: f64, v| most.max(v.abs()));
            let [got, want] = [&y[..$want.len()], &$want].map(|v| v.iter().map(|v| v / scale).collect::<Vec<f64>>());
            close(&got, &want, 2e-5);
        )*};
    }
    let vit = vit_s_16().patch(8).size(64).depth(2).width(32).hidden(64).heads(2);
    holds! {
        resnet50() => [2.651813, -19.705366, -22.764256, -3.553452, 19.129606];
        mobilenet_v2() => [-1.002174, 0.782235, -0.481766, -0.059497, 0.740316];
        shufflenet_v2_x1_0() => [-0.882312, -0.133024, 0.630336, 1.215152, 1.481974];
        efficientnet_b0() => [-0.687049, -0.048564, 0.529799, -0.844049, 0.981589];
        densenet121() => [0.716148, 0.754239, 0.601293, 0.308751, -0.043705];
        vit => [-0.036963, 0.711438, -1.365511, 1.512803, -1.744733];
        mixer_s32().size(64) => [0.598481, 0.160681, -0.265819, -0.636025, -0.926856];
        unet().width(4) => [0.084450, 0.077559, 0.073602, 0.059332, 0.046314];
        cifar_resnet20() => [28_085.470703, 35_153.136719, 19_996.898438, -7_801.415039, -30_667.646484];
    }
    Ok(())
}
