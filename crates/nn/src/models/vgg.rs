//! VGG.

use thalweg_derive::Module;
use thalweg_graph::{Device, Result, Rng, Tensor};

use super::{FILTERS, head};
use crate::{Activation, AdaptiveAvgPool2d, BatchNorm2d, Conv2d, Dropout, Init, MaxPool2d, Sequential};

/// Convolutions of 3 × 3 in five stages, each with a pooling behind it, and three linear layers.
///
/// # Shapes
/// `[B, 3, H, W]` of 32 or more → `[B, classes]`; parts `features` and `classifier`, as in torchvision
/// # Source
/// Simonyan & Zisserman 2015, arXiv:1409.1556, table 1.
#[derive(Clone, Debug, Module)]
pub struct Vgg {
    features: Sequential,
    classifier: Sequential,
}

/// How to make a [`Vgg`].
#[derive(Clone, Debug)]
pub struct VggConfig {
    /// Convolutions of each stage.
    convs: [usize; 5],
    norm: bool,
    classes: usize,
    dropout: f64,
}

impl VggConfig {
    const fn of(convs: [usize; 5], norm: bool) -> VggConfig {
        VggConfig { convs, norm, classes: 1000, dropout: 0.5 }
    }
}

family! {
    /// VGG of 11 layers with weights (configuration A).
    vgg11 => VggConfig = VggConfig::of([1, 1, 2, 2, 2], false);
    /// VGG of 13 layers (configuration B).
    vgg13 => VggConfig = VggConfig::of([2, 2, 2, 2, 2], false);
    /// VGG of 16 layers (configuration D).
    vgg16 => VggConfig = VggConfig::of([2, 2, 3, 3, 3], false);
    /// VGG of 19 layers (configuration E).
    vgg19 => VggConfig = VggConfig::of([2, 2, 4, 4, 4], false);
    /// [`vgg11`] with batch normalisation behind each convolution.
    vgg11_bn => VggConfig = VggConfig::of([1, 1, 2, 2, 2], true);
    /// [`vgg13`] with batch normalisation behind each convolution.
    vgg13_bn => VggConfig = VggConfig::of([2, 2, 2, 2, 2], true);
    /// [`vgg16`] with batch normalisation behind each convolution.
    vgg16_bn => VggConfig = VggConfig::of([2, 2, 3, 3, 3], true);
    /// [`vgg19`] with batch normalisation behind each convolution.
    vgg19_bn => VggConfig = VggConfig::of([2, 2, 4, 4, 4], true);
}

impl Vgg {
    /// Logits.
    ///
    /// # Shapes
    /// `[B, 3, H, W]` → `[B, classes]`
    /// # Errors
    /// Images of other channels, or too small.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let x = AdaptiveAvgPool2d::new(7).forward(&self.features.forward(x));
        self.classifier.forward(&x.flatten(1..))
    }
}

impl VggConfig {
    setters! {
        /// Classes.
        classes: usize;
        /// With this probability of dropout behind the linear layers.
        dropout: f64;
    }

    /// Draws the weights.
    ///
    /// # Errors
    /// No classes; a probability outside `[0, 1)`; no memory.
    #[track_caller]
    pub fn init(self, device: &Device, rng: &mut Rng) -> Result<Vgg> {
        let (mut features, mut inputs) = (Sequential::new(), 3);
        for (convs, channels) in self.convs.into_iter().zip([64, 128, 256, 512, 512]) {
            for _ in 0..convs {
                let conv = Conv2d::new(inputs, channels, 3).padding(1).weights(FILTERS).biases(Init::Constant(0.0));
                features = features.then(conv.init(device, rng)?);
                if self.norm {
                    features = features.then(BatchNorm2d::new(channels).init(device, rng)?);
                }
                features = features.then(Activation::Relu);
                inputs = channels;
            }
            features = features.then(MaxPool2d::new(2));
        }
        let classifier = Sequential::new()
            .then(head(512 * 7 * 7, 4096, 0.01, device, rng)?)
            .then(Activation::Relu)
            .then(Dropout::new(self.dropout).init(device, rng)?)
            .then(head(4096, 4096, 0.01, device, rng)?)
            .then(Activation::Relu)
            .then(Dropout::new(self.dropout).init(device, rng)?)
            .then(head(4096, self.classes, 0.01, device, rng)?);
        Ok(Vgg { features, classifier })
    }
}
