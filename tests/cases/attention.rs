use thalweg::nn::{Attention, scaled_dot_product_attention};
use thalweg_graph::Tensor;

use crate::{Case, Draw, cases::floats};

/// Attention with each kind of mask, and with grouped heads.
pub fn attention() -> Vec<Case> {
    let qkv = |heads: usize, groups: usize| {
        vec![floats(&[2, heads, 5, 4]), floats(&[2, groups, 6, 4]), floats(&[2, groups, 6, 3])]
    };
    let of = |attention: Attention<'static>| {
        move |x: &[Tensor]| scaled_dot_product_attention(&x[0], &x[1], &x[2], &attention)
    };
    let masked = |mask: Draw| [qkv(2, 2), vec![mask]].concat();
    let with_mask = |x: &[Tensor]| {
        let attention = Attention { mask: Some(&x[3]), ..Attention::default() };
        scaled_dot_product_attention(&x[0], &x[1], &x[2], &attention)
    };
    vec![
        Case::new("attention", qkv(2, 2), of(Attention::default())).terms(64),
        Case::new(
            "causal attention, scaled",
            qkv(2, 2),
            of(Attention { causal: true, scale: Some(0.3), ..Attention::default() }),
        )
        .terms(64),
        Case::new("attention of grouped heads", qkv(6, 2), of(Attention { causal: true, ..Attention::default() }))
            .terms(64),
        Case::new("attention under a mask", masked(Draw::Bools(vec![2, 1, 5, 6])), with_mask).terms(64),
        Case::new("attention with a bias", masked(floats(&[2, 5, 6])), with_mask).terms(64),
    ]
}
