use thalweg_graph::{ConvConfig, Tensor};

use crate::{Case, cases::floats};

/// Rolls, diagonals, borders, shuffles and windows.
pub fn rearrange() -> Vec<Case> {
    type View = fn(&Tensor) -> Tensor;
    let views: [(&str, &[usize], View); 22] = [
        ("roll", &[4, 6, 5], |x| x.roll(2, 1).roll(-1, 2)),
        ("rot90", &[4, 6, 5], |x| x.rot90(3, 1, 2)),
        ("movedim", &[4, 6, 5], |x| x.movedim(&[0, 1], &[-1, 0])),
        ("repeat_interleave", &[4, 6, 5], |x| x.repeat_interleave(3, 1)),
        ("repeat_interleave_each", &[4, 3], |x| x.repeat_interleave_each(&[2, 0, 1, 3], 0)),
        ("channel_shuffle", &[2, 6, 3], |x| x.channel_shuffle(3)),
        ("pixel_shuffle", &[2, 8, 3, 2], |x| x.pixel_shuffle(2)),
        ("pixel_unshuffle", &[1, 2, 6, 3], |x| x.pixel_unshuffle(3)),
        ("diff", &[4, 6], |x| x.diff(2, 1)),
        ("tril", &[2, 4, 5], |x| x.tril(-1)),
        ("triu", &[2, 4, 5], |x| x.triu(1)),
        ("diagonal", &[4, 6, 5], |x| x.diagonal(-1, 2, 0)),
        ("diagonal beside the matrix", &[2, 3], |x| x.diagonal(7, 0, 1).sum(..) + x.sum(..)),
        ("diag_embed", &[2, 4], |x| x.diag_embed(1, 0, -1)),
        ("diag_embed below", &[2, 4], |x| x.diag_embed(-2, -1, -2)),
        ("trace", &[3, 4, 4], |x| x.trace()),
        ("pad_reflect", &[2, 4, 5], |x| x.pad_reflect(&[(3, 0), (-1, 2)])),
        ("pad_replicate", &[2, 4, 5], |x| x.pad_replicate(&[(3, 6), (0, 2)])),
        ("pad_circular", &[2, 4, 5], |x| x.pad_circular(&[(4, 1), (2, -2)])),
        ("sliding_windows", &[3, 9, 2], |x| x.sliding_windows(1, 4, 2)),
        ("unfold", &[2, 3, 6, 5], |x| x.unfold(&[3, 2], &config())),
        ("fold", &[2, 12, 12], |x| x.fold(&[6, 5], &[3, 2], &config())),
    ];
    let mut cases: Vec<Case> = views
        .into_iter()
        .map(|(name, shape, f)| Case::new(name, vec![floats(shape)], move |x| f(&x[0].square())).terms(16))
        .collect();
    let pair = vec![floats(&[4, 3, 2]), floats(&[3, 1])];
    cases.push(Case::new("cross", pair, |x| x[0].cross(&x[1], 1)).terms(16));
    let pair = vec![floats(&[3]), floats(&[5])];
    cases.push(Case::new("meshgrid", pair, |x| {
        let grids = Tensor::meshgrid_xy(&[x[0].square(), x[1].sin()]);
        &grids[0] * &grids[1]
    }));
    cases
}

fn config() -> ConvConfig {
    ConvConfig { stride: vec![2, 1], padding: vec![1, 0], dilation: vec![1, 1], groups: 1 }
}
