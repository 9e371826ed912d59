//! Blocks of convolutions, a convolution over a graph, and an autoencoder.

use thalweg_graph::{DType, Module, Rng, Tensor};
use thalweg_nn::{
    Activation, BatchNorm2d, Conv2d, DepthwiseSeparable, GraphConv, LayerConfig, Linear, Mse, Reduction, Residual,
    Sequential, SqueezeExcite,
};

use super::{
    call::{Call, Table},
    outcome::Stop,
};

pub const BLOCKS: Table = &[
    ("resnet_basic", |c| {
        let conv = |name| {
            let [outputs, inputs, height, width] = dims(c, name)?;
            let conv = Conv2d::new(inputs, outputs, [height, width]).padding([height / 2, width / 2]).bias(false);
            made(c, conv)
        };
        let norm = |name| made(c, BatchNorm2d::new(dims::<1>(c, name)?[0]).eps(c.attrs.number_or("eps", 1e-5)?));
        let (first, second) = ((conv("c1")?, norm("g1")?), (conv("c2")?, norm("g2")?));
        let body = Sequential::new().then(first.0).then(first.1).then(Activation::Relu).then(second.0).then(second.1);
        let names = ["c1", "g1", "b1", "c2", "g2", "b2"];
        Ok(vec![filled(c, Residual::new(body), &names)?.forward(c.x()?).relu()])
    }),
    ("squeeze_excite", |c| {
        let [squeezed, channels] = dims(c, "w1")?;
        let block = SqueezeExcite::new(channels, squeezed).activation(Activation::Silu);
        Ok(vec![filled(c, made(c, block)?, &["w1", "b1", "w2", "b2"])?.forward(c.x()?)])
    }),
    ("separable_conv", |c| {
        let ([channels, _, height, width], [outputs, ..]) = (dims::<4>(c, "dw")?, dims::<4>(c, "pw")?);
        let stride = c.attrs.sizes("stride")?.and_then(|s| s.first().copied()).unwrap_or(1);
        let bias = c.named("b").is_some();
        let block = DepthwiseSeparable::<2>::new(channels, outputs, [height, width])
            .padding([height / 2, width / 2])
            .stride(stride)
            .bias(bias);
        let names: &[&str] = if bias { &["dw", "pw", "b"] } else { &["dw", "pw"] };
        Ok(vec![filled(c, made(c, block)?, names)?.forward(c.x()?)])
    }),
    ("gcn", |c| {
        let (adjacency, x) = c.pair()?;
        let edges = GraphConv::normalised(&adjacency.cast(c.dtype.promote(DType::F32)));
        Ok(vec![edges.matmul(&x.matmul(c.arg(2)?)).relu()])
    }),
    ("vae", |c| {
        let x = c.x()?;
        let linear = |name: &str| {
            let [outputs, inputs] = dims(c, name)?;
            filled(c, made(c, Linear::new(inputs, outputs).bias(false))?, &[name])
        };
        let (mean, log_var) = (linear("wm")?.forward(x), linear("wl")?.forward(x));
        let eps = c.named("eps").ok_or_else(|| Stop::wrong("no input eps"))?;
        let z = &mean + eps * (&log_var * 0.5).exp();
        let error = Mse { reduction: Reduction::Sum }.loss(&linear("wd")?.forward(&z), x);
        // To the standard normal distribution.
        let divergence = (mean.square() + log_var.exp() - &log_var - 1.0) * 0.5;
        Ok(vec![error + divergence.cast(c.dtype.promote(DType::F32)).sum(..)])
    }),
];

/// The extents of an input.
fn dims<const N: usize>(c: &Call, name: &str) -> Result<[usize; N], Stop> {
    Ok(c.named(name).ok_or_else(|| Stop::wrong(format!("no input {name}")))?.dims()?)
}

fn made<S: LayerConfig>(c: &Call, settings: S) -> Result<S::Layer, Stop> {
    Ok(settings.init(c.device, &mut Rng::seed(0))?)
}

/// A layer with inputs of the case as its parameters, in order.
fn filled<M: Module>(c: &Call, layer: M, inputs: &[&str]) -> Result<M, Stop> {
    let layer = layer.cast(c.dtype)?;
    let params = layer.params();
    if params.len() != inputs.len() {
        return Err(Stop::wrong(format!("{} parameters for {} inputs", params.len(), inputs.len())));
    }
    for (input, (_, param)) in inputs.iter().zip(&params) {
        let value: &Tensor = c.named(input).ok_or_else(|| Stop::wrong(format!("no input {input}")))?;
        param.set(&value.detach().reshape(param.shape()))?;
        c.stands_for(input, param.tensor());
    }
    Ok(layer)
}
