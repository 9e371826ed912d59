// map: a body at every point.
//
//    invocation t has point t: one, four neighbours along a coordinate, or two in memory
//
// holes, functions that the generator writes:
//    point(p, t)                     the body there

@compute @workgroup_size(${width})
fn map(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) lid: u32) {
    let p = params;
    let t = (wid.y * nwg.x + wid.x) * ${width}u + lid;
    if t >= p.points { return; }
    point(p, t);
}
