//! DenseNet.

use thalweg_derive::Module;
use thalweg_graph::{Device, Result, Rng, Tensor};

use crate::{
    Activation, AdaptiveAvgPool2d, AvgPool2d, BatchNorm2d, Conv2d, Dropout, Fan, Init, Layer, Linear, MaxPool2d,
    Sequential,
};

/// Blocks in which each layer sees what all before it gave.
///
/// # Shapes
/// `[B, 3, H, W]` → `[B, classes]`; parts as in torchvision: `features.conv0`, `features.denseblock1.denselayer1.norm1`, .., `classifier`
/// # Source
/// Huang et al. 2017, arXiv:1608.06993, table 1.
#[derive(Clone, Debug, Module)]
pub struct DenseNet {
    features: Sequential,
    classifier: Linear,
}

/// How to make a [`DenseNet`].
#[derive(Clone, Debug)]
pub struct DenseNetConfig {
    /// Channels that a layer adds.
    growth: usize,
    /// Layers of each block.
    layers: [usize; 4],
    /// Channels of the first convolution.
    first: usize,
    dropout: f64,
    classes: usize,
}

impl DenseNetConfig {
    const fn of(growth: usize, layers: [usize; 4], first: usize) -> DenseNetConfig {
        DenseNetConfig { growth, layers, first, dropout: 0.0, classes: 1000 }
    }
}

family! {
    /// DenseNet of 121 layers.
    densenet121 => DenseNetConfig = DenseNetConfig::of(32, [6, 12, 24, 16], 64);
    /// DenseNet of 161 layers, each of which adds 48 channels.
    densenet161 => DenseNetConfig = DenseNetConfig::of(48, [6, 12, 36, 24], 96);
    /// DenseNet of 169 layers.
    densenet169 => DenseNetConfig = DenseNetConfig::of(32, [6, 12, 32, 32], 64);
    /// DenseNet of 201 layers.
    densenet201 => DenseNetConfig = DenseNetConfig::of(32, [6, 12, 48, 32], 64);
}

/// Normalisation, relu and convolution, of 1 × 1 and then of 3 × 3; its result behind its input.
#[derive(Clone, Debug, Module)]
struct DenseLayer {
    norm1: BatchNorm2d,
    conv1: Conv2d,
    norm2: BatchNorm2d,
    conv2: Conv2d,
    dropout: Dropout,
}

impl Layer for DenseLayer {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        let y = self.conv1.forward(&self.norm1.forward(x).relu());
        let y = self.conv2.forward(&self.norm2.forward(&y).relu());
        Tensor::concat([x, &self.dropout.forward(&y)], 1)
    }
}

/// Half the channels and a quarter of the places.
#[derive(Clone, Debug, Module)]
struct Transition {
    norm: BatchNorm2d,
    conv: Conv2d,
}

impl Layer for Transition {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        AvgPool2d::new(2).forward(&self.conv.forward(&self.norm.forward(x).relu()))
    }
}

impl DenseNet {
    /// Logits.
    ///
    /// # Shapes
    /// `[B, 3, H, W]` → `[B, classes]`
    /// # Errors
    /// Images of other channels, or too small.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let x = AdaptiveAvgPool2d::new(1).forward(&self.features.forward(x).relu());
        self.classifier.forward(&x.flatten(1..))
    }
}

/// Normal, by the number of inputs.
const FILTERS: Init = Init::ScaledNormal { fan: Fan::In, gain: std::f64::consts::SQRT_2 };

/// Channels of the convolution of 1 × 1, by those that a layer adds.
const BOTTLENECK: usize = 4;

impl DenseNetConfig {
    setters! {
        /// Classes.
        classes: usize;
        /// With this probability of dropout behind each layer.
        dropout: f64;
    }

    #[track_caller]
    fn layer(&self, inputs: usize, device: &Device, rng: &mut Rng) -> Result<DenseLayer> {
        let hidden = BOTTLENECK * self.growth;
        let conv = |inputs, outputs, kernel| Conv2d::new(inputs, outputs, kernel).bias(false).weights(FILTERS);
        Ok(DenseLayer {
            norm1: BatchNorm2d::new(inputs).init(device, rng)?,
            conv1: conv(inputs, hidden, 1).init(device, rng)?,
            norm2: BatchNorm2d::new(hidden).init(device, rng)?,
            conv2: conv(hidden, self.growth, 3).padding(1).init(device, rng)?,
            dropout: Dropout::new(self.dropout).init(device, rng)?,
        })
    }

    /// Draws the weights.
    ///
    /// # Errors
    /// No classes; a probability outside `[0, 1)`; no memory.
    #[track_caller]
    pub fn init(self, device: &Device, rng: &mut Rng) -> Result<DenseNet> {
        let mut channels = self.first;
        let first = Conv2d::new(3, channels, 7).stride(2).padding(3).bias(false).weights(FILTERS);
        let mut features = Sequential::new()
            .then_named("conv0", first.init(device, rng)?)
            .then_named("norm0", BatchNorm2d::new(channels).init(device, rng)?)
            .then_named("relu0", Activation::Relu)
            .then_named("pool0", MaxPool2d::new(3).stride(2).padding(1));
        for (i, layers) in (1..).zip(self.layers) {
            let mut block = Sequential::new();
            for layer in 1..=layers {
                block = block.then_named(format_args!("denselayer{layer}"), self.layer(channels, device, rng)?);
                channels += self.growth;
            }
            features = features.then_named(format_args!("denseblock{i}"), block);
            if i < self.layers.len() {
                let half = Conv2d::new(channels, channels / 2, 1).bias(false).weights(FILTERS);
                let norm = BatchNorm2d::new(channels).init(device, rng)?;
                let transition = Transition { norm, conv: half.init(device, rng)? };
                features = features.then_named(format_args!("transition{i}"), transition);
                channels /= 2;
            }
        }
        let features = features.then_named("norm5", BatchNorm2d::new(channels).init(device, rng)?);
        let classifier = Linear::new(channels, self.classes).biases(Init::Constant(0.0)).init(device, rng)?;
        Ok(DenseNet { features, classifier })
    }
}
