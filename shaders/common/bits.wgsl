// Comparisons that survive compilers which assume that no number is NaN or infinite: bits are tested, not values.

// A number and its position, for searches. Of two the one that comes first in a search for the first largest element:
// NaN is larger than all.
fn argmax_f32(a: vec2u, b: vec2u) -> vec2u {
    let x = bitcast<f32>(a.x);
    let y = bitcast<f32>(b.x);
    let nx = is_nan_bits(x);
    let ny = is_nan_bits(y);
    let number = !ny && (x > y || (x == y && a.y < b.y));
    return select(b, a, select(number, !ny || a.y < b.y, nx));
}

// The same for the first smallest.
fn argmin_f32(a: vec2u, b: vec2u) -> vec2u {
    let x = bitcast<f32>(a.x);
    let y = bitcast<f32>(b.x);
    let nx = is_nan_bits(x);
    let ny = is_nan_bits(y);
    let number = !ny && (x < y || (x == y && a.y < b.y));
    return select(b, a, select(number, !ny || a.y < b.y, nx));
}

fn argmax_i32(a: vec2u, b: vec2u) -> vec2u {
    return select(b, a, i32(a.x) > i32(b.x) || (a.x == b.x && a.y < b.y));
}

fn argmin_i32(a: vec2u, b: vec2u) -> vec2u {
    return select(b, a, i32(a.x) < i32(b.x) || (a.x == b.x && a.y < b.y));
}

fn argmax_u32(a: vec2u, b: vec2u) -> vec2u {
    return select(b, a, a.x > b.x || (a.x == b.x && a.y < b.y));
}

fn argmin_u32(a: vec2u, b: vec2u) -> vec2u {
    return select(b, a, a.x < b.x || (a.x == b.x && a.y < b.y));
}
