//! LeNet-5.

use thalweg_derive::Module;
use thalweg_graph::{Device, Result, Rng, Tensor};

use crate::{Activation, Conv2d, Linear};

/// Two convolutions with pooling by means, and three linear layers, for images of 32 × 32. Every map of the second convolution sees all
/// of the first, where the paper's sees some.
///
/// # Shapes
/// `[B, channels, 32, 32]` → `[B, classes]`; parts `conv1`, `conv2`, `fc1`, `fc2`, `fc3`
/// # Source
/// LeCun et al. 1998, "Gradient-based learning applied to document recognition", §II.B.
#[derive(Clone, Debug, Module)]
pub struct LeNet {
    conv1: Conv2d,
    conv2: Conv2d,
    fc1: Linear,
    fc2: Linear,
    fc3: Linear,
    #[module(skip)]
    activation: Activation,
}

/// How to make a [`LeNet`].
#[derive(Clone, Debug)]
pub struct LeNetConfig {
    channels: usize,
    classes: usize,
    activation: Activation,
}

/// LeNet-5 for ten digits in grey, with hyperbolic tangents.
pub fn lenet() -> LeNetConfig {
    LeNetConfig { channels: 1, classes: 10, activation: Activation::Tanh }
}

impl LeNet {
    /// Logits.
    ///
    /// # Shapes
    /// `[B, channels, 32, 32]` → `[B, classes]`
    /// # Errors
    /// Images of other channels or another size.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let activated = |x: Tensor| self.activation.forward(&x);
        let x = activated(self.conv1.forward(x)).avg_pool2d(2);
        let x = activated(self.conv2.forward(&x)).avg_pool2d(2);
        let x = activated(self.fc1.forward(&x.flatten(1..)));
        self.fc3.forward(&activated(self.fc2.forward(&x)))
    }
}

impl LeNetConfig {
    setters! {
        /// Channels of the images.
        channels: usize;
        /// Classes.
        classes: usize;
        /// With this nonlinearity.
        activation: Activation;
    }

    /// Draws the weights.
    ///
    /// # Errors
    /// No channels or classes; no memory.
    #[track_caller]
    pub fn init(self, device: &Device, rng: &mut Rng) -> Result<LeNet> {
        Ok(LeNet {
            conv1: Conv2d::new(self.channels, 6, 5).init(device, rng)?,
            conv2: Conv2d::new(6, 16, 5).init(device, rng)?,
            fc1: Linear::new(16 * 5 * 5, 120).init(device, rng)?,
            fc2: Linear::new(120, 84).init(device, rng)?,
            fc3: Linear::new(84, self.classes).init(device, rng)?,
            activation: self.activation,
        })
    }
}
