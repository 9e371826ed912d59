//! Attention.

use thalweg_graph::Tensor;
use thalweg_nn::{Attention, scaled_dot_product_attention};

use super::{
    call::{Call, Table},
    outcome::Stop,
};

pub const ATTENTION: Table = &[
    ("sdpa", attention),
    ("sdpa_gqa", |c| {
        // The shapes tell.
        c.attrs.sizes("heads")?;
        c.attrs.sizes("kv_heads")?;
        attention(c)
    }),
];

fn attention(c: &Call) -> Result<Vec<Tensor>, Stop> {
    let (q, k, v) = c.triple()?;
    c.attrs.only("dropout_p", 0.into())?;
    c.attrs.flag("enable_gqa", false)?;
    let mask = c.named("mask").or(c.named("attn_mask"));
    let (causal, scale) = (c.attrs.flag("is_causal", false)?, c.attrs.number("scale")?);
    Ok(vec![scaled_dot_product_attention(q, k, v, &Attention { mask, causal, scale, dropout: None })])
}
