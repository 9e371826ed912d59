//! Blocks of models of sequences, which the index gives by formula.

use thalweg_graph::{Param, Tensor};
use thalweg_nn::{
    Alibi, Attention, GatedFeedForward, Linear, Losses, MixtureOfExperts, RmsNorm, RotaryEmbedding, SinusoidalPosition,
    TransformerEncoderLayer,
};

use super::{
    call::{Call, Table},
    layer::{filled, made},
    outcome::Stop,
};

pub const BLOCKS: Table = &[
    ("rope_half", |c| rotary(c, false)),
    ("rope_interleaved", |c| rotary(c, true)),
    ("swiglu", |c| gated(c, Tensor::silu)),
    ("geglu", |c| gated(c, Tensor::gelu)),
    ("llama_block", llama),
    ("gpt_block", gpt),
    ("alibi_attention", alibi),
    ("sinusoidal_pe", sinusoidal),
    ("tied_embedding_lm", tied),
    ("moe_top2", experts),
];

/// An input's extents.
fn sizes<const N: usize>(c: &Call, name: &str) -> Result<[usize; N], Stop> {
    Ok(c.named(name).ok_or_else(|| Stop::wrong(format!("no input {name}")))?.dims()?)
}

fn rotary(c: &Call, interleaved: bool) -> Result<Vec<Tensor>, Stop> {
    let x = c.x()?;
    // The formula of all of its cases.
    c.attrs.get("angles");
    let settings = RotaryEmbedding::new(x.dim(-1)?).base(c.attrs.number_or("base", 10_000.0)?).interleaved(interleaved);
    Ok(vec![made(c, settings)?.forward(x, c.attrs.int_or("offset", 0)? as usize)])
}

fn gated(c: &Call, f: fn(&Tensor) -> Tensor) -> Result<Vec<Tensor>, Stop> {
    let [hidden, width] = sizes(c, "w1")?;
    let settings = GatedFeedForward::swiglu(width).hidden(hidden).activation(f);
    let net = filled(c, made(c, settings)?, |name| name.replace(".weight", ""))?;
    Ok(vec![net.forward(c.x()?)])
}

/// Grouped causal attention with rotary positions, and SwiGLU, each behind a norm.
fn llama(c: &Call) -> Result<Vec<Tensor>, Stop> {
    let [heads, groups, head] = ["heads", "kv_heads", "head_dim"].map(|name| c.attrs.int(name));
    let (heads, groups, head) = (heads? as usize, groups? as usize, head? as usize);
    let eps = c.attrs.number_or("eps", 1e-6)?;
    let rope = c.attrs.word("rope", "half, base 10000")?;
    let (kind, base) =
        rope.split_once(", base ").ok_or_else(|| Stop::Unsupported(format!("attribute rope = {rope}")))?;
    let base = base.parse().map_err(|_| Stop::Unsupported(format!("attribute rope = {rope}")))?;
    let rope = made(c, RotaryEmbedding::new(head).base(base).interleaved(kind == "interleaved"))?;
    let x = c.x()?;
    let width = x.dim(-1)?;
    let norm = |name: &'static str| filled(c, made(c, RmsNorm::new([width]).eps(eps))?, |_| name.into());
    let linear = |name: &'static str| -> Result<Linear, Stop> {
        let [outputs, inputs] = sizes(c, name)?;
        filled(c, made(c, Linear::new(inputs, outputs).bias(false))?, |_| name.into())
    };
    let read = norm("n1")?.forward(x);
    let of_heads = |x: Tensor, heads: usize| x.unflatten(-1, (heads, head)).transpose(-3, -2);
    let q = rope.forward(&of_heads(linear("wq")?.forward(&read), heads), 0);
    let k = rope.forward(&of_heads(linear("wk")?.forward(&read), groups), 0);
    let v = of_heads(linear("wv")?.forward(&read), groups);
    let y = Attention { causal: true, ..Attention::default() }.apply(&q, &k, &v);
    let x = x + linear("wo")?.forward(&y.transpose(-3, -2).flatten(-2..));
    let [hidden, _] = sizes(c, "w1")?;
    let fed = GatedFeedForward::swiglu(width).hidden(hidden);
    let fed = filled(c, made(c, fed)?, |name| name.replace(".weight", ""))?;
    Ok(vec![&x + fed.forward(&norm("n2")?.forward(&x))])
}

/// The layer of an encoder with norms first that sees what lies behind.
fn gpt(c: &Call) -> Result<Vec<Tensor>, Stop> {
    let [hidden, width] = sizes(c, "wf")?;
    let settings = TransformerEncoderLayer::new(width, c.attrs.int("heads")? as usize)
        .feedforward(hidden)
        .activation(Tensor::gelu_tanh)
        .eps(c.attrs.number_or("eps", 1e-5)?)
        .norm_first(true)
        .causal(true)
        .dropout(0.0);
    let block = filled(c, made(c, settings)?, |name| {
        let names = [
            ("self_attn.in_proj_weight", "wqkv"),
            ("self_attn.in_proj_bias", "bqkv"),
            ("self_attn.out_proj.weight", "wo"),
            ("self_attn.out_proj.bias", "bo"),
            ("linear1.weight", "wf"),
            ("linear1.bias", "bf"),
            ("linear2.weight", "wp"),
            ("linear2.bias", "bp"),
            ("norm1.weight", "ln1_w"),
            ("norm1.bias", "ln1_b"),
            ("norm2.weight", "ln2_w"),
            ("norm2.bias", "ln2_b"),
        ];
        names.iter().find(|(ours, _)| *ours == name).map_or(name, |(_, theirs)| theirs).into()
    })?;
    Ok(vec![block.forward(c.x()?, None)])
}

fn alibi(c: &Call) -> Result<Vec<Tensor>, Stop> {
    let (q, k, v) = c.triple()?;
    // The formulas of all of its cases.
    c.attrs.get("slopes");
    c.attrs.get("bias");
    let bias = made(c, Alibi::new(q.dim(1)?))?.bias(q, k, 0);
    Ok(vec![Attention { mask: Some(&bias), causal: true, ..Attention::default() }.apply(q, k, v)])
}

fn sinusoidal(c: &Call) -> Result<Vec<Tensor>, Stop> {
    let x = c.x()?;
    Ok(vec![made(c, SinusoidalPosition::new(x.dim(-1)?))?.forward(x, 0)])
}

/// A table that is read at one end and multiplied by at the other.
fn tied(c: &Call) -> Result<Vec<Tensor>, Stop> {
    let [table, w] = ["emb", "w"].map(|name| -> Result<Param, Stop> {
        let value = c.named(name).ok_or_else(|| Stop::wrong(format!("no input {name}")))?;
        let param = Param::new(value.detach())?;
        c.stands_for(name, param.tensor());
        Ok(param)
    });
    let (table, w) = (table?.tensor(), w?.tensor());
    let [ids, target] = ["idx", "tgt"].map(|name| c.named(name).ok_or_else(|| Stop::wrong(format!("no input {name}"))));
    let states = table.embedding(ids?).matmul(&w.t()).tanh();
    let logits = states.matmul(&table.t()).flatten(..-1);
    Ok(vec![logits.cross_entropy(&target?.flatten(..))])
}

fn experts(c: &Call) -> Result<Vec<Tensor>, Stop> {
    let [experts, hidden, width] = sizes(c, "w1")?;
    let settings = MixtureOfExperts::new(width, hidden, experts).top_k(c.attrs.int_or("k", 2)? as usize);
    let layer = filled(c, made(c, settings)?, |name| name.replace("gate.weight", "wg"))?;
    Ok(vec![layer.forward(c.x()?).y])
}
