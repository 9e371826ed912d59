//! Functions of two operands and more, element by element, and joins.

use super::*;

rows! { a;
    add(x: float, y: float_with) {} x + y;
    sub(x: float, y: float_with) {} x - y;
    mul(x: float, y: float_with) {} x * y;
    div(x: float, y: float_with) {} x / (y.square() + 0.5);
    pow(x: float, y: float_with) {} (x.square() + 0.25).pow(y.tanh());
    maximum(x: float, y: float_with) {} x.maximum(y);
    minimum(x: float, y: float_with) {} x.minimum(y);
    fmod(x: float, y: float_with) {} x.fmod(y.square() + 0.5);
    remainder(x: float, y: float_with) {} x.remainder(y.square() + 0.5);
    floor_divide(x: float, y: float_with) {} x.floor_divide(y.square() + 0.5);
    atan2(x: float, y: float_with) {} x.atan2(y.square() + 0.25);
    hypot(x: float, y: float_with) {} x.hypot(y.square() + 0.25);
    logaddexp(x: float, y: float_with) {} x.logaddexp(y);
    // Which of its two zeros a sum is, nobody says.
    copysign(x: float, y: float_with) {} x.copysign(y.detach().eq(0.0).where_(1.0, y));
    mul_add(x: float, y: float_with, z: float_with) {} x * y + z;
    lerp(x: float, y: float_with) { w = a.weight(&[]) } x + (y - x) * &w;
    clamp_between(x: float, y: float_with) {} x.clamp_between(y, y + 1.0);
    biased(x: vector) { w = a.weight(&x.shape()[x.rank() - 1..]) } x * &w + &w;

    // Of computed numbers, rounding decides; of whole ones it does not.
    eq(x: float, y: float_with) {} x.round().eq(y.round());
    ne(x: float, y: float_with) {} x.round().ne(y.round());
    lt(x: float, y: float_with) {} x.lt(y);
    le(x: float, y: float_with) {} x.le(y);
    gt(x: float, y: float_with) {} x.gt(y);
    ge(x: float, y: float_with) {} x.ge(y);
    gt_number(x: float) { c = a.number(-1.0, 1.0) } x.gt(c);
    where_(c: truth, x: float_with, y: float_with) {} c.where_(x, y);
    where_number(c: truth, x: float_with) { v = a.number(-1.0, 1.0) } c.where_(x, v);
    gate(x: float, y: float_with) {} x.gt(y).where_(x, y * 0.5);
    masked_fill(x: float) { mask = a.bools(x.shape()), v = a.number(-1.0, 1.0) } x.masked_fill(&mask, v);

    int_sum(x: int, y: int_with) {} x + y;
    int_difference(x: int, y: int_with) {} x - y;
    int_product(x: int, y: int_with) {} x * y;
    int_quotient(x: int, y: int_with) {} x / (y.abs() + 1.0);
    int_remainder(x: int, y: int_with) {} x.fmod(y.abs() + 1.0);
    int_maximum(x: int, y: int_with) {} x.maximum(y);
    int_lt(x: int, y: int_with) {} x.lt(y);
    int_eq(x: int, y: int_with) {} x.eq(y);
    int_xor(x: int, y: int_with) {} x.xor(y);
    int_or(x: int, y: int_with) {} x.or(y);
    int_where(c: truth, x: int_with, y: int_with) {} c.where_(x, y);
    int_times_float(x: int, y: float_with) {} x * y;
    bool_times_float(x: truth, y: float_with) { float = a.float() } x.cast(float) * y;
    and(x: truth, y: truth_with) {} x.and(y);
    or(x: truth, y: truth_with) {} x.or(y);
    xor(x: truth, y: truth_with) {} x.xor(y);

    concat(x: vector, y: alike) { axis = a.axis(x)? } x.concat_with(std::slice::from_ref(y), axis);
    concat_part(x: vector, y: alike) { axis = a.axis(x)?, n = a.size(0, extent(x, axis))? }
        x.narrow(axis, 0, n).concat_with(&[y.clone(), x.clone()], axis);
    concat_any(x: joinable, y: alike) { axis = a.axis(x)? } x.concat_with(std::slice::from_ref(y), axis);
    stack(x: any, y: alike) { axis = a.size(0, x.rank())? }
        Tensor::stack([x, y, x], axis);
    concat_many(x: vector) { n = a.size(2, 40)?, axis = a.axis(x)? }
        x.concat_with((0..n).map(|i| x + i as f64).collect::<Vec<_>>(), axis);
    meshgrid(x: line, y: line) {} Tensor::meshgrid([x, y]).iter().fold(x.sum(..), |s, t| s + t);
}

fn line(_: &[&Slot], s: &Slot) -> bool {
    s.dtype.is_float() && s.shape.len() == 1 && s.shape[0] < 60
}

fn joinable(_: &[&Slot], s: &Slot) -> bool {
    !s.shape.is_empty()
}
