// Comparisons that survive compilers which assume that no number is NaN or infinite: bits are tested, not values.

fn is_nan_bits(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

fn is_inf_bits(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7fffffffu) == 0x7f800000u;
}

// The larger; NaN if there is one.
fn max_f32(a: f32, b: f32) -> f32 {
    return select(select(max(a, b), b, is_nan_bits(b)), a, is_nan_bits(a));
}

// The smaller; NaN if there is one.
fn min_f32(a: f32, b: f32) -> f32 {
    return select(select(min(a, b), b, is_nan_bits(b)), a, is_nan_bits(a));
}

// Whether (a, i) comes before (b, j) in a search for the first largest element: NaN is larger than all.
fn arg_before_max(a: f32, i: i32, b: f32, j: i32) -> bool {
    let na = is_nan_bits(a);
    let nb = is_nan_bits(b);
    return select(select(a > b || (a == b && i < j), false, nb), !nb || i < j, na);
}

// The same for the first smallest.
fn arg_before_min(a: f32, i: i32, b: f32, j: i32) -> bool {
    let na = is_nan_bits(a);
    let nb = is_nan_bits(b);
    return select(select(a < b || (a == b && i < j), false, nb), !nb || i < j, na);
}
