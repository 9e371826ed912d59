//! AlexNet.

use thalweg_derive::Module;
use thalweg_graph::{Device, Result, Rng, Tensor};

use crate::{Activation, AdaptiveAvgPool2d, Conv2d, Dropout, Linear, MaxPool2d, Sequential};

/// Five convolutions and three linear layers, in one column, as torchvision has it.
///
/// # Shapes
/// `[B, 3, H, W]` of 63 or more → `[B, classes]`; parts `features` and `classifier`
/// # Source
/// Krizhevsky 2014, arXiv:1404.5997, after Krizhevsky et al. 2012.
#[derive(Clone, Debug, Module)]
pub struct AlexNet {
    features: Sequential,
    classifier: Sequential,
}

/// How to make an [`AlexNet`].
#[derive(Clone, Debug)]
pub struct AlexNetConfig {
    classes: usize,
    dropout: f64,
}

/// AlexNet for 1000 classes, with dropout of a half.
pub fn alexnet() -> AlexNetConfig {
    AlexNetConfig { classes: 1000, dropout: 0.5 }
}

impl AlexNet {
    /// Logits.
    ///
    /// # Shapes
    /// `[B, 3, H, W]` → `[B, classes]`
    /// # Errors
    /// Images of other channels, or too small.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let x = AdaptiveAvgPool2d::new(6).forward(&self.features.forward(x));
        self.classifier.forward(&x.flatten(1..))
    }
}

impl AlexNetConfig {
    setters! {
        /// Classes.
        classes: usize;
        /// With this probability of dropout before the linear layers.
        dropout: f64;
    }

    /// Draws the weights.
    ///
    /// # Errors
    /// No classes; a probability outside `[0, 1)`; no memory.
    #[track_caller]
    pub fn init(self, device: &Device, rng: &mut Rng) -> Result<AlexNet> {
        let pool = || MaxPool2d::new(3).stride(2);
        let features = Sequential::new()
            .then(Conv2d::new(3, 64, 11).stride(4).padding(2).init(device, rng)?)
            .then(Activation::Relu)
            .then(pool())
            .then(Conv2d::new(64, 192, 5).padding(2).init(device, rng)?)
            .then(Activation::Relu)
            .then(pool())
            .then(Conv2d::new(192, 384, 3).padding(1).init(device, rng)?)
            .then(Activation::Relu)
            .then(Conv2d::new(384, 256, 3).padding(1).init(device, rng)?)
            .then(Activation::Relu)
            .then(Conv2d::new(256, 256, 3).padding(1).init(device, rng)?)
            .then(Activation::Relu)
            .then(pool());
        let classifier = Sequential::new()
            .then(Dropout::new(self.dropout).init(device, rng)?)
            .then(Linear::new(256 * 6 * 6, 4096).init(device, rng)?)
            .then(Activation::Relu)
            .then(Dropout::new(self.dropout).init(device, rng)?)
            .then(Linear::new(4096, 4096).init(device, rng)?)
            .then(Activation::Relu)
            .then(Linear::new(4096, self.classes).init(device, rng)?);
        Ok(AlexNet { features, classifier })
    }
}
