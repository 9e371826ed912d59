use thalweg::{
    nn::{Attention, InstanceNorm, KeepF32, MultiheadAttention, SpectralNorm, WeightNorm, Weighted},
    prelude::*,
};

use crate::{Case, cases::floats};

/// Layers as functions of their input, and of their weight where another can be put in its place. Their parameters start anew
/// each time, from the same draws.
pub fn layers() -> Vec<Case> {
    let image = || vec![floats(&[2, 2, 4, 3])];
    let table = || vec![floats(&[3, 4])];
    let mut cases = vec![
        Case::new("Linear", vec![floats(&[3, 4]), floats(&[5, 4])], |x| {
            made(Linear::new(4, 5).init(x[0].device(), &mut Rng::seed(1))).forward_with(&x[0], &x[1])
        }),
        Case::new("Linear without a bias", table(), |x| {
            made(Linear::new(4, 5).bias(false).init(x[0].device(), &mut Rng::seed(1))).forward(&x[0].square())
        }),
        Case::new("Conv2d", [image(), vec![floats(&[3, 2, 2, 2])]].concat(), |x| {
            made(Conv2d::new(2, 3, 2).padding(1).init(x[0].device(), &mut Rng::seed(1))).forward_with(&x[0], &x[1])
        }),
        Case::new("LayerNorm", table(), |x| {
            made(LayerNorm::new([4]).init(x[0].device(), &mut Rng::seed(1))).forward(&x[0])
        }),
        Case::new("RmsNorm", table(), |x| {
            made(RmsNorm::new([4]).init(x[0].device(), &mut Rng::seed(1))).forward(&x[0])
        }),
        Case::new("GroupNorm", image(), |x| {
            made(GroupNorm::new(2, 2).init(x[0].device(), &mut Rng::seed(1))).forward(&x[0])
        }),
        Case::new("Dropout", table(), |x| {
            made(Dropout::new(0.4).init(x[0].device(), &mut Rng::seed(1))).forward(&x[0].square())
        }),
        Case::new("MultiheadAttention", vec![floats(&[2, 3, 4]), floats(&[2, 5, 4]), floats(&[2, 5, 4])], |x| {
            let layer = MultiheadAttention::new(4, 2).dropout(0.2);
            made(layer.init(x[0].device(), &mut Rng::seed(1))).forward(&x[0], &x[1], &x[2], None)
        })
        .terms(64),
        Case::new("WeightNorm", table(), |x| {
            let norm = WeightNorm::new(Linear::new(4, 5));
            made(norm.init(x[0].device(), &mut Rng::seed(1))).forward(&x[0].square())
        }),
        Case::new("KeepF32", table(), |x| {
            let kept = KeepF32::new(Linear::new(4, 5));
            made(kept.init(x[0].device(), &mut Rng::seed(1))).forward(&x[0].square())
        }),
        Case::new("SpectralNorm", table(), |x| {
            let norm = SpectralNorm::new(Linear::new(4, 5));
            let norm = made(norm.init(x[0].device(), &mut Rng::seed(1)));
            norm.eval();
            norm.forward(&x[0].square())
        }),
    ];
    for training in [true, false] {
        cases.push(Case::new(format!("BatchNorm2d, training {training}"), image(), move |x| {
            let norm = made(BatchNorm2d::new(2).init(x[0].device(), &mut Rng::seed(1)));
            if !training {
                norm.eval();
            }
            norm.forward(&x[0].square())
        }));
        cases.push(Case::new(format!("InstanceNorm, training {training}"), image(), move |x| {
            let norm = InstanceNorm::new(2).affine(true).track_running_stats(true);
            let norm = made(norm.init(x[0].device(), &mut Rng::seed(1)));
            if !training {
                norm.eval();
            }
            norm.forward(&x[0].square())
        }));
    }
    cases.extend(attention());
    cases
}

pub(super) fn made<T>(layer: Result<T>) -> T {
    layer.unwrap_or_else(|e| panic!("{e}"))
}

fn attention() -> Vec<Case> {
    let qkv = |heads: usize, groups: usize| {
        vec![floats(&[1, heads, 3, 4]), floats(&[1, groups, 5, 4]), floats(&[1, groups, 5, 2])]
    };
    vec![
        Case::new("attention weights", qkv(2, 2), |x| Attention::default().weights(&x[0], &x[1]) * x[2].sum(..)),
        Case::new("attention with dropout", qkv(2, 1), |x| {
            let dropout = made(Dropout::new(0.3).init(x[0].device(), &mut Rng::seed(4)));
            Attention { dropout: Some(&dropout), ..Attention::default() }.apply(&x[0], &x[1], &x[2])
        }),
        Case::new("attention of a row to nothing", qkv(2, 2), |x| {
            let mask = Tensor::arange(x[0].device(), 3).unsqueeze(1).gt(0);
            Attention { mask: Some(&mask), ..Attention::default() }.apply(&x[0], &x[1], &x[2])
        }),
        Case::new("attention, causal, under a mask of grouped heads", qkv(4, 2), |x| {
            let mask = Tensor::arange(x[0].device(), 5).ne(1);
            Attention { mask: Some(&mask), causal: true, scale: Some(0.7), ..Attention::default() }
                .apply(&x[0], &x[1], &x[2])
        }),
        Case::new("attention with -∞ added", qkv(2, 2), |x| {
            let far = Tensor::arange(x[0].device(), 5).ge(3);
            let mask = far.where_(f64::NEG_INFINITY, x[1].sum([0, 1, 3]));
            Attention { mask: Some(&mask), ..Attention::default() }.apply(&x[0], &x[1], &x[2])
        }),
        Case::new("attention without heads", vec![floats(&[3, 4]), floats(&[5, 4]), floats(&[5, 2])], |x| {
            Attention::default().apply(&x[0], &x[1], &x[2])
        }),
    ]
}
