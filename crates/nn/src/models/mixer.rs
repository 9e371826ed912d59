//! MLP-Mixer.

use thalweg_derive::Module;
use thalweg_graph::{Device, Result, Rng, Tensor};

use super::{dense, head};
use crate::{Conv2d, Layer, LayerNorm, Linear, init::invalid};

/// Perceptrons over the patches of an image and over the channels of a patch, by turns.
///
/// # Shapes
/// `[B, 3, size, size]` → `[B, classes]`; parts as in timm: `stem.proj`, `blocks.0.mlp_tokens.fc1`, .., `norm`, `head`
/// # Source
/// Tolstikhin et al. 2021, arXiv:2105.01601, table 1.
#[derive(Clone, Debug, Module)]
pub struct Mixer {
    stem: Patches,
    blocks: Vec<Block>,
    norm: LayerNorm,
    head: Linear,
}

/// How to make a [`Mixer`].
#[derive(Clone, Debug)]
pub struct MixerConfig {
    patch: usize,
    depth: usize,
    width: usize,
    /// Hidden widths over patches and over channels.
    hidden: [usize; 2],
    size: usize,
    classes: usize,
}

impl MixerConfig {
    const fn of(patch: usize, depth: usize, width: usize, hidden: [usize; 2]) -> MixerConfig {
        MixerConfig { patch, depth, width, hidden, size: 224, classes: 1000 }
    }
}

family! {
    /// Small, with patches of 32 × 32.
    mixer_s32 => MixerConfig = MixerConfig::of(32, 8, 512, [256, 2048]);
    /// Small, with patches of 16 × 16.
    mixer_s16 => MixerConfig = MixerConfig::of(16, 8, 512, [256, 2048]);
    /// Base, with patches of 32 × 32.
    mixer_b32 => MixerConfig = MixerConfig::of(32, 12, 768, [384, 3072]);
    /// Base, with patches of 16 × 16.
    mixer_b16 => MixerConfig = MixerConfig::of(16, 12, 768, [384, 3072]);
    /// Large, with patches of 32 × 32.
    mixer_l32 => MixerConfig = MixerConfig::of(32, 24, 1024, [512, 4096]);
    /// Large, with patches of 16 × 16.
    mixer_l16 => MixerConfig = MixerConfig::of(16, 24, 1024, [512, 4096]);
}

/// An image as a sequence of patches.
#[derive(Clone, Debug, Module)]
struct Patches {
    proj: Conv2d,
}

#[derive(Clone, Debug, Module)]
struct Perceptron {
    fc1: Linear,
    fc2: Linear,
}

impl Perceptron {
    #[track_caller]
    fn new(width: usize, hidden: usize, device: &Device, rng: &mut Rng) -> Result<Perceptron> {
        let fc1 = dense(width, hidden, device, rng)?;
        Ok(Perceptron { fc1, fc2: dense(hidden, width, device, rng)? })
    }

    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        self.fc2.forward(&self.fc1.forward(x).gelu())
    }
}

#[derive(Clone, Debug, Module)]
struct Block {
    norm1: LayerNorm,
    mlp_tokens: Perceptron,
    norm2: LayerNorm,
    mlp_channels: Perceptron,
}

impl Layer for Block {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        let x = x + self.mlp_tokens.forward(&self.norm1.forward(x).t()).t();
        &x + self.mlp_channels.forward(&self.norm2.forward(&x))
    }
}

impl Mixer {
    /// Logits.
    ///
    /// # Shapes
    /// `[B, 3, size, size]` → `[B, classes]`
    /// # Errors
    /// Images of another size.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let patches = self.stem.proj.forward(x).flatten(2..).t();
        let x = self.norm.forward(&self.blocks.forward(&patches));
        self.head.forward(&x.mean(1))
    }
}

impl MixerConfig {
    setters! {
        /// Height and width of the images.
        size: usize;
        /// Classes.
        classes: usize;
    }

    /// Draws the weights; those of the head are 0 at first.
    ///
    /// # Errors
    /// Images that patches do not divide; no classes; no memory.
    #[track_caller]
    pub fn init(self, device: &Device, rng: &mut Rng) -> Result<Mixer> {
        let MixerConfig { patch, depth, width, hidden: [over_patches, over_channels], size, classes } = self;
        if size == 0 || !size.is_multiple_of(patch) {
            return Err(invalid("mixer", format!("images of {size}, which patches of {patch} do not divide")));
        }
        let patches = (size / patch).pow(2);
        let proj = Conv2d::new(3, width, patch).stride(patch).init(device, rng)?;
        let norm = |device: &Device, rng: &mut Rng| LayerNorm::new(width).eps(1e-6).init(device, rng);
        let mut blocks = Vec::with_capacity(depth);
        for _ in 0..depth {
            blocks.push(Block {
                norm1: norm(device, rng)?,
                mlp_tokens: Perceptron::new(patches, over_patches, device, rng)?,
                norm2: norm(device, rng)?,
                mlp_channels: Perceptron::new(width, over_channels, device, rng)?,
            });
        }
        Ok(Mixer {
            stem: Patches { proj },
            blocks,
            norm: norm(device, rng)?,
            head: head(width, classes, 0.0, device, rng)?,
        })
    }
}
