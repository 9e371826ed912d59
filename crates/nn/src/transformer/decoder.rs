//! Layers in which a sequence attends to itself and to another.

use thalweg_derive::Module;
use thalweg_graph::{Device, Result, Rng, Tensor};

use super::settings::{Settings, residual, settings};
use crate::{Dropout, LayerNorm, Linear, MultiheadAttention, init::invalid};

/// Self-attention, attention to a memory, and a feed-forward net, each with a residual connection as in
/// [`TransformerEncoderLayer`](crate::TransformerEncoderLayer).
///
/// # Shapes
/// `[.., L, E]`, memory `[.., S, E] → [.., L, E]`; parameters `self_attn` and `multihead_attn` as those of a [`MultiheadAttention`],
/// `linear1.weight [F, E]`, `linear2.weight [E, F]`, `norm1`, `norm2` and `norm3` of `[E]`
/// # Source
/// Vaswani et al. 2017, arXiv:1706.03762.
#[derive(Clone, Debug, Module)]
pub struct TransformerDecoderLayer {
    /// Of the sequence to itself.
    pub self_attn: MultiheadAttention,
    /// Of the sequence to the memory.
    pub multihead_attn: MultiheadAttention,
    /// W_1.
    pub linear1: Linear,
    /// Inside the feed-forward net.
    pub dropout: Dropout,
    /// W_2.
    pub linear2: Linear,
    /// Of attention to itself.
    pub norm1: LayerNorm,
    /// Of attention to the memory.
    pub norm2: LayerNorm,
    /// Of the feed-forward net.
    pub norm3: LayerNorm,
    /// Behind attention to itself.
    pub dropout1: Dropout,
    /// Behind attention to the memory.
    pub dropout2: Dropout,
    /// Behind the feed-forward net.
    pub dropout3: Dropout,
    #[module(skip)]
    activation: fn(&Tensor) -> Tensor,
    norm_first: bool,
}

/// How to make a [`TransformerDecoderLayer`].
#[derive(Clone, Debug)]
pub struct TransformerDecoderLayerConfig {
    pub(super) settings: Settings,
}

impl TransformerDecoderLayer {
    /// Of vectors of this width, in as many heads.
    #[expect(clippy::new_ret_no_self, reason = "the layer exists once the weights are drawn")]
    pub fn new(width: usize, heads: usize) -> TransformerDecoderLayerConfig {
        TransformerDecoderLayerConfig { settings: Settings::new(width, heads) }
    }

    /// Applies it, with the masks of [`MultiheadAttention::forward`]: of the sequence, and of the memory.
    ///
    /// # Shapes
    /// `[.., L, E]`, memory `[.., S, E]`, masks broadcast to `[.., H, L, L]` and `[.., H, L, S]` → `[.., L, E]`
    /// # Errors
    /// Vectors of another width; masks that do not broadcast.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, memory: &Tensor, mask: Option<&Tensor>, memory_mask: Option<&Tensor>) -> Tensor {
        let attended = |x: &Tensor| self.dropout1.forward(&self.self_attn.forward(x, x, x, mask));
        let looked_up =
            |x: &Tensor| self.dropout2.forward(&self.multihead_attn.forward(x, memory, memory, memory_mask));
        let fed = |x: &Tensor| {
            let inner = (self.activation)(&self.linear1.forward(x));
            self.dropout3.forward(&self.linear2.forward(&self.dropout.forward(&inner)))
        };
        let x = residual(x, &self.norm1, self.norm_first, attended);
        let x = residual(&x, &self.norm2, self.norm_first, looked_up);
        residual(&x, &self.norm3, self.norm_first, fed)
    }
}

settings! { TransformerDecoderLayerConfig }

impl TransformerDecoderLayerConfig {
    /// Draws the weights as PyTorch does.
    ///
    /// # Errors
    /// Heads that do not divide the width; no numbers; a probability outside `[0, 1)`; no memory.
    #[track_caller]
    pub fn init(self, device: &Device, rng: &mut Rng) -> Result<TransformerDecoderLayer> {
        let s = &self.settings;
        s.check("transformer_decoder_layer")?;
        Ok(TransformerDecoderLayer {
            self_attn: s.attention(s.causal, device, rng)?,
            multihead_attn: s.attention(false, device, rng)?,
            linear1: s.linear(s.width, s.feedforward, device, rng)?,
            dropout: s.drop(device, rng)?,
            linear2: s.linear(s.feedforward, s.width, device, rng)?,
            norm1: s.norm(device, rng)?,
            norm2: s.norm(device, rng)?,
            norm3: s.norm(device, rng)?,
            dropout1: s.drop(device, rng)?,
            dropout2: s.drop(device, rng)?,
            dropout3: s.drop(device, rng)?,
            activation: s.activation,
            norm_first: s.norm_first,
        })
    }
}

/// Layers on one another that read the same memory, and a normalisation behind them where that is asked for.
///
/// # Shapes
/// `[.., L, E]`, memory `[.., S, E] → [.., L, E]`; parameters `layers.0.self_attn.in_proj_weight` and so on, `norm`
#[derive(Clone, Debug, Module)]
pub struct TransformerDecoder {
    /// The first reads the input.
    pub layers: Vec<TransformerDecoderLayer>,
    /// Of what the last gives.
    pub norm: Option<LayerNorm>,
}

/// How to make a [`TransformerDecoder`].
#[derive(Clone, Debug)]
pub struct TransformerDecoderConfig {
    layer: TransformerDecoderLayerConfig,
    layers: usize,
    norm: bool,
}

impl TransformerDecoder {
    /// As many layers of these settings, each with weights of its own, without a normalisation behind.
    #[expect(clippy::new_ret_no_self, reason = "the layers exist once the weights are drawn")]
    pub fn new(layer: TransformerDecoderLayerConfig, layers: usize) -> TransformerDecoderConfig {
        TransformerDecoderConfig { layer, layers, norm: false }
    }

    /// Applies all of them, with the same memory and masks.
    ///
    /// # Shapes
    /// `[.., L, E]`, memory `[.., S, E]`, masks broadcast to `[.., H, L, L]` and `[.., H, L, S]` → `[.., L, E]`
    /// # Errors
    /// As [`TransformerDecoderLayer::forward`].
    #[track_caller]
    pub fn forward(&self, x: &Tensor, memory: &Tensor, mask: Option<&Tensor>, memory_mask: Option<&Tensor>) -> Tensor {
        let mut x = x.clone();
        for layer in &self.layers {
            x = layer.forward(&x, memory, mask, memory_mask);
        }
        match &self.norm {
            Some(norm) => norm.forward(&x),
            None => x,
        }
    }
}

impl TransformerDecoderConfig {
    setters! {
        /// With a normalisation behind the last layer, which norms first need.
        norm: bool;
    }

    /// Draws the weights.
    ///
    /// # Errors
    /// No layers; as [`TransformerDecoderLayerConfig::init`].
    #[track_caller]
    pub fn init(self, device: &Device, rng: &mut Rng) -> Result<TransformerDecoder> {
        if self.layers == 0 {
            return Err(invalid("transformer_decoder", "0 layers".into()));
        }
        let norm = if self.norm { Some(self.layer.settings.norm(device, rng)?) } else { None };
        let mut layers = Vec::new();
        for _ in 0..self.layers {
            layers.push(self.layer.clone().init(device, rng)?);
        }
        Ok(TransformerDecoder { layers, norm })
    }
}
