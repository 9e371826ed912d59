//! Attention with its projections.

use thalweg_derive::Module;
use thalweg_graph::{Device, ErrorKind, Param, Result, Rng, Tensor};

use crate::{
    Attention, Dropout, Init, Linear,
    init::{filled, invalid},
};

/// Attention of several heads: `y = concat(head_1, .., head_H) W_oᵀ + b_o` with
/// `head_h = softmax(q_h k_hᵀ / √(E / H) + mask) v_h`, where `q_h`, `k_h` and `v_h` are `E / H` of the numbers that
/// `x W_iᵀ + b_i` gives for queries, keys and values.
///
/// # Shapes
/// `in_proj_weight [3 E, E]` (for queries, keys and values, in this order), `in_proj_bias [3 E]`, `out_proj.weight [E, E]`,
/// `out_proj.bias [E]`, as PyTorch has them
/// # Source
/// Vaswani et al. 2017, arXiv:1706.03762, §3.2.2.
#[derive(Clone, Debug, Module)]
pub struct MultiheadAttention {
    /// W_i.
    pub in_proj_weight: Param,
    /// b_i.
    pub in_proj_bias: Option<Param>,
    /// W_o and b_o.
    pub out_proj: Linear,
    /// Of the weights of attention.
    pub dropout: Dropout,
    heads: usize,
    causal: bool,
}

/// How to make a [`MultiheadAttention`].
#[derive(Clone, Debug)]
pub struct MultiheadAttentionConfig {
    embed: usize,
    heads: usize,
    bias: bool,
    dropout: f64,
    causal: bool,
}

impl MultiheadAttention {
    /// Of vectors of `embed` numbers, in `heads` heads; with biases, without dropout, not causal.
    #[expect(clippy::new_ret_no_self, reason = "the layer exists once the weights are drawn")]
    pub fn new(embed: usize, heads: usize) -> MultiheadAttentionConfig {
        MultiheadAttentionConfig { embed, heads, bias: true, dropout: 0.0, causal: false }
    }

    /// Attends: to itself in `forward(&x, &x, &x, None)`.
    ///
    /// The mask is broadcast to the scores `[.., H, L, S]`: Bool, where **true takes part**, or floats that are added. Keys that
    /// are padding are masked by `keep.unsqueeze(1).unsqueeze(1)` of `keep [B, S]`.
    ///
    /// # Shapes
    /// queries `[.., L, E]`, keys and values `[.., S, E]` → `[.., L, E]`
    /// # Errors
    /// Vectors of another size; shapes that do not fit; a mask that does not broadcast, or of integers.
    #[track_caller]
    pub fn forward(&self, query: &Tensor, key: &Tensor, value: &Tensor, mask: Option<&Tensor>) -> Tensor {
        let (q, k, v) = (self.project(query, 0), self.project(key, 1), self.project(value, 2));
        let attention = Attention { mask, causal: self.causal, dropout: Some(&self.dropout), ..Attention::default() };
        self.out_proj.forward(&attention.apply(&q, &k, &v).transpose(-3, -2).flatten(-2..))
    }

    /// The weights of attention before dropout, of each head: `[.., H, L, S]`. PyTorch gives their mean over the heads.
    ///
    /// # Errors
    /// As [`MultiheadAttention::forward`].
    #[track_caller]
    pub fn weights(&self, query: &Tensor, key: &Tensor, mask: Option<&Tensor>) -> Tensor {
        let attention = Attention { mask, causal: self.causal, ..Attention::default() };
        attention.weights(&self.project(query, 0), &self.project(key, 1))
    }

    /// Queries, keys or values (part 0, 1 or 2) of each head: `[.., L, E]` → `[.., H, L, E / H]`.
    #[track_caller]
    fn project(&self, x: &Tensor, part: usize) -> Tensor {
        let weight = self.in_proj_weight.tensor();
        let embed = weight.shape()[1];
        if x.rank() < 2 || x.shape()[x.rank() - 1] != embed {
            let problem = format!("is not [.., length, {embed}]");
            return x.fail("multihead_attention", ErrorKind::Shape { shape: x.shape().to_vec(), problem });
        }
        let rows = part * embed..(part + 1) * embed;
        let y = x.matmul(&weight.slice(0, rows.clone()).t());
        let y = match &self.in_proj_bias {
            Some(bias) => y + bias.tensor().slice(0, rows),
            None => y,
        };
        y.unflatten(-1, (self.heads, -1)).transpose(-3, -2)
    }
}

impl MultiheadAttentionConfig {
    setters! {
        /// With or without biases.
        bias: bool;
        /// With this probability that a weight of attention is 0 in training.
        dropout: f64;
        /// Whether position i sees the positions 0 to i alone.
        causal: bool;
    }

    /// Draws the weights as PyTorch does.
    ///
    /// # Errors
    /// Heads that do not divide the vectors; no numbers; a probability outside `[0, 1)`; no memory.
    #[track_caller]
    pub fn init(self, device: &Device, rng: &mut Rng) -> Result<MultiheadAttention> {
        let embed = self.embed;
        if embed == 0 || self.heads == 0 || !embed.is_multiple_of(self.heads) {
            let problem = format!("{} heads do not divide vectors of {embed}", self.heads);
            return Err(invalid("multihead_attention", problem));
        }
        let in_proj_bias = match self.bias {
            true => Some(Param::new(filled(device, 0.0, &[embed.saturating_mul(3)]))?),
            false => None,
        };
        let in_proj_weight = Init::XAVIER.param(device, [embed.saturating_mul(3), embed], rng)?;
        let out_proj = Linear::new(embed, embed).bias(self.bias).init(device, rng)?;
        if let Some(bias) = &out_proj.bias {
            bias.set(&filled(device, 0.0, &[embed]))?;
        }
        let dropout = Dropout::new(self.dropout).init(device, rng)?;
        Ok(MultiheadAttention {
            in_proj_weight,
            in_proj_bias,
            out_proj,
            dropout,
            heads: self.heads,
            causal: self.causal,
        })
    }
}
