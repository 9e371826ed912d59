//! Normalisations.

use thalweg_graph::{Mode, Module, Param, Path, Rng, State, Tensor, Visitor};
use thalweg_nn::BatchNorm2d;

use super::{
    Stop,
    call::{Call, Table},
};

pub const NORM: Table = &[("batch_norm", batch_norm)];

/// Evaluation mode alone: `eval()` also stops tracking the parameters, whose gradients the index wants.
struct Evaluate;

impl Visitor for Evaluate {
    fn param(&mut self, _: &Path, _: &Param) {}
    fn mode(&mut self, _: &Path, mode: &Mode) {
        mode.set(false);
    }
}

/// The layer has two spatial axes; one or none is an extent of 1, three are two flattened.
fn batch_norm(c: &Call) -> Result<Vec<Tensor>, Stop> {
    let x = c.x()?;
    let shape = x.shape();
    let channels = *shape.get(1).ok_or_else(|| Stop::wrong("an input without channels"))?;
    let affine = c.attrs.flag("affine", true)?;
    let config = BatchNorm2d::new(channels)
        .momentum(c.attrs.number_or("momentum", 0.1)?)
        .eps(c.attrs.number_or("eps", 1e-5)?)
        .affine(affine && c.named("weight").is_some());
    let mut layer = config.init(c.device, &mut Rng::seed(0))?;
    for (name, slot) in [("weight", &mut layer.weight), ("bias", &mut layer.bias)] {
        if let Some(value) = c.named(name) {
            let param = Param::new(value.detach())?;
            c.stands_for(name, param.tensor());
            *slot = Some(param);
        }
    }
    for (name, slot) in [("rm", &mut layer.running_mean), ("rv", &mut layer.running_var)] {
        match c.named(name) {
            Some(value) => *slot = State::new(value.clone())?,
            None => *slot = State::new(slot.tensor().cast(c.dtype))?,
        }
    }
    if !c.attrs.flag("training", false)? {
        layer.visit(&Path::default(), &mut Evaluate);
    }
    let rest: usize = shape.iter().skip(3).product();
    let y = layer.forward(&x.reshape([shape[0], channels, shape.get(2).copied().unwrap_or(1), rest])).reshape(shape);
    c.in_order(&[
        ("y", &y),
        ("running_mean", &layer.running_mean.tensor()),
        ("running_var", &layer.running_var.tensor()),
    ])
}
