// Comparisons that survive compilers which assume that no number is NaN or infinite: bits are tested, not values.

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
