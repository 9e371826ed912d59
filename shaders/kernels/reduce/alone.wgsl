// reduce_alone: what is combined over `inner`, for every point of `outer`, by one invocation.
//
//    point 0: t0 → → → → → →        each sweep walks over all of `inner`, and the next knows what it came to:
//    point 1: t1 → → → → → →        a softmax has one for the maximum, one for the sum, and a last one that stores
//    point 2: t2 → → → → → →
//
// holes, functions that the generator writes; of sweep 0, and so on:
//    row0(p, t) -> Row0                    coordinates of point t, and what is computed once there
//    start0() -> Sums0                     all that is combined, of no elements
//    take0(p, Row0, j.., Sums0) -> Sums0   with the elements at j..; stores those that are results
//    row1(p, Row0, Sums0) -> Row1          what later sweeps need of this one; stores what a point has once
//    put(p, Row, j..)                      of a last sweep that combines nothing: stores elements

@compute @workgroup_size(${width})
fn reduce_alone(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lid: u32) {
    let p = params;
    let t = (wid.y * nwg.x + wid.x) * ${width}u + lid;
    if t >= p.points { return; }
    let at0 = row0(p, t);
//% for s in range(sweeps)
    var sums${s} = start${s}();
//% for d in range(steps|length)
    for (var j${d} = 0u; j${d} < p.inner_${d}; j${d} += ${steps[d]}u) {
//% endfor
        sums${s} = take${s}(p, at${s}${js}, sums${s});
//% for d in range(steps|length)
    }
//% endfor
    let at${s + 1} = row${s + 1}(p, at${s}, sums${s});
//% endfor
//% if puts
//% for d in range(steps|length)
    for (var j${d} = 0u; j${d} < p.inner_${d}; j${d} += ${steps[d]}u) {
//% endfor
        put(p, at${sweeps}${js});
//% for d in range(steps|length)
    }
//% endfor
//% endif
}
