//! MobileNetV2.

use thalweg_derive::Module;
use thalweg_graph::{Device, Result, Rng, Tensor};

use super::{FILTERS, divisible, head};
use crate::{Activation, AdaptiveAvgPool2d, ConvNorm, Dropout, InvertedResidual, Sequential, init::invalid};

/// Inverted residuals with linear bottlenecks.
///
/// # Shapes
/// `[B, 3, H, W]` → `[B, classes]`; parts `features` and `classifier`, as in torchvision
/// # Source
/// Sandler et al. 2018, arXiv:1801.04381, table 2.
#[derive(Clone, Debug, Module)]
pub struct MobileNetV2 {
    features: Sequential,
    classifier: Sequential,
}

/// How to make a [`MobileNetV2`].
#[derive(Clone, Debug)]
pub struct MobileNetV2Config {
    width: f64,
    classes: usize,
    dropout: f64,
}

/// MobileNetV2 for 1000 classes, with dropout of a fifth.
pub fn mobilenet_v2() -> MobileNetV2Config {
    MobileNetV2Config { width: 1.0, classes: 1000, dropout: 0.2 }
}

/// Expansion, channels, blocks, and the stride of the first of them.
const STAGES: [(usize, usize, usize, usize); 7] =
    [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)];

impl MobileNetV2 {
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

impl MobileNetV2Config {
    setters! {
        /// All numbers of channels times this, as multiples of 8; the last is not made smaller.
        width: f64;
        /// Classes.
        classes: usize;
        /// With this probability of dropout before the last layer.
        dropout: f64;
    }

    /// Draws the weights.
    ///
    /// # Errors
    /// A width that is not positive; no classes; a probability outside `[0, 1)`; no memory.
    #[track_caller]
    pub fn init(self, device: &Device, rng: &mut Rng) -> Result<MobileNetV2> {
        let width = self.width;
        if !(width.is_finite() && width > 0.0) {
            return Err(invalid("mobilenet_v2", format!("a width of {width}")));
        }
        let (mut inputs, last) = (divisible(32.0 * width), divisible(1280.0 * width.max(1.0)));
        let edge = |inputs, outputs, kernel| {
            ConvNorm::new(inputs, outputs, kernel).activation(Activation::Relu6).weights(FILTERS)
        };
        let mut features = Sequential::new().then(edge(3, inputs, 3).stride(2).init(device, rng)?);
        for (expand, channels, blocks, first) in STAGES {
            let outputs = divisible(channels as f64 * width);
            for block in 0..blocks {
                let stride = if block == 0 { first } else { 1 };
                let block = InvertedResidual::new(inputs, outputs, expand).stride(stride).weights(FILTERS);
                features = features.then(block.init(device, rng)?);
                inputs = outputs;
            }
        }
        let features = features.then(edge(inputs, last, 1).init(device, rng)?);
        let classifier = Sequential::new().then(Dropout::new(self.dropout).init(device, rng)?).then(head(
            last,
            self.classes,
            0.01,
            device,
            rng,
        )?);
        Ok(MobileNetV2 { features, classifier })
    }
}
