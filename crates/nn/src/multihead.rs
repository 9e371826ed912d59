//! Attention with its projections.

use std::ops::Range;

use thalweg_derive::Module;
use thalweg_graph::{DType, Device, ErrorKind, Param, Result, Rng, Tensor};

use crate::{
    Attention, Dropout, Init, Linear,
    init::{filled, invalid},
};

/// Attention of several heads: `y = concat(head_1, .., head_H) W_oᵀ + b_o` with
/// `head_h = softmax(q_h k_hᵀ / √(E / H) + mask) v_h`, where `q_h`, `k_h` and `v_h` are `E / H` of the numbers that
/// `x W_iᵀ + b_i` gives for queries, keys and values.
///
/// # Shapes
/// As PyTorch has them: `in_proj_weight [3 E, E]` (for queries, keys and values, in this order), or, where keys or values have another
/// width, `q_proj_weight [E, E]`, `k_proj_weight [E, kdim]`, `v_proj_weight [E, vdim]`; `in_proj_bias [3 E]`, `bias_k` and `bias_v`
/// `[1, 1, E]`, `out_proj.weight [E, E]`, `out_proj.bias [E]`
/// # Source
/// Vaswani et al. 2017, arXiv:1706.03762, §3.2.2.
#[derive(Clone, Debug, Module)]
pub struct MultiheadAttention {
    /// W_i of queries, keys and values, one below the other.
    pub in_proj_weight: Option<Param>,
    /// W_i of queries, where widths differ.
    pub q_proj_weight: Option<Param>,
    /// W_i of keys, where widths differ.
    pub k_proj_weight: Option<Param>,
    /// W_i of values, where widths differ.
    pub v_proj_weight: Option<Param>,
    /// b_i.
    pub in_proj_bias: Option<Param>,
    /// A key more, the same for all.
    pub bias_k: Option<Param>,
    /// The value of that key.
    pub bias_v: Option<Param>,
    /// W_o and b_o.
    pub out_proj: Linear,
    /// Of the weights of attention.
    pub dropout: Dropout,
    /// Of queries, keys and values.
    widths: [usize; 3],
    heads: usize,
    causal: bool,
    zero: bool,
}

/// How to make a [`MultiheadAttention`].
#[derive(Clone, Debug)]
pub struct MultiheadAttentionConfig {
    embed: usize,
    heads: usize,
    kdim: usize,
    vdim: usize,
    bias: bool,
    dropout: f64,
    causal: bool,
    add_bias_kv: bool,
    add_zero_attn: bool,
}

impl MultiheadAttention {
    /// Of vectors of `embed` numbers, in `heads` heads; with biases, without dropout, not causal.
    #[expect(clippy::new_ret_no_self, reason = "the layer exists once the weights are drawn")]
    pub fn new(embed: usize, heads: usize) -> MultiheadAttentionConfig {
        MultiheadAttentionConfig {
            embed,
            heads,
            kdim: embed,
            vdim: embed,
            bias: true,
            dropout: 0.0,
            causal: false,
            add_bias_kv: false,
            add_zero_attn: false,
        }
    }

    /// Attends: to itself in `forward(&x, &x, &x, None)`, which is one product for queries, keys and values.
    ///
    /// The mask is broadcast to the scores `[.., H, L, S]`: Bool, where **true takes part**, or floats that are added. Keys that
    /// are padding are masked by `keep.unsqueeze(1).unsqueeze(1)` of `keep [B, S]`.
    ///
    /// # Shapes
    /// queries `[.., L, E]`, keys `[.., S, kdim]`, values `[.., S, vdim]` → `[.., L, E]`
    /// # Errors
    /// Vectors of another size; shapes that do not fit; a mask that does not broadcast, or of integers.
    #[track_caller]
    pub fn forward(&self, query: &Tensor, key: &Tensor, value: &Tensor, mask: Option<&Tensor>) -> Tensor {
        let [q, k, v] = self.projected([query, key, value]);
        let (mask, causal) = self.mask(mask, &q, &k);
        let (k, v) = (self.longer(k, &self.bias_k), self.longer(v, &self.bias_v));
        let attention = Attention { mask: mask.as_ref(), causal, dropout: Some(&self.dropout), ..Attention::default() };
        self.out_proj.forward(&attention.apply(&q, &k, &v).transpose(-3, -2).flatten(-2..))
    }

