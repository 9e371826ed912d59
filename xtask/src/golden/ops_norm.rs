//! Normalisations.

use thalweg_graph::{Mode, Module, Param, Path, Rng, State, Tensor, Visitor};
use thalweg_nn::BatchNorm;

use super::{
    call::{Call, Table},
    outcome::Stop,
};

pub const NORM: Table = &[
    ("batch_norm", batch_norm),
    ("layer_norm", |c| {
        let (shape, eps) = (normalized(c)?, c.attrs.number_or("eps", 1e-5)?);
        Ok(vec![c.x()?.layer_norm(&shape, c.named("weight"), c.named("bias"), eps)])
    }),
    ("rms_norm", |c| {
        let weight = weight(c);
        let (shape, eps) = (normalized(c)?, c.attrs.number_or("eps", f64::from(f32::EPSILON))?);
        Ok(vec![c.x()?.rms_norm(&shape, weight, eps)])
    }),
    ("group_norm", |c| {
        let groups = c.attrs.sizes("num_groups")?.and_then(|g| g.first().copied());
        let groups = groups.ok_or_else(|| Stop::wrong("no attribute num_groups"))?;
        let eps = c.attrs.number_or("eps", 1e-5)?;
        Ok(vec![c.x()?.group_norm(groups, c.named("weight"), c.named("bias"), eps)])
    }),
    ("instance_norm", |c| {
        // Whether there is a weight shows in the inputs; running statistics are none of the function's.
        c.attrs.flag("affine", true)?;
        c.attrs.only("use_input_stats", true.into())?;
        c.attrs.only("track_running_stats", false.into())?;
        Ok(vec![c.x()?.instance_norm(c.named("weight"), c.named("bias"), c.attrs.number_or("eps", 1e-5)?)])
    }),
    ("local_response_norm", |c| {
        let size = c.attrs.sizes("size")?.and_then(|s| s.first().copied());
        let size = size.ok_or_else(|| Stop::wrong("no attribute size"))?;
        let (alpha, beta) = (c.attrs.number_or("alpha", 1e-4)?, c.attrs.number_or("beta", 0.75)?);
        Ok(vec![c.x()?.local_response_norm(size, alpha, beta, c.attrs.number_or("k", 1.0)?)])
    }),
    ("weight_norm", |c| {
        let (v, g) = c.pair()?;
        // PyTorch writes "over all axes" as no axis or as -1.
        let axis = c.attrs.ints("dim")?.and_then(|d| d.first().copied()).filter(|d| *d != -1);
        Ok(vec![v.weight_norm(g, axis)])
    }),
    ("normalize", |c| {
        let (p, eps) = (c.attrs.number_or("p", 2.0)?, c.attrs.number_or("eps", 1e-12)?);
        Ok(vec![c.x()?.normalize(p, axis(c, 1)?, eps)])
    }),
    ("cosine_similarity", |c| {
        let (a, b) = c.pair()?;
        Ok(vec![a.cosine_similarity(b, axis(c, 1)?, c.attrs.number_or("eps", 1e-8)?)])
    }),
    ("pairwise_distance", |c| {
        let (a, b) = c.pair()?;
        let (p, eps) = (c.attrs.number_or("p", 2.0)?, c.attrs.number_or("eps", 1e-6)?);
        let y = a.pairwise_distance(b, p, eps);
        Ok(vec![if c.attrs.flag("keepdim", false)? { y.unsqueeze(-1) } else { y }])
    }),
    ("cdist", |c| {
        let (a, b) = c.pair()?;
        // How PyTorch gets there; ours is always the direct way.
        c.attrs.word("compute_mode", "")?;
        Ok(vec![a.cdist(b, c.attrs.number_or("p", 2.0)?)])
    }),
];

/// The axes as given, or those of the weight, or the last.
fn normalized(c: &Call) -> Result<Vec<usize>, Stop> {
    let last = || c.x().map(|x| x.shape().last().copied().into_iter().collect());
    match (c.attrs.sizes("normalized_shape")?, weight(c)) {
        (Some(shape), _) => Ok(shape),
        (None, Some(weight)) => Ok(weight.shape().to_vec()),
        (None, None) => last(),
    }
}

/// The index has it under two names.
fn weight<'a>(c: &'a Call) -> Option<&'a Tensor> {
    c.named("weight").or_else(|| c.named("w"))
}

fn axis(c: &Call, default: isize) -> Result<isize, Stop> {
    Ok(c.attrs.ints("dim")?.and_then(|d| d.first().copied()).unwrap_or(default))
}

/// Evaluation mode alone: `eval()` also stops tracking the parameters, whose gradients the index wants.
struct Evaluate;

impl Visitor for Evaluate {
    fn param(&mut self, _: &Path, _: &Param) {}
    fn mode(&mut self, _: &Path, mode: &Mode) {
        mode.set(false);
    }
}

/// The layer of as many axes of space as there are.
fn batch_norm(c: &Call) -> Result<Vec<Tensor>, Stop> {
    match c.x()?.rank() {
        ..=3 => batch_norm_of::<1>(c),
        4 => batch_norm_of::<2>(c),
        _ => batch_norm_of::<3>(c),
    }
}

fn batch_norm_of<const N: usize>(c: &Call) -> Result<Vec<Tensor>, Stop> {
    let x = c.x()?;
    let channels = *x.shape().get(1).ok_or_else(|| Stop::wrong("an input without channels"))?;
    let affine = c.attrs.flag("affine", true)?;
    let config = BatchNorm::<N>::new(channels)
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
        let value = match (c.named(name), &*slot) {
            (Some(value), _) => value.clone(),
            (None, Some(state)) => state.tensor().cast(c.dtype),
            (None, None) => continue,
        };
        *slot = Some(State::new(value)?);
    }
    if !c.attrs.flag("training", false)? {
        layer.visit(&Path::default(), &mut Evaluate);
    }
    let y = layer.forward(x);
    let running = [&layer.running_mean, &layer.running_var].map(|state| state.as_ref().map(State::tensor));
    match &running {
        [Some(mean), Some(var)] => c.in_order(&[("y", &y), ("running_mean", mean), ("running_var", var)]),
        _ => c.in_order(&[("y", &y)]),
    }
}
