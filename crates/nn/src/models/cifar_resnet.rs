//! The ResNets of small images.

use thalweg_derive::Module;
use thalweg_graph::{Device, Result, Rng, Tensor};

use crate::{AdaptiveAvgPool2d, BatchNorm2d, Conv2d, Fan, Init, Layer, Linear};

/// Residual blocks in three stages of 16, 32 and 64 channels, for images of 32 × 32. Shortcuts have no weights: where a stage begins, every
/// second row and column with zeros for the channels that there are more.
///
/// # Shapes
/// `[B, 3, H, W]` → `[B, classes]`; parts `conv1`, `bn1`, `layer1.0.conv1`, .., `linear`
/// # Source
/// He et al. 2016, arXiv:1512.03385, §4.2, with option A.
#[derive(Clone, Debug, Module)]
pub struct CifarResNet {
    conv1: Conv2d,
    bn1: BatchNorm2d,
    layer1: Vec<CifarBlock>,
    layer2: Vec<CifarBlock>,
    layer3: Vec<CifarBlock>,
    linear: Linear,
}

/// A residual block of two convolutions.
#[derive(Clone, Debug, Module)]
pub struct CifarBlock {
    conv1: Conv2d,
    bn1: BatchNorm2d,
    conv2: Conv2d,
    bn2: BatchNorm2d,
    /// Channels of the result that the input has not.
    more: usize,
    stride: usize,
}

/// How to make a [`CifarResNet`].
#[derive(Clone, Debug)]
pub struct CifarResNetConfig {
    /// Blocks of each stage.
    blocks: usize,
    channels: usize,
    classes: usize,
}

impl CifarResNetConfig {
    /// Of `6 n + 2` layers.
    const fn of(layers: usize) -> CifarResNetConfig {
        CifarResNetConfig { blocks: (layers - 2) / 6, channels: 3, classes: 10 }
    }
}

family! {
    /// ResNet of 20 layers for small images.
    cifar_resnet20 => CifarResNetConfig = CifarResNetConfig::of(20);
    /// ResNet of 32 layers for small images.
    cifar_resnet32 => CifarResNetConfig = CifarResNetConfig::of(32);
    /// ResNet of 44 layers for small images.
    cifar_resnet44 => CifarResNetConfig = CifarResNetConfig::of(44);
    /// ResNet of 56 layers for small images.
    cifar_resnet56 => CifarResNetConfig = CifarResNetConfig::of(56);
    /// ResNet of 110 layers for small images.
    cifar_resnet110 => CifarResNetConfig = CifarResNetConfig::of(110);
}

impl CifarResNet {
    /// Logits.
    ///
    /// # Shapes
    /// `[B, 3, H, W]` → `[B, classes]`
    /// # Errors
    /// Images of other channels.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let x = self.bn1.forward(&self.conv1.forward(x)).relu();
        let x = self.layer3.forward(&self.layer2.forward(&self.layer1.forward(&x)));
        self.linear.forward(&AdaptiveAvgPool2d::new(1).forward(&x).flatten(1..))
    }
}

impl Layer for CifarBlock {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        let y = self.bn1.forward(&self.conv1.forward(x)).relu();
        let y = self.bn2.forward(&self.conv2.forward(&y));
        (y + self.shortcut(x)).relu()
    }
}

/// As the paper has them: normal, by the number of inputs.
const FILTERS: Init = Init::ScaledNormal { fan: Fan::In, gain: std::f64::consts::SQRT_2 };

impl CifarBlock {
    #[track_caller]
    fn new(inputs: usize, outputs: usize, stride: usize, device: &Device, rng: &mut Rng) -> Result<CifarBlock> {
        let conv =
            |inputs, stride| Conv2d::new(inputs, outputs, 3).stride(stride).padding(1).bias(false).weights(FILTERS);
        Ok(CifarBlock {
            conv1: conv(inputs, stride).init(device, rng)?,
            bn1: BatchNorm2d::new(outputs).init(device, rng)?,
            conv2: conv(outputs, 1).init(device, rng)?,
            bn2: BatchNorm2d::new(outputs).init(device, rng)?,
            more: outputs - inputs,
            stride,
        })
    }

    #[track_caller]
    fn shortcut(&self, x: &Tensor) -> Tensor {
        if self.more == 0 && self.stride == 1 || x.check().is_err() {
            return x.clone();
        }
        let step = self.stride as isize;
        let front = (self.more / 2) as isize;
        let channels = (front, self.more as isize - front);
        x.slice_step(2, .., step).slice_step(3, .., step).pad(&[channels, (0, 0), (0, 0)], 0.0)
    }
}

impl CifarResNetConfig {
    setters! {
        /// Channels of the images.
        channels: usize;
        /// Classes.
        classes: usize;
    }

    /// Draws the weights.
    ///
    /// # Errors
    /// No channels or classes; no memory.
    #[track_caller]
    pub fn init(self, device: &Device, rng: &mut Rng) -> Result<CifarResNet> {
        let conv1 = Conv2d::new(self.channels, 16, 3).padding(1).bias(false).weights(FILTERS).init(device, rng)?;
        let mut stage = |inputs: usize, outputs: usize| -> Result<Vec<CifarBlock>> {
            let mut blocks = vec![CifarBlock::new(inputs, outputs, outputs / inputs, device, rng)?];
            for _ in 1..self.blocks {
                blocks.push(CifarBlock::new(outputs, outputs, 1, device, rng)?);
            }
            Ok(blocks)
        };
        let [layer1, layer2, layer3] = [stage(16, 16)?, stage(16, 32)?, stage(32, 64)?];
        let linear = Linear::new(64, self.classes).weights(FILTERS).init(device, rng)?;
        Ok(CifarResNet { conv1, bn1: BatchNorm2d::new(16).init(device, rng)?, layer1, layer2, layer3, linear })
    }
}