    /// The weights of attention before dropout, of each head: `[.., H, L, S]`. PyTorch gives their mean over the heads.
    ///
    /// # Errors
    /// As [`MultiheadAttention::forward`].
    #[track_caller]
    pub fn weights(&self, query: &Tensor, key: &Tensor, mask: Option<&Tensor>) -> Tensor {
        let (q, k) = (self.project(query, 0..1).remove(0), self.project(key, 1..2).remove(0));
        let (mask, causal) = self.mask(mask, &q, &k);
        Attention { mask: mask.as_ref(), causal, ..Attention::default() }.weights(&q, &self.longer(k, &self.bias_k))
    }

    /// Queries, keys and values of each head. What is made of one tensor is one product.
    #[track_caller]
    fn projected(&self, inputs: [&Tensor; 3]) -> [Tensor; 3] {
        let joined = self.in_proj_weight.is_some();
        let [q, k, v] = inputs;
        let parts = match (joined && q.same(k), joined && k.same(v)) {
            (true, true) => self.project(q, 0..3),
            (true, false) => [self.project(q, 0..2), self.project(v, 2..3)].concat(),
            (false, true) => [self.project(q, 0..1), self.project(k, 1..3)].concat(),
            (false, false) => [self.project(q, 0..1), self.project(k, 1..2), self.project(v, 2..3)].concat(),
        };
        parts.try_into().unwrap_or_else(|_| unreachable!("the ranges cover all three"))
    }

    /// Some of queries, keys and values (parts 0, 1 and 2) of each head: `[.., L, width]` → `[.., H, L, E / H]` each.
    #[track_caller]
    fn project(&self, x: &Tensor, parts: Range<usize>) -> Vec<Tensor> {
        let (embed, width) = (self.widths[0], self.widths[parts.start]);
        if x.rank() < 2 || x.shape()[x.rank() - 1] != width {
            let problem = format!("is not [.., length, {width}]");
            let failed = x.fail("multihead_attention", ErrorKind::Shape { shape: x.shape().to_vec(), problem });
            return vec![failed; parts.len()];
        }
        let rows = parts.start * embed..parts.end * embed;
        let apart = [&self.q_proj_weight, &self.k_proj_weight, &self.v_proj_weight][parts.start];
        let weight = match (&self.in_proj_weight, apart) {
            (Some(joined), _) => joined.tensor().slice(0, rows.clone()),
            (None, Some(apart)) => apart.tensor(),
            (None, None) => {
                let problem = "has no weights to project with".to_string();
                return vec![x.fail("multihead_attention", ErrorKind::Invalid(problem)); parts.len()];
            }
        };
        let y = x.matmul(&weight.t());
        let y = match &self.in_proj_bias {
            Some(bias) => y + bias.tensor().slice(0, rows),
            None => y,
        };
        let heads = y.unflatten(-1, (parts.len(), self.heads, -1));
        (0..parts.len()).map(|i| heads.select(-3, i as isize).transpose(-3, -2)).collect()
    }

    /// How many keys there are that nobody gives.
    fn extra(&self) -> usize {
        usize::from(self.bias_k.is_some()) + usize::from(self.zero)
    }

    /// The mask of all keys, of which those that nobody gives take part in everything, and whether it is causal beside that.
    #[track_caller]
    fn mask(&self, mask: Option<&Tensor>, q: &Tensor, k: &Tensor) -> (Option<Tensor>, bool) {
        let extra = self.extra();
        if extra == 0 || q.check().is_err() || k.check().is_err() {
            return (mask.cloned(), self.causal);
        }
        let [queries, keys] = [q, k].map(|x| x.shape()[x.rank() - 2]);
        let at = |n| Tensor::arange(q.device(), n);
        let seen = self.causal.then(|| at(queries).unsqueeze(1).ge(at(keys)));
        let mask = match (mask, seen) {
            (None, seen) => seen,
            (Some(mask), None) => Some(mask.clone()),
            (Some(mask), Some(seen)) if mask.dtype() == DType::Bool => Some(mask.and(seen)),
            (Some(mask), Some(seen)) => Some(seen.where_(mask, f64::NEG_INFINITY)),
        };
        let longer = mask.map(|mask| {
            let fits = mask.check().is_ok() && mask.shape().last().is_some_and(|n| [1, keys].contains(n));
            if !fits {
                return mask;
            }
            let mut shape = mask.shape().to_vec();
            shape[mask.rank() - 1] = keys;
            let mask = mask.broadcast_to(&shape[..]);
            shape[mask.rank() - 1] = extra;
            let taking_part = if mask.dtype() == DType::Bool { 1.0 } else { 0.0 };
            let more = Tensor::full(mask.device(), taking_part, shape, mask.dtype());
            mask.concat_with([&more], -1)
        });
        (longer, false)
    }

