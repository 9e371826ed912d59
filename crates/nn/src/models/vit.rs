//! The vision transformer.

use thalweg_derive::Module;
use thalweg_graph::{Device, ErrorKind, Param, Result, Rng, Tensor};

use super::{dense, head};
use crate::{
    Activation, Conv2d, Dropout, Init, Layer, LayerNorm, MultiheadAttention, Sequential,
    init::{filled, invalid},
};

/// A transformer's encoder over the patches of an image and a token for its class, normalised before each part.
///
/// # Shapes
/// `[B, 3, size, size]` → `[B, classes]`; parts as in torchvision: `class_token`, `conv_proj`, `encoder.pos_embedding`,
/// `encoder.layers.encoder_layer_0.ln_1`, .., `heads.head`
/// # Source
/// Dosovitskiy et al. 2021, arXiv:2010.11929.
#[derive(Clone, Debug, Module)]
pub struct ViT {
    class_token: Param,
    conv_proj: Conv2d,
    encoder: Encoder,
    heads: Sequential,
}

/// How to make a [`ViT`].
#[derive(Clone, Debug)]
pub struct ViTConfig {
    patch: usize,
    depth: usize,
    heads: usize,
    width: usize,
    hidden: usize,
    size: usize,
    classes: usize,
    dropout: f64,
}

impl ViTConfig {
    const fn of(patch: usize, depth: usize, heads: usize, width: usize) -> ViTConfig {
        ViTConfig { patch, depth, heads, width, hidden: 4 * width, size: 224, classes: 1000, dropout: 0.0 }
    }
}

family! {
    /// Small, with patches of 16 × 16 (Touvron et al. 2021, arXiv:2012.12877, table 1).
    vit_s_16 => ViTConfig = ViTConfig::of(16, 12, 6, 384);
    /// Base, with patches of 16 × 16.
    vit_b_16 => ViTConfig = ViTConfig::of(16, 12, 12, 768);
    /// Base, with patches of 32 × 32.
    vit_b_32 => ViTConfig = ViTConfig::of(32, 12, 12, 768);
    /// Large, with patches of 16 × 16.
    vit_l_16 => ViTConfig = ViTConfig::of(16, 24, 16, 1024);
    /// Large, with patches of 32 × 32.
    vit_l_32 => ViTConfig = ViTConfig::of(32, 24, 16, 1024);
}

#[derive(Clone, Debug, Module)]
struct Encoder {
    pos_embedding: Param,
    dropout: Dropout,
    layers: Sequential,
    ln: LayerNorm,
}

#[derive(Clone, Debug, Module)]
struct Block {
    ln_1: LayerNorm,
    self_attention: MultiheadAttention,
    dropout: Dropout,
    ln_2: LayerNorm,
    mlp: Sequential,
}

impl Layer for Block {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        let y = self.ln_1.forward(x);
        let x = x + self.dropout.forward(&self.self_attention.forward(&y, &y, &y, None));
        &x + self.mlp.forward(&self.ln_2.forward(&x))
    }
}

impl ViT {
    /// Logits.
    ///
    /// # Shapes
    /// `[B, 3, size, size]` → `[B, classes]`
    /// # Errors
    /// Images of other channels or another size.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let patches = self.conv_proj.forward(x);
        let places = self.encoder.pos_embedding.shape().get(1).map_or(0, |n| n.saturating_sub(1));
        if patches.check().is_ok() && (patches.rank() != 4 || patches.shape()[2] * patches.shape()[3] != places) {
            let problem = format!("is not divided into {places} patches");
            return x.fail("vit", ErrorKind::Shape { shape: x.shape().to_vec(), problem });
        }
        if patches.check().is_err() {
            return patches;
        }
        let patches = patches.flatten(2..).t();
        let (batch, width) = (patches.shape()[0], patches.shape()[2]);
        let token = self.class_token.tensor().broadcast_to([batch, 1, width]);
        let x = Tensor::concat([token, patches], 1) + self.encoder.pos_embedding.tensor();
        let x = self.encoder.layers.forward(&self.encoder.dropout.forward(&x));
        self.heads.forward(&self.encoder.ln.forward(&x).select(1, 0))
    }
}

/// What the reference has in its norms.
const EPS: f64 = 1e-6;

impl ViTConfig {
    setters! {
        /// Layers of the encoder.
        depth: usize;
        /// Heads of attention.
        heads: usize;
        /// Numbers of each token.
        width: usize;
        /// Numbers between the two linear layers of a block.
        hidden: usize;
        /// Height and width of a patch.
        patch: usize;
        /// Height and width of the images.
        size: usize;
        /// Classes.
        classes: usize;
        /// With this probability of dropout in the encoder.
        dropout: f64;
    }

    #[track_caller]
    fn block(&self, device: &Device, rng: &mut Rng) -> Result<Block> {
        let (width, hidden) = (self.width, self.hidden);
        let (first, second) = (dense(width, hidden, device, rng)?, dense(hidden, width, device, rng)?);
        let mut dropout = || Dropout::new(self.dropout).init(device, rng);
        let mlp = Sequential::new().then(first).then(Activation::Gelu).then(dropout()?).then(second).then(dropout()?);
        Ok(Block {
            ln_1: LayerNorm::new(width).eps(EPS).init(device, rng)?,
            self_attention: MultiheadAttention::new(width, self.heads).init(device, rng)?,
            dropout: Dropout::new(self.dropout).init(device, rng)?,
            ln_2: LayerNorm::new(width).eps(EPS).init(device, rng)?,
            mlp,
        })
    }

    /// Draws the weights; those of the head and the token are 0 at first.
    ///
    /// # Errors
    /// Images that patches do not divide; heads that do not divide the width; no classes; a probability outside `[0, 1)`; no memory.
    #[track_caller]
    pub fn init(self, device: &Device, rng: &mut Rng) -> Result<ViT> {
        let ViTConfig { patch, size, width, .. } = self;
        if patch == 0 || size == 0 || !size.is_multiple_of(patch) {
            return Err(invalid("vit", format!("images of {size}, which patches of {patch} do not divide")));
        }
        let tokens = (size / patch).pow(2) + 1;
        // A linear layer over the numbers of a patch.
        let inputs = 3.0 * (patch * patch) as f64;
        let patches = Init::TruncatedNormal { mean: 0.0, std: (1.0 / inputs).sqrt(), low: -2.0, high: 2.0 };
        let proj = Conv2d::new(3, width, patch).stride(patch).weights(patches);
        let conv_proj = proj.biases(Init::Constant(0.0)).init(device, rng)?;
        let pos_embedding = Init::Normal(0.02).param(device, [1, tokens, width], rng)?;
        let mut layers = Sequential::new();
        for i in 0..self.depth {
            layers = layers.then_named(format_args!("encoder_layer_{i}"), self.block(device, rng)?);
        }
        let encoder = Encoder {
            pos_embedding,
            dropout: Dropout::new(self.dropout).init(device, rng)?,
            layers,
            ln: LayerNorm::new(width).eps(EPS).init(device, rng)?,
        };
        let heads = Sequential::new().then_named("head", head(width, self.classes, 0.0, device, rng)?);
        Ok(ViT { class_token: Param::new(filled(device, 0.0, &[1, 1, width]))?, conv_proj, encoder, heads })
    }
}
