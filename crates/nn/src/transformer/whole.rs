//! An encoder and a decoder.

use thalweg_derive::Module;
use thalweg_graph::{Device, Module as _, Result, Rng, Tensor};

use super::{
    decoder::{TransformerDecoder, TransformerDecoderLayerConfig},
    encoder::{TransformerEncoder, TransformerEncoderLayerConfig},
    settings::{Settings, settings},
};
use crate::Init;

/// A Transformer from sequence to sequence: an encoder of the source, whose result is the memory of a decoder of the target, both
/// with a normalisation behind.
///
/// # Shapes
/// source `[.., S, E]`, target `[.., L, E] → [.., L, E]`; parameters `encoder.layers.0.linear1.weight`, `decoder.norm.weight` and so on
/// # Source
/// Vaswani et al. 2017, arXiv:1706.03762.
#[derive(Clone, Debug, Module)]
pub struct Transformer {
    /// Of the source.
    pub encoder: TransformerEncoder,
    /// Of the target.
    pub decoder: TransformerDecoder,
}

/// How to make a [`Transformer`].
#[derive(Clone, Debug)]
pub struct TransformerConfig {
    pub(super) settings: Settings,
    encoder_layers: usize,
    decoder_layers: usize,
}

impl Transformer {
    /// Of vectors of this width, in as many heads, with six layers each; not causal.
    #[expect(clippy::new_ret_no_self, reason = "the layers exist once the weights are drawn")]
    pub fn new(width: usize, heads: usize) -> TransformerConfig {
        TransformerConfig { settings: Settings::new(width, heads), encoder_layers: 6, decoder_layers: 6 }
    }

    /// Applies it, with the masks of [`MultiheadAttention::forward`](crate::MultiheadAttention::forward): of the source, of the target,
    /// and of what the target sees of the source.
    ///
    /// # Shapes
    /// source `[.., S, E]`, target `[.., L, E]`, masks broadcast to `[.., H, S, S]`, `[.., H, L, L]` and `[.., H, L, S]` → `[.., L, E]`
    /// # Errors
    /// Vectors of another width; masks that do not broadcast.
    #[track_caller]
    pub fn forward(
        &self,
        source: &Tensor,
        target: &Tensor,
        source_mask: Option<&Tensor>,
        target_mask: Option<&Tensor>,
        memory_mask: Option<&Tensor>,
    ) -> Tensor {
        let memory = self.encoder.forward(source, source_mask);
        self.decoder.forward(target, &memory, target_mask, memory_mask)
    }
}

settings! { TransformerConfig }

impl TransformerConfig {
    setters! {
        /// With as many layers in the encoder.
        encoder_layers: usize;
        /// With as many layers in the decoder.
        decoder_layers: usize;
    }

    /// Draws the weights as PyTorch does: every matrix by [`Init::XAVIER`].
    ///
    /// # Errors
    /// Heads that do not divide the width; no numbers; no layers; a probability outside `[0, 1)`; no memory.
    #[track_caller]
    pub fn init(self, device: &Device, rng: &mut Rng) -> Result<Transformer> {
        let encoder = TransformerEncoderLayerConfig { settings: Settings { causal: false, ..self.settings.clone() } };
        let decoder = TransformerDecoderLayerConfig { settings: self.settings };
        let made = Transformer {
            encoder: TransformerEncoder::new(encoder, self.encoder_layers).norm(true).init(device, rng)?,
            decoder: TransformerDecoder::new(decoder, self.decoder_layers).norm(true).init(device, rng)?,
        };
        for (_, param) in made.params() {
            let shape = param.shape();
            if shape.len() > 1 {
                param.set(&Tensor::from_slice(device, &Init::XAVIER.draw(&shape, rng)?, shape))?;
            }
        }
        Ok(made)
    }
}