    /// Keys or values of each head with those behind that nobody gives.
    #[track_caller]
    fn longer(&self, x: Tensor, bias: &Option<Param>) -> Tensor {
        if self.extra() == 0 || x.check().is_err() {
            return x;
        }
        let mut shape = x.shape().to_vec();
        shape[x.rank() - 2] = 1;
        let learned = bias.as_ref().map(|bias| {
            let of_heads = bias.tensor().reshape([self.heads, 1, shape[x.rank() - 1]]);
            of_heads.cast(x.dtype()).broadcast_to(&shape[..])
        });
        let zero = self.zero.then(|| Tensor::full(x.device(), 0.0, &shape[..], x.dtype()));
        let all: Vec<Tensor> = [x].into_iter().chain(learned).chain(zero).collect();
        Tensor::concat(&all, -2)
    }
}

impl MultiheadAttentionConfig {
    setters! {
        /// With keys of another width.
        kdim: usize;
        /// With values of another width.
        vdim: usize;
        /// With or without biases.
        bias: bool;
        /// With this probability that a weight of attention is 0 in training.
        dropout: f64;
        /// Whether position i sees the positions 0 to i alone.
        causal: bool;
        /// With a learned key and its value behind those that are given.
        add_bias_kv: bool;
        /// With a key and a value of zeros behind all others.
        add_zero_attn: bool;
    }

    /// Draws the weights as PyTorch does.
    ///
    /// # Errors
    /// Heads that do not divide the vectors; no numbers; a probability outside `[0, 1)`; no memory.
    #[track_caller]
    pub fn init(self, device: &Device, rng: &mut Rng) -> Result<MultiheadAttention> {
        let MultiheadAttentionConfig { embed, heads, kdim, vdim, .. } = self;
        if embed == 0 || heads == 0 || !embed.is_multiple_of(heads) {
            let problem = format!("{heads} heads do not divide vectors of {embed}");
            return Err(invalid("multihead_attention", problem));
        }
        if [kdim, vdim].contains(&0) {
            return Err(invalid("multihead_attention", format!("keys of {kdim} and values of {vdim} numbers")));
        }
        let widths = [embed, kdim, vdim];
        let rows = embed.saturating_mul(3);
        let joined = widths == [embed; 3];
        let in_proj_weight = drawn(joined, Init::XAVIER, device, &[rows, embed], rng)?;
        let q_proj_weight = drawn(!joined, Init::XAVIER, device, &[embed, embed], rng)?;
        let k_proj_weight = drawn(!joined, Init::XAVIER, device, &[embed, kdim], rng)?;
        let v_proj_weight = drawn(!joined, Init::XAVIER, device, &[embed, vdim], rng)?;
        let in_proj_bias = match self.bias {
            true => Some(Param::new(filled(device, 0.0, &[rows]))?),
            false => None,
        };
        let bias_k = drawn(self.add_bias_kv, Init::xavier_normal(1.0), device, &[1, 1, embed], rng)?;
        let bias_v = drawn(self.add_bias_kv, Init::xavier_normal(1.0), device, &[1, 1, embed], rng)?;
        let out_proj = Linear::new(embed, embed).bias(self.bias).init(device, rng)?;
        if let Some(bias) = &out_proj.bias {
            bias.set(&filled(device, 0.0, &[embed]))?;
        }
        let dropout = Dropout::new(self.dropout).init(device, rng)?;
        Ok(MultiheadAttention {
            in_proj_weight,
            q_proj_weight,
            k_proj_weight,
            v_proj_weight,
            in_proj_bias,
            bias_k,
            bias_v,
            out_proj,
            dropout,
            widths,
            heads,
            causal: self.causal,
            zero: self.add_zero_attn,
        })
    }
}

/// A parameter, if it is wanted.
#[track_caller]
fn drawn(wanted: bool, init: Init, device: &Device, shape: &[usize], rng: &mut Rng) -> Result<Option<Param>> {
    match wanted {
        true => init.param(device, shape, rng).map(Some),
        false => Ok(None),
    }
}
