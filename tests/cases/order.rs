use thalweg_graph::{Interpolation, Tensor};

use crate::{Case, Draw, cases::floats};

/// Scans and sorts along an axis of this length, between two others.
pub fn order(n: usize) -> Vec<Case> {
    let shape = [2, n, 3];
    let name = |name: &str| format!("{name} of {n}");
    // Factors near 1, so that long products neither vanish nor overflow.
    let factors = Draw::Uniform(shape.to_vec(), 0.9, 1.1);
    let mut cases = vec![
        Case::new(name("cumsum"), vec![floats(&shape)], |x| x[0].square().cumsum(1)).terms(n),
        Case::new(name("cumprod"), vec![factors], |x| x[0].cumprod(1)).terms(n),
        Case::new(name("logcumsumexp"), vec![floats(&shape)], |x| x[0].logcumsumexp(-2)).terms(n),
    ];
    type Order = fn(&Tensor) -> Tensor;
    let kinked: [(&str, Order); 9] = [
        ("cummax", |x| with_index(x.cummax(1))),
        ("cummin", |x| with_index(x.cummin(1))),
        ("sort", |x| with_index(x.sort(1, false))),
        ("sort descending", |x| with_index(x.sort(1, true))),
        ("topk", |x| with_index(x.topk(2, 1, true))),
        ("median", |x| with_index(x.median(1))),
        ("kthvalue", |x| with_index(x.kthvalue(2, 1))),
        ("quantile", |x| x.quantile(0.3, 1, Interpolation::Linear)),
        ("nanquantile", |x| x.nanquantile(0.7, 1, Interpolation::Midpoint)),
    ];
    for (op, f) in kinked {
        cases.push(Case::new(name(op), vec![floats(&shape)], move |x| f(&x[0])).kinked());
    }
    cases
}

/// Values scaled by where they stood, so that a wrong index shows.
fn with_index((values, index): (Tensor, Tensor)) -> Tensor {
    values * (index.cast(thalweg_graph::DType::F32) + 1.0)
}
