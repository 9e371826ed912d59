//! Scans and orders along an axis.

use thalweg_graph::Interpolation;

use super::*;

const BETWEEN: [Interpolation; 5] = [
    Interpolation::Linear,
    Interpolation::Lower,
    Interpolation::Higher,
    Interpolation::Nearest,
    Interpolation::Midpoint,
];

rows! { a;
    cumsum(x: joinable) { axis = a.axis(x)? } x.cumsum(axis);
    int_cumsum(x: ints) { axis = a.axis(x)? } x.cumsum(axis);
    cumprod(x: vector) { axis = a.axis(x)? } (x.tanh() * 0.125 + 1.0).cumprod(axis);
    logcumsumexp(x: vector) { axis = a.axis(x)? } x.logcumsumexp(axis);
    cummax(x: vector) { axis = a.axis(x)? } x.cummax(axis).0;
    cummax_at(x: vector) { axis = a.axis(x)? } x.cummax(axis).1;
    cummin(x: vector) { axis = a.axis(x)? } x.cummin(axis).0;
    cummin_both(x: vector) { axis = a.axis(x)?, float = a.float() } {
        let (value, at) = x.cummin(axis);
        value * (at.cast(float) + 1.0)
    };
    sort(x: vector) { axis = a.short_axis(x, 2000)?, descending = a.flag() } x.sort(axis, descending).0;
    sort_both(x: vector) { axis = a.short_axis(x, 2000)?, descending = a.flag(), float = a.float() } {
        let (value, at) = x.sort(axis, descending);
        value * (at.cast(float) + 1.0)
    };
    argsort(x: vector) { axis = a.short_axis(x, 2000)?, descending = a.flag() } x.argsort(axis, descending);
    topk(x: vector) { axis = a.short_axis(x, 2000)?, k = a.size(1, extent(x, axis))?, largest = a.flag() } x.topk(k, axis, largest).0;
    topk_at(x: vector) { axis = a.short_axis(x, 2000)?, k = a.size(0, extent(x, axis))? } x.topk(k, axis, true).1;
    kthvalue(x: vector) { axis = a.short_axis(x, 2000)?, k = a.size(1, extent(x, axis))? } x.kthvalue(k, axis).0;
    median(x: vector) { axis = a.short_axis(x, 2000)? } x.median(axis).0;
    median_at(x: vector) { axis = a.short_axis(x, 2000)? } x.median(axis).1;
    quantile(x: vector) { axis = a.short_axis(x, 2000)?, q = a.number(0.0, 1.0), how = a.one(&BETWEEN) } x.quantile(q, axis, how);
    nanquantile(x: vector) { axis = a.short_axis(x, 2000)?, q = a.number(0.0, 1.0), how = a.one(&BETWEEN) }
        x.nanquantile(q, axis, how);
    nanmedian(x: vector) { axis = a.short_axis(x, 2000)? } x.nanmedian(axis).0;
    between_ranks(x: vector) { axis = a.short_axis(x, 2000)?, w = a.number(0.0, 1.0) } {
        let (order, _) = x.sort(axis, false);
        let (low, high) = (order.select(axis, 0), order.select(axis, -1));
        &low + (high - &low) * w
    };
}

fn joinable(_: &[&Slot], s: &Slot) -> bool {
    s.dtype.is_float() && !s.shape.is_empty()
}

fn ints(_: &[&Slot], s: &Slot) -> bool {
    s.dtype == DType::I32 && !s.shape.is_empty()
}
