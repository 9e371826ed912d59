//! EfficientNet.

use thalweg_derive::Module;
use thalweg_graph::{Device, Result, Rng, Tensor};

use super::{FILTERS, divisible};
use crate::{
    Activation, AdaptiveAvgPool2d, ConvNorm, ConvNormConfig, Dropout, Init, Layer, Linear, Sequential, SqueezeExcite,
    StochasticDepth, init::invalid,
};

/// Inverted residuals with squeeze and excitation, scaled in width, depth and resolution together: B0 is a network that was searched
/// for, and each of the others has about double the cost of the one before.
///
/// # Shapes
/// `[B, 3, H, W]` → `[B, classes]`; parts `features` and `classifier`, as in torchvision
/// # Source
/// Tan & Le 2019, arXiv:1905.11946, table 1 and §3.3.
#[derive(Clone, Debug, Module)]
pub struct EfficientNet {
    features: Sequential,
    classifier: Sequential,
}

/// How to make an [`EfficientNet`].
#[derive(Clone, Debug)]
pub struct EfficientNetConfig {
    width: f64,
    depth: f64,
    dropout: f64,
    stochastic_depth: f64,
    /// ε and momentum of the normalisations.
    norm: (f64, f64),
    classes: usize,
}

impl EfficientNetConfig {
    const fn of(width: f64, depth: f64, dropout: f64) -> EfficientNetConfig {
        EfficientNetConfig { width, depth, dropout, stochastic_depth: 0.2, norm: (1e-5, 0.1), classes: 1000 }
    }

    /// As the larger ones have it.
    const fn slow(width: f64, depth: f64, dropout: f64) -> EfficientNetConfig {
        EfficientNetConfig { norm: (1e-3, 0.01), ..EfficientNetConfig::of(width, depth, dropout) }
    }
}

family! {
    /// EfficientNet-B0, for images of 224 × 224.
    efficientnet_b0 => EfficientNetConfig = EfficientNetConfig::of(1.0, 1.0, 0.2);
    /// EfficientNet-B1, for images of 240 × 240.
    efficientnet_b1 => EfficientNetConfig = EfficientNetConfig::of(1.0, 1.1, 0.2);
    /// EfficientNet-B2, for images of 260 × 260 to 288 × 288.
    efficientnet_b2 => EfficientNetConfig = EfficientNetConfig::of(1.1, 1.2, 0.3);
    /// EfficientNet-B3, for images of 300 × 300.
    efficientnet_b3 => EfficientNetConfig = EfficientNetConfig::of(1.2, 1.4, 0.3);
    /// EfficientNet-B4, for images of 380 × 380.
    efficientnet_b4 => EfficientNetConfig = EfficientNetConfig::of(1.4, 1.8, 0.4);
    /// EfficientNet-B5, for images of 456 × 456.
    efficientnet_b5 => EfficientNetConfig = EfficientNetConfig::slow(1.6, 2.2, 0.4);
    /// EfficientNet-B6, for images of 528 × 528.
    efficientnet_b6 => EfficientNetConfig = EfficientNetConfig::slow(1.8, 2.6, 0.5);
    /// EfficientNet-B7, for images of 600 × 600.
    efficientnet_b7 => EfficientNetConfig = EfficientNetConfig::slow(2.0, 3.1, 0.5);
}

/// What a stage of B0 is.
struct Stage {
    expand: usize,
    kernel: usize,
    stride: usize,
    channels: usize,
    blocks: usize,
}

const STAGES: [Stage; 7] = [
    Stage { expand: 1, kernel: 3, stride: 1, channels: 16, blocks: 1 },
    Stage { expand: 6, kernel: 3, stride: 2, channels: 24, blocks: 2 },
    Stage { expand: 6, kernel: 5, stride: 2, channels: 40, blocks: 2 },
    Stage { expand: 6, kernel: 3, stride: 2, channels: 80, blocks: 3 },
    Stage { expand: 6, kernel: 5, stride: 1, channels: 112, blocks: 3 },
    Stage { expand: 6, kernel: 5, stride: 2, channels: 192, blocks: 4 },
    Stage { expand: 6, kernel: 3, stride: 1, channels: 320, blocks: 1 },
];

/// An inverted residual with squeeze and excitation.
#[derive(Clone, Debug, Module)]
struct Block {
    block: Sequential,
    stochastic_depth: StochasticDepth,
    residual: bool,
}

