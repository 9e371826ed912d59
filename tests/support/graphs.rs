//! Random graphs: the same seed gives the same graph on every device.

use thalweg_graph::{Rng, Tensor};

use crate::{Case, Draw, Seed, Tol};

/// A graph of a few dozen ops over three small inputs, with views, reductions and products among them.
pub fn random_graph(seed: Seed) -> Case {
    let mut rng = Rng::seed(seed.0 ^ 0x5eed);
    let mut extent = || 1 + rng.below(6) as usize;
    let (a, b) = (extent(), extent());
    let inputs = [vec![a, b], vec![b], vec![a, 1]].map(|shape| Draw::Uniform(shape, -1.5, 1.5)).to_vec();
    let f = move |x: &[Tensor]| build(seed, x);
    Case { tol: Tol(2e-5), ..Case::new(format!("random graph {}", seed.0), inputs, f) }
}

fn build(seed: Seed, inputs: &[Tensor]) -> Tensor {
    let mut rng = Rng::seed(seed.0);
    let mut pool: Vec<Tensor> = inputs.to_vec();
    for _ in 0..10 + rng.below(30) {
        // Younger tensors are likelier, so that chains grow long.
        let pick = |rng: &mut Rng, pool: &[Tensor]| {
            let n = pool.len() as u32;
            pool[rng.below(n).max(rng.below(n)) as usize].clone()
        };
        let x = pick(&mut rng, &pool);
        let y = pick(&mut rng, &pool);
        let next = match rng.below(24) {
            0 => x.tanh(),
            1 => x.sigmoid(),
            2 => (x * 0.5).exp().minimum(3.0),
            3 => x.sin(),
            4 => x.relu(),
            5 => x.square() * 0.3,
            6 => (x.square() + 0.5).sqrt(),
            7 => (x.square() + 0.5).log(),
            8..=10 => combine(&x, &y, |a, b| a + b),
            11 | 12 => combine(&x, &y, |a, b| (a * b).tanh()),
            13 => combine(&x, &y, |a, b| a / (b.square() + 1.0)),
            14 => combine(&x, &y, |a, b| a.gt(b).where_(a, b * 0.5)),
            15 if x.rank() > 0 => x.mean_keepdim(rng.below(x.rank() as u32) as isize),
            16 if x.rank() > 0 => x.amax_keepdim(rng.below(x.rank() as u32) as isize),
            17 if x.rank() > 0 => x.softmax(rng.below(x.rank() as u32) as isize),
            18 if x.rank() > 1 => x.transpose(0, -1),
            19 if x.rank() > 0 => x.flip(-1),
            20 if x.rank() > 0 && x.shape()[0] > 1 => x.slice(0, 1..),
            21 if x.rank() > 0 && x.rank() < 4 => x.pad(&[(1, 0)], 0.25).tanh(),
            22 if x.rank() == 2 => x.matmul(&x.t()).tanh(),
            23 if x.rank() > 0 && x.rank() < 4 => x.concat_with(&[&x * -0.5], 0),
            _ => x * 0.9 + 0.1,
        };
        // Broadcasting must not make it grow without bound.
        if next.count() <= 2000 {
            pool.push(next);
        }
    }
    // Everything that was made takes part, and some of it more than once.
    let n = pool.len();
    pool.into_iter().skip(n / 2).map(|t| t.mean(..)).reduce(|a, b| a + b).unwrap_or_else(|| inputs[0].clone())
}

/// `f` of the two where they broadcast, else of the first alone.
fn combine(x: &Tensor, y: &Tensor, f: impl Fn(&Tensor, &Tensor) -> Tensor) -> Tensor {
    match thalweg_graph::shape::broadcast(x.shape(), y.shape()) {
        Some(_) => f(x, y),
        None => f(x, &y.mean(..)),
    }
}
