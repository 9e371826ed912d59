// contract_sum: the partial sums of a contraction whose k was split, added in a fixed order, and the body on each.
//
//    part 0   s s s s s s …          scratch[part][point], a vector of four columns to a point where the body takes four,
//    part 1   s s s s s s …          else one
//    part 2   s s s s s s …
//             ↓ ↓ ↓ ↓ ↓ ↓            an invocation adds the parts of a point, from the first to the last
//
// holes, functions that the generator writes:
//    partial(i) -> Sum               a vector of scratch memory, or one number
//    columns(p, batch, part, column) -> Columns
//    store(p, Columns, row, acc)     as of contract_staged

@compute @workgroup_size(${size})
fn contract_sum(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lid: u32) {
    let p = params;
    let t = (wid.y * nwg.x + wid.x) * ${size}u + lid;
    if t >= p.points { return; }
    var acc = Sum();
    for (var part = 0u; part < p.parts; part++) {
        acc += partial(part * p.points + t);
    }
    let row = t / p.columns_each;
    let batch = row / p.m;
    store(p, columns(p, batch, 0u, (t - row * p.columns_each) * ${each}u), row - batch * p.m, acc);
}
