//! Layers in which a sequence attends to itself.

use thalweg_derive::Module;
use thalweg_graph::{Device, Result, Rng, Tensor};

use super::settings::{Settings, residual, settings};
use crate::{Dropout, LayerNorm, Linear, MultiheadAttention, init::invalid};

/// Self-attention and a feed-forward net: `x ← norm(x + attention(x))`, `x ← norm(x + W_2 f(W_1 x + b_1) + b_2)`; or with
/// [norms first](TransformerEncoderLayerConfig::norm_first), as GPT-2 has them.
///
/// # Shapes
/// `[.., L, E] → [.., L, E]`; parameters `self_attn` as those of a [`MultiheadAttention`], `linear1.weight [F, E]`,
/// `linear2.weight [E, F]`, `norm1` and `norm2` of `[E]`
/// # Source
/// Vaswani et al. 2017, arXiv:1706.03762; norms first: Xiong et al. 2020, arXiv:2002.04745.
#[derive(Clone, Debug, Module)]
pub struct TransformerEncoderLayer {
    /// Of the sequence to itself.
    pub self_attn: MultiheadAttention,
    /// W_1.
    pub linear1: Linear,
    /// Inside the feed-forward net.
    pub dropout: Dropout,
    /// W_2.
    pub linear2: Linear,
    /// Of attention.
    pub norm1: LayerNorm,
    /// Of the feed-forward net.
    pub norm2: LayerNorm,
    /// Behind attention.
    pub dropout1: Dropout,
    /// Behind the feed-forward net.
    pub dropout2: Dropout,
    #[module(skip)]
    activation: fn(&Tensor) -> Tensor,
    norm_first: bool,
}

/// How to make a [`TransformerEncoderLayer`].
#[derive(Clone, Debug)]
pub struct TransformerEncoderLayerConfig {
    pub(super) settings: Settings,
}

impl TransformerEncoderLayer {
    /// Of vectors of this width, in as many heads.
    #[expect(clippy::new_ret_no_self, reason = "the layer exists once the weights are drawn")]
    pub fn new(width: usize, heads: usize) -> TransformerEncoderLayerConfig {
        TransformerEncoderLayerConfig { settings: Settings::new(width, heads) }
    }

    /// Applies it, with the mask of [`MultiheadAttention::forward`].
    ///
    /// # Shapes
    /// `[.., L, E]`, mask broadcast to `[.., H, L, L]` → `[.., L, E]`
    /// # Errors
    /// Vectors of another width; a mask that does not broadcast.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, mask: Option<&Tensor>) -> Tensor {
        let attended = |x: &Tensor| self.dropout1.forward(&self.self_attn.forward(x, x, x, mask));
        let fed = |x: &Tensor| {
            let inner = (self.activation)(&self.linear1.forward(x));
            self.dropout2.forward(&self.linear2.forward(&self.dropout.forward(&inner)))
        };
        let x = residual(x, &self.norm1, self.norm_first, attended);
        residual(&x, &self.norm2, self.norm_first, fed)
    }
}

settings! { TransformerEncoderLayerConfig }

impl TransformerEncoderLayerConfig {
    /// Draws the weights as PyTorch does.
    ///
    /// # Errors
    /// Heads that do not divide the width; no numbers; a probability outside `[0, 1)`; no memory.
    #[track_caller]
    pub fn init(self, device: &Device, rng: &mut Rng) -> Result<TransformerEncoderLayer> {
        let s = &self.settings;
        s.check("transformer_encoder_layer")?;
        Ok(TransformerEncoderLayer {
            self_attn: s.attention(s.causal, device, rng)?,
            linear1: s.linear(s.width, s.feedforward, device, rng)?,
            dropout: s.drop(device, rng)?,
            linear2: s.linear(s.feedforward, s.width, device, rng)?,
            norm1: s.norm(device, rng)?,
            norm2: s.norm(device, rng)?,
            dropout1: s.drop(device, rng)?,
            dropout2: s.drop(device, rng)?,
            activation: s.activation,
            norm_first: s.norm_first,
        })
    }
}

/// Layers on one another, and a normalisation behind them where that is asked for.
///
/// # Shapes
/// `[.., L, E] → [.., L, E]`; parameters `layers.0.self_attn.in_proj_weight` and so on, `norm`
#[derive(Clone, Debug, Module)]
pub struct TransformerEncoder {
    /// The first reads the input.
    pub layers: Vec<TransformerEncoderLayer>,
    /// Of what the last gives.
    pub norm: Option<LayerNorm>,
}

/// How to make a [`TransformerEncoder`].
#[derive(Clone, Debug)]
pub struct TransformerEncoderConfig {
    layer: TransformerEncoderLayerConfig,
    layers: usize,
    norm: bool,
}

impl TransformerEncoder {
    /// As many layers of these settings, each with weights of its own, without a normalisation behind.
    #[expect(clippy::new_ret_no_self, reason = "the layers exist once the weights are drawn")]
    pub fn new(layer: TransformerEncoderLayerConfig, layers: usize) -> TransformerEncoderConfig {
        TransformerEncoderConfig { layer, layers, norm: false }
    }

    /// Applies all of them, with the same mask.
    ///
    /// # Shapes
    /// `[.., L, E]`, mask broadcast to `[.., H, L, L]` → `[.., L, E]`
    /// # Errors
    /// As [`TransformerEncoderLayer::forward`].
    #[track_caller]
    pub fn forward(&self, x: &Tensor, mask: Option<&Tensor>) -> Tensor {
        let mut x = x.clone();
        for layer in &self.layers {
            x = layer.forward(&x, mask);
        }
        match &self.norm {
            Some(norm) => norm.forward(&x),
            None => x,
        }
    }
}

impl TransformerEncoderConfig {
    setters! {
        /// With a normalisation behind the last layer, which norms first need.
        norm: bool;
    }

    /// Draws the weights.
    ///
    /// # Errors
    /// No layers; as [`TransformerEncoderLayerConfig::init`].
    #[track_caller]
    pub fn init(self, device: &Device, rng: &mut Rng) -> Result<TransformerEncoder> {
        if self.layers == 0 {
            return Err(invalid("transformer_encoder", "0 layers".into()));
        }
        let norm = if self.norm { Some(self.layer.settings.norm(device, rng)?) } else { None };
        let mut layers = Vec::new();
        for _ in 0..self.layers {
            layers.push(self.layer.clone().init(device, rng)?);
        }
        Ok(TransformerEncoder { layers, norm })
    }
}
