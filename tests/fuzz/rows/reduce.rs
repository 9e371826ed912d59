//! Reductions over any axes.

use super::*;

rows! { a;
    sum(x: float) { axes = a.axes(x) } x.sum(axes.as_slice());
    sum_keepdim(x: float) { axes = a.axes(x) } x.sum_keepdim(axes.as_slice());
    sum_all(x: float) {} x.sum(..);
    mean(x: full) { axes = a.axes(x) } x.mean(axes.as_slice());
    mean_keepdim(x: full) { axes = a.axes(x) } x.mean_keepdim(axes.as_slice());
    centred(x: full) { axes = a.axes(x) } x - x.mean_keepdim(axes.as_slice());
    prod(x: full) { axes = a.axes(x) } (x.tanh() * 0.25 + 1.0).prod(axes.as_slice());
    prod_with_zeros(x: full) { axes = a.axes(x) } x.tanh().prod_keepdim(axes.as_slice());
    amax(x: full) { axes = a.axes(x) } x.amax(axes.as_slice());
    amax_keepdim(x: full) { axes = a.axes(x) } x.amax_keepdim(axes.as_slice());
    amin(x: full) { axes = a.axes(x) } x.amin(axes.as_slice());
    amin_keepdim(x: full) { axes = a.axes(x) } x.amin_keepdim(axes.as_slice());
    max(x: vector) { axis = a.axis(x)? } x.max(axis).0;
    max_at(x: vector) { axis = a.axis(x)? } x.max(axis).1;
    min(x: vector) { axis = a.axis(x)? } x.min(axis).0;
    min_both(x: vector) { axis = a.axis(x)?, float = a.float() } {
        let (value, at) = x.min(axis);
        value * (at.cast(float) + 1.0)
    };
    argmax(x: full) { axes = a.axes(x) } x.argmax(axes.as_slice());
    argmin(x: full) { axes = a.axes(x) } x.argmin(axes.as_slice());
    var(x: full) { axes = a.axes(x), less = a.size(0, 1)? } (x.count() > 1).then(|| x.var(axes.as_slice(), less))?;
    var_keepdim(x: full) { axes = a.axes(x) } x.var_keepdim(axes.as_slice(), 0);
    std(x: vector) { axis = a.axis(x)? } (x.var(axis, 0) + 0.125).sqrt();
    logsumexp(x: full) { axes = a.axes(x) } x.logsumexp(axes.as_slice());
    logsumexp_keepdim(x: full) { axes = a.axes(x) } x.logsumexp_keepdim(axes.as_slice());
    softmax(x: vector) { axis = a.axis(x)? } x.softmax(axis);
    log_softmax(x: vector) { axis = a.axis(x)? } x.log_softmax(axis);
    softmin(x: vector) { axis = a.axis(x)? } x.softmin(axis);
    vector_norm(x: full) { p = a.one(&[1.0, 2.0, 3.0, f64::INFINITY, 1.5]), axes = a.axes(x) }
        (x.square() + 0.125).vector_norm(p, axes.as_slice());
    vector_norm_keepdim(x: full) { p = a.one(&[1.0, 2.0, 0.0]), axes = a.axes(x) }
        x.vector_norm_keepdim(p, axes.as_slice());
    count_nonzero(x: full) { axes = a.axes(x) } x.count_nonzero(axes.as_slice());
    any(x: truth) { axes = a.axes(x) } x.any(axes.as_slice());
    any_keepdim(x: truth) { axes = a.axes(x) } x.any_keepdim(axes.as_slice());
    all(x: truth) { axes = a.axes(x) } x.all(axes.as_slice());
    all_keepdim(x: truth) { axes = a.axes(x) } x.all_keepdim(axes.as_slice());
    int_sum(x: int) { axes = a.axes(x) } x.sum(axes.as_slice());
    int_amax(x: int) { axes = a.axes(x) } (x.count() > 0).then(|| x.amax(axes.as_slice()))?;
    int_argmin(x: int) { axes = a.axes(x) } (x.count() > 0).then(|| x.argmin(axes.as_slice()))?;
}
