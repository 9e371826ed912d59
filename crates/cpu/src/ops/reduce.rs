//! Reductions over a set of axes, which stay with extent 1.

use thalweg_ir::{
    DType, ReduceOp,
    op::binary::BinaryOp,
    shape::{count, strides},
};

use super::{Array, for_each_index, offset};

/// Combines the elements of `x` along `axes` in row-major order. `dtype` is that of `x`.
pub fn reduce(op: ReduceOp, axes: &[usize], dtype: DType, x: Array) -> Vec<f64> {
    let steps = strides(x.shape);
    let extent = |reduced: bool| -> Vec<usize> {
        (0..x.shape.len()).map(|d| if axes.contains(&d) == reduced { x.shape[d] } else { 1 }).collect()
    };
    let (outer, inner) = (extent(false), extent(true));
    // Where each reduced element lies behind the first of its set.
    let mut within = Vec::with_capacity(count(&inner));
    for_each_index(&inner, |i| within.push(offset(i, &steps)));

    let mut y = Vec::with_capacity(count(&outer));
    for_each_index(&outer, |o| {
        let base = offset(o, &steps);
        y.push(combine(op, dtype, within.iter().map(|w| x.data[base + w])));
    });
    y
}

fn combine(op: ReduceOp, dtype: DType, set: impl Iterator<Item = f64>) -> f64 {
    match op {
        ReduceOp::Sum => sum(set),
        ReduceOp::Prod => set.fold(1.0, |y, x| BinaryOp::Mul.reference_of(dtype, y, x)),
        ReduceOp::Max => set.fold(f64::NEG_INFINITY, |y, x| BinaryOp::Max.reference(y, x)),
        ReduceOp::Min => set.fold(f64::INFINITY, |y, x| BinaryOp::Min.reference(y, x)),
        ReduceOp::ArgMax => first(set, |x, best| x > best),
        ReduceOp::ArgMin => first(set, |x, best| x < best),
    }
}

/// A sum with the rounding errors of its additions carried along, so that sums that cancel (the gradient of a bias ahead of
/// a normalisation) come out as near zero as they are. Neumaier 1974, "Rundungsfehleranalyse einiger Verfahren zur
/// Summation endlicher Summen".
fn sum(set: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut lost) = (0.0f64, 0.0f64);
    for x in set {
        let next = sum + x;
        lost += if sum.abs() >= x.abs() { (sum - next) + x } else { (x - next) + sum };
        sum = next;
    }
    // Of infinities nothing is lost, but the difference is not a number.
    if lost.is_finite() { sum + lost } else { sum }
}

/// The position of the first element that none is `better` than. A NaN is better than any number.
fn first(set: impl Iterator<Item = f64>, better: fn(f64, f64) -> bool) -> f64 {
    let mut best: Option<(usize, f64)> = None;
    for (i, x) in set.enumerate() {
        if best.is_none_or(|(_, b)| better(x, b) || (x.is_nan() && !b.is_nan())) {
            best = Some((i, x));
        }
    }
    best.map_or(0.0, |(i, _)| i as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reduces_the_named_axes_only() {
        let x = Array { data: &[1.0, 5.0, 2.0, 4.0, 3.0, 5.0], shape: &[2, 3] };
        let of = |op, axes: &[usize]| reduce(op, axes, DType::F32, x);
        assert_eq!(of(ReduceOp::Sum, &[1]), [8.0, 12.0]);
        assert_eq!(of(ReduceOp::Max, &[0]), [4.0, 5.0, 5.0]);
        assert_eq!(of(ReduceOp::ArgMax, &[0, 1]), [1.0]);
        assert_eq!(of(ReduceOp::ArgMin, &[1]), [0.0, 1.0]);
        assert_eq!(of(ReduceOp::Prod, &[]), x.data);
    }

    #[test]
    fn sums_that_cancel_lose_nothing() {
        assert_eq!(sum([1.0, 1e100, 1.0, -1e100].into_iter()), 2.0);
        assert_eq!(sum([1.0, f64::INFINITY].into_iter()), f64::INFINITY);
        assert!(sum([f64::INFINITY, f64::NEG_INFINITY].into_iter()).is_nan());
    }

    #[test]
    fn integer_products_wrap() {
        let x = Array { data: &[65536.0, 65537.0], shape: &[2] };
        assert_eq!(reduce(ReduceOp::Prod, &[0], DType::U32, x), [65536.0]);
    }
}
