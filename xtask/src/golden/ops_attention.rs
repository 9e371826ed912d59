//! Attention.

use thalweg_graph::{DType, Param, Rng, Tensor};
use thalweg_nn::{Attention, MultiheadAttention, scaled_dot_product_attention};

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
    ("multihead_attention", multihead),
];

/// PyTorch's layer: its masks say what takes no part, and its weights are the mean over the heads.
fn multihead(c: &Call) -> Result<Vec<Tensor>, Stop> {
    let size = |name: &str| Ok::<usize, Stop>(c.attrs.need(name)? as usize);
    let (embed, heads) = (size("embed_dim")?, size("num_heads")?);
    for (name, default) in [("add_bias_kv", false), ("add_zero_attn", false)] {
        c.attrs.only(name, default.into())?;
    }
    for name in ["kdim", "vdim"] {
        if c.attrs.get(name).is_some() {
            return Err(Stop::Unsupported(format!("attribute {name}")));
        }
    }
    let layer = MultiheadAttention::new(embed, heads).bias(c.attrs.flag("bias", true)?);
    let mut layer = layer.init(c.device, &mut Rng::seed(0))?;
    let param = |name: &str| -> Result<Param, Stop> {
        let value = c.named(name).ok_or_else(|| Stop::wrong(format!("no input {name}")))?;
        let param = Param::new(value.detach())?;
        c.stands_for(name, param.tensor());
        Ok(param)
    };
    layer.in_proj_weight = param("in_proj_weight")?;
    layer.out_proj.weight = param("out_proj__weight")?;
    if layer.in_proj_bias.is_some() {
        layer.in_proj_bias = Some(param("in_proj_bias")?);
        layer.out_proj.bias = Some(param("out_proj__bias")?);
    }
    let [q, k, v] = match c.attrs.flag("self", false)? {
        true => [c.x()?.clone(), c.x()?.clone(), c.x()?.clone()],
        false => [c.arg(0)?.clone(), c.arg(1)?.clone(), c.arg(2)?.clone()],
    };
    let batch_first = c.attrs.flag("batch_first", false)?;
    let turned = |x: &Tensor| if batch_first { x.clone() } else { x.transpose(0, 1) };
    let [q, k, v] = [&q, &k, &v].map(turned);
    let mask = c.named("attn_mask").map(|mask| if mask.dtype() == DType::Bool { !mask } else { mask.clone() });
    let padding = c.named("key_padding_mask").map(|mask| (!mask).unsqueeze(1).unsqueeze(1));
    let mask = mask.or(padding);
    let y = turned(&layer.forward(&q, &k, &v, mask.as_ref()));
    let weights = layer.weights(&q, &k, mask.as_ref());
    let weights = if c.attrs.flag("average_attn_weights", true)? { weights.mean(1) } else { weights };
    match c.attrs.flag("need_weights", true)? {
        true => c.in_order(&[("y", &y), ("weights", &weights)]),
        false => c.in_order(&[("y", &y)]),
    }
}

fn attention(c: &Call) -> Result<Vec<Tensor>, Stop> {
    let (q, k, v) = c.triple()?;
    c.attrs.only("dropout_p", 0.into())?;
    c.attrs.flag("enable_gqa", false)?;
    let mask = c.named("mask").or(c.named("attn_mask"));
    let (causal, scale) = (c.attrs.flag("is_causal", false)?, c.attrs.number("scale")?);
    Ok(vec![scaled_dot_product_attention(q, k, v, &Attention { mask, causal, scale, dropout: None })])
}
