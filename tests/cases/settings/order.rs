use thalweg_graph::{Interpolation, Tensor};

use super::constant::constant;
use crate::{Case, Draw, cases::floats};

/// Quantiles of every kind, ranks from either end, and axes that are sorted by merging.
pub fn order() -> Vec<Case> {
    use Interpolation::*;
    let mut cases = Vec::new();
    for how in [Linear, Lower, Higher, Nearest, Midpoint] {
        for q in [0.0, 0.37, 1.0] {
            let name = |name: &str| format!("{name} {q} {how:?}");
            let input = || vec![floats(&[2, 6, 2])];
            cases.push(Case::new(name("quantile"), input(), move |x| x[0].exp().quantile(q, 1, how)));
            cases.push(Case::new(name("nanquantile"), input(), move |x| x[0].exp().nanquantile(q, 0, how)));
        }
    }
    type Order = fn(&Tensor) -> Tensor;
    let short: [(&str, Order); 7] = [
        ("topk of the smallest", |x| x.topk(3, 1, false).0),
        ("kthvalue from the end", |x| x.kthvalue(6, 1).0),
        ("nanmedian", |x| x.nanmedian(1).0),
        ("nanmedian past some", |x| with_nan(x).nanmedian(1).0),
        ("nanquantile past some", |x| with_nan(x).nanquantile(0.4, 1, Linear)),
        ("sort of a single one", |x| x.slice(1, ..1).sort(1, true).0),
        ("cummax from the end", |x| x.flip(1).cummax(1).0),
    ];
    // Squares of what lies on both sides of 0 are in another order, and no two are close.
    for (name, f) in short {
        let inputs = vec![Draw::Uniform(vec![2, 6, 2], 0.5, 3.0)];
        cases.push(Case::new(name, inputs, move |x| f(&x[0].square())));
    }
    let long: [(&str, Order); 5] = [
        ("sort of 600", |x| weighed(&x.sort(0, false).0)),
        ("sort of 600 descending", |x| weighed(&x.sort(0, true).0)),
        ("topk of 600", |x| weighed(&x.topk(20, 0, true).0)),
        ("median of 600", |x| x.median(0).0),
        ("quantile of 600", |x| x.quantile(0.3, 0, Linear)),
    ];
    cases.extend(long.into_iter().map(|(name, f)| Case::new(name, vec![floats(&[600])], move |x| f(&x[0].exp()))));
    cases
}

/// With its third column not a number, which no rank here reaches.
fn with_nan(x: &Tensor) -> Tensor {
    let column = Tensor::arange(x.device(), x.shape()[1]).unsqueeze(1);
    column.eq(2).where_(constant(x, f64::NAN), x)
}

/// Each scaled by its place.
fn weighed(x: &Tensor) -> Tensor {
    x * Tensor::arange(x.device(), x.shape()[0]).cast(x.dtype()) * 0.01
}
