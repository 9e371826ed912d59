// reduce_row, reduce_column: what is combined over `inner`, for W points of `outer` side by side, each by H invocations of a workgroup.
//
//    W = 1                                 W = 4
//    point 0: t0 t1 t2 t3 t0 t1 t2 t3      point:  0  1  2  3
//    neighbours take neighbours, then      j = 0   t0 t1 t2 t3        and then halves of the workgroup meet,
//    lanes and subgroups meet, or halves   j = 1   t4 t5 t6 t7        t0 and t4, t1 and t5, until there is one of each point
//                                          j = 2   t0 t1 t2 t3
//
// holes, functions that the generator writes; of sweep 0, and so on:
//    row0(p, t, who) -> Row0                    coordinates of point t, and what is computed once there
//    start0() -> Sums0                          all that is combined, of no elements
//    take0(p, Row0, who, j, Sums0) -> Sums0     with element j; stores those that are results
//    merge0(Sums0, Sums0) -> Sums0              two as one
//    shuffled0(Sums0, d) -> Sums0               those of lane ^ d
//    row1(p, Row0, who, Sums0) -> Row1          what later sweeps need of this one; stores what a point has once
//    put(p, Row, who, j)                        of a last sweep that combines nothing: stores an element

const W = ${width}u;
const H = ${height}u;

// Whether the point exists, and whether this invocation stores what it has once.
struct Who { inside: bool, first: bool }

//% for s in range(sweeps)
var<workgroup> sh${s}: array<Sums${s}, W * H>;

// A point's sums as one, in an order that does not change. Every invocation of the workgroup calls it, once.
//% if subgroups
fn total${s}(own: Sums${s}, lane: u32, sg_size: u32, sg_id: u32, sg_count: u32) -> Sums${s} {
    var sums = own;
    for (var d = 1u; d < sg_size; d <<= 1u) { sums = merge${s}(sums, shuffled${s}(sums, d)); }
    if lane == 0u { sh${s}[sg_id] = sums; }
    workgroupBarrier();                            // every subgroup has left its sums
    sums = sh${s}[0];
    for (var i = 1u; i < sg_count; i++) { sums = merge${s}(sums, sh${s}[i]); }
    return sums;
}
//% else
fn total${s}(own: Sums${s}, lid: u32) -> Sums${s} {
    sh${s}[lid] = own;
    for (var d = H / 2u; d > 0u; d >>= 1u) {
        workgroupBarrier();                        // everybody's sums of before are there
        if lid < d * W { sh${s}[lid] = merge${s}(sh${s}[lid], sh${s}[lid + d * W]); }
    }
    workgroupBarrier();                            // the last are
    return sh${s}[lid % W];
}
//% endif

//% endfor
@compute @workgroup_size(W * H)
//% if subgroups
fn ${entry}(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lid: u32,
    @builtin(subgroup_invocation_id) lane: u32, @builtin(subgroup_size) sg_size: u32, @builtin(subgroup_id) sg_id: u32,
    @builtin(num_subgroups) sg_count: u32) {
//% else
fn ${entry}(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lid: u32) {
//% endif
    let p = params;
    let group = wid.y * nwg.x + wid.x;
//% if width == 1
    if group >= p.points { return; }               // the whole workgroup
    let t = group;
    let who = Who(true, lid == 0u);
//% else
    let inside = group * W + lid % W < p.points;   // who has no point stays for the barriers
    let t = min(group * W + lid % W, p.points - 1u);
    let who = Who(inside, inside && lid < W);
//% endif
    let at0 = row0(p, t, who);
//% for s in range(sweeps)
    var sums${s} = start${s}();
    for (var j = lid / W * ${step}u; j < p.inner; j += H * ${step}u) {
        sums${s} = take${s}(p, at${s}, who, j, sums${s});
    }
//% if subgroups
    let at${s + 1} = row${s + 1}(p, at${s}, who, total${s}(sums${s}, lane, sg_size, sg_id, sg_count));
//% else
    let at${s + 1} = row${s + 1}(p, at${s}, who, total${s}(sums${s}, lid));
//% endif
//% endfor
//% if puts
    for (var j = lid / W * ${step}u; j < p.inner; j += H * ${step}u) {
        put(p, at${sweeps}, who, j);
    }
//% endif
}