impl Layer for Block {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        let y = self.block.forward(x);
        if self.residual { self.stochastic_depth.forward(&y) + x } else { y }
    }
}

impl EfficientNet {
    /// Logits.
    ///
    /// # Shapes
    /// `[B, 3, H, W]` → `[B, classes]`
    /// # Errors
    /// Images of other channels.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let x = AdaptiveAvgPool2d::new(1).forward(&self.features.forward(x));
        self.classifier.forward(&x.flatten(1..))
    }
}

impl EfficientNetConfig {
    /// B0 with channels and blocks times these: the rule of scaling with `width = 1.1^φ` and `depth = 1.2^φ`, for images that are larger by
    /// `1.15^φ`.
    ///
    /// # Source
    /// Tan & Le 2019, equation 3 with α = 1.2, β = 1.1, γ = 1.15.
    pub fn scaled(width: f64, depth: f64) -> EfficientNetConfig {
        EfficientNetConfig::of(width, depth, 0.2)
    }

    setters! {
        /// Classes.
        classes: usize;
        /// With this probability of dropout before the last layer.
        dropout: f64;
        /// With this probability that the last block is skipped; those before it less, in proportion to their place.
        stochastic_depth: f64;
    }

    fn part(&self, inputs: usize, outputs: usize, kernel: usize) -> ConvNormConfig {
        let (eps, momentum) = self.norm;
        ConvNorm::new(inputs, outputs, kernel).activation(Activation::Silu).weights(FILTERS).norm(eps, momentum)
    }

    #[track_caller]
    fn block(
        &self,
        stage: &Stage,
        io: [usize; 2],
        stride: usize,
        skip: f64,
        device: &Device,
        rng: &mut Rng,
    ) -> Result<Block> {
        let [inputs, outputs] = io;
        let hidden = inputs * stage.expand;
        let mut block = Sequential::new();
        if stage.expand > 1 {
            block = block.then(self.part(inputs, hidden, 1).init(device, rng)?);
        }
        let squeeze = SqueezeExcite::new(hidden, (inputs / 4).max(1)).activation(Activation::Silu).weights(FILTERS);
        let block = block
            .then(self.part(hidden, hidden, stage.kernel).stride(stride).groups(hidden).init(device, rng)?)
            .then(squeeze.biases(Init::Constant(0.0)).init(device, rng)?)
            .then(self.part(hidden, outputs, 1).activation(Activation::Identity).init(device, rng)?);
        let stochastic_depth = StochasticDepth::new(skip).init(device, rng)?;
        Ok(Block { block, stochastic_depth, residual: stride == 1 && inputs == outputs })
    }

    /// Draws the weights.
    ///
    /// # Errors
    /// A width or depth that is not positive; no classes; a probability outside `[0, 1)`; no memory.
    #[track_caller]
    pub fn init(self, device: &Device, rng: &mut Rng) -> Result<EfficientNet> {
        let (width, depth) = (self.width, self.depth);
        if !(width.is_finite() && width > 0.0 && depth.is_finite() && depth > 0.0) {
            return Err(invalid("efficientnet", format!("a width of {width} and a depth of {depth}")));
        }
        let channels = |channels: usize| divisible(channels as f64 * width);
        let blocks = |stage: &Stage| (stage.blocks as f64 * depth).ceil() as usize;
        let total: usize = STAGES.iter().map(blocks).sum();
        let (mut inputs, mut place) = (channels(32), 0);
        let mut features = Sequential::new().then(self.part(3, inputs, 3).stride(2).init(device, rng)?);
        for stage in &STAGES {
            let mut layers = Sequential::new();
            for block in 0..blocks(stage) {
                let (stride, outputs) = (if block == 0 { stage.stride } else { 1 }, channels(stage.channels));
                let skip = self.stochastic_depth * place as f64 / total as f64;
                layers = layers.then(self.block(stage, [inputs, outputs], stride, skip, device, rng)?);
                (inputs, place) = (outputs, place + 1);
            }
            features = features.then(layers);
        }
        let last = 4 * inputs;
        let features = features.then(self.part(inputs, last, 1).init(device, rng)?);
        let bound = 1.0 / (self.classes.max(1) as f64).sqrt();
        let linear = Linear::new(last, self.classes).weights(Init::Uniform(bound)).biases(Init::Constant(0.0));
        let classifier =
            Sequential::new().then(Dropout::new(self.dropout).init(device, rng)?).then(linear.init(device, rng)?);
        Ok(EfficientNet { features, classifier })
    }
}
