use thalweg_graph::Tensor;

use crate::{Case, cases::floats};

/// Views that the families have not: pieces, new axes, turns, and slices of nothing.
pub fn views() -> Vec<Case> {
    type View = fn(&Tensor) -> Tensor;
    let views: [(&str, &[usize], View); 31] = [
        ("chunk", &[4, 5], |x| x.chunk(3, 1).remove(2) * x.chunk(3, 1).remove(0).slice(1, ..1)),
        ("split twice", &[4, 5], |x| x.split([2, 3], 1).remove(0).sum(..) + x.split([2, 3], 1).remove(1)),
        ("squeeze and unsqueeze", &[4, 1, 3], |x| x.squeeze(1).unsqueeze(0)),
        ("unflatten", &[6, 4], |x| x.unflatten(0, [2, -1])),
        ("broadcast_to", &[3, 1], |x| x.broadcast_to([2, 3, 4])),
        ("slice of nothing", &[3, 4], |x| x.slice(1, 2..2).sum(..) + x),
        ("every other of nothing", &[3, 4], |x| x.slice_step(1, 2..2, 2).sum(..) + x),
        ("slice_step past the end", &[3, 7], |x| x.slice_step(1, 1.., 4)),
        ("backwards by two from the middle", &[3, 7], |x| x.slice_step(1, 1..6, -2)),
        ("backwards by one", &[3, 7], |x| x.slice_step(1, 2..5, -1)),
        ("steps along two axes", &[5, 7], |x| x.slice_step(0, .., -2).slice_step(1, 1.., 3)),
        ("narrow to one", &[5, 7], |x| x.narrow(1, 6, 1)),
        ("flip of all axes", &[2, 3, 2], |x| x.flip(..)),
        ("t", &[2, 3, 4], |x| x.t()),
        ("repeat with new axes", &[2, 3], |x| x.repeat([2, 3, 1])),
        ("repeat no times", &[2, 3], |x| x.repeat([0, 1]).sum(..) + x),
        ("roll by nothing", &[4, 3], |x| x.roll(8, 0)),
        ("rot90 by one", &[2, 3], |x| x.rot90(1, 0, 1)),
        ("rot90 by two", &[2, 3], |x| x.rot90(-2, 0, 1)),
        ("diff of nothing", &[2, 3], |x| x.diff(5, 1).sum(..) + x),
        ("diag of a vector", &[4], |x| x.diag(-1)),
        ("diag of a matrix", &[4, 3], |x| x.diag(1)),
        ("diagonal above", &[4, 6], |x| x.diagonal(2, 0, 1)),
        ("tril beyond", &[3, 3], |x| x.tril(5) + x.triu(5)),
        ("pad_reflect on one side", &[2, 4], |x| x.pad_reflect(&[(0, 3)])),
        ("pad_replicate on one side", &[2, 4], |x| x.pad_replicate(&[(5, 0)])),
        ("pad_circular on one side", &[2, 4], |x| x.pad_circular(&[(0, 4)])),
        ("repeat_interleave no times", &[2, 3], |x| x.repeat_interleave(0, 1).sum(..) + x),
        ("windows side by side", &[2, 6], |x| x.sliding_windows(1, 3, 3)),
        ("windows apart", &[2, 8], |x| x.sliding_windows(1, 2, 3)),
        ("windows over the first axis", &[5, 2], |x| x.sliding_windows(0, 3, 1).sum(-1)),
    ];
    let mut cases: Vec<Case> = views
        .into_iter()
        .map(|(name, shape, f)| Case::new(name, vec![floats(shape)], move |x| f(&x[0].square())))
        .collect();
    let pair = || vec![floats(&[2, 3]), floats(&[2, 3])];
    cases
        .push(Case::new("concat of a list", pair(), |x| Tensor::concat(&[x[0].square(), x[1].sin(), x[0].clone()], 0)));
    cases.push(Case::new("meshgrid of rows", vec![floats(&[3]), floats(&[2])], |x| {
        let grids = Tensor::meshgrid(&[x[0].square(), x[1].sin()]);
        &grids[0] * &grids[1]
    }));
    cases.push(Case::new("cross of broadcast vectors", vec![floats(&[3]), floats(&[2, 3])], |x| x[0].cross(&x[1], -1)));
    cases
}
