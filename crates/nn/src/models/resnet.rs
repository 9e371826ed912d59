//! ResNet.

use thalweg_derive::Module;
use thalweg_graph::{Device, Result, Rng, Tensor};

use super::FILTERS;
use crate::{AdaptiveAvgPool2d, BatchNorm2d, Conv2d, Layer, Linear, MaxPool2d};

/// Residual blocks in four stages. A step between stages is made by the convolution of 3 × 3, as torchvision has it.
///
/// # Shapes
/// `[B, 3, H, W]` → `[B, classes]`; parts as in torchvision: `conv1`, `bn1`, `layer1.0.conv1`, .., `fc`
/// # Source
/// He et al. 2016, arXiv:1512.03385, table 1.
#[derive(Clone, Debug, Module)]
pub struct ResNet {
    conv1: Conv2d,
    bn1: BatchNorm2d,
    layer1: Vec<ResNetBlock>,
    layer2: Vec<ResNetBlock>,
    layer3: Vec<ResNetBlock>,
    layer4: Vec<ResNetBlock>,
    fc: Linear,
}

/// A residual block of two convolutions of 3 × 3, or of one between two of 1 × 1.
#[derive(Clone, Debug, Module)]
pub struct ResNetBlock {
    conv1: Conv2d,
    bn1: BatchNorm2d,
    conv2: Conv2d,
    bn2: BatchNorm2d,
    conv3: Option<Conv2d>,
    bn3: Option<BatchNorm2d>,
    downsample: Option<(Conv2d, BatchNorm2d)>,
}

/// How to make a [`ResNet`].
#[derive(Clone, Debug)]
pub struct ResNetConfig {
    /// Blocks of each stage.
    blocks: [usize; 4],
    /// Outputs of a block by its width: 4 with bottlenecks, else 1.
    expansion: usize,
    channels: usize,
    classes: usize,
}

impl ResNetConfig {
    const fn of(blocks: [usize; 4], expansion: usize) -> ResNetConfig {
        ResNetConfig { blocks, expansion, channels: 3, classes: 1000 }
    }
}

family! {
    /// ResNet of 18 layers.
    resnet18 => ResNetConfig = ResNetConfig::of([2, 2, 2, 2], 1);
    /// ResNet of 34 layers.
    resnet34 => ResNetConfig = ResNetConfig::of([3, 4, 6, 3], 1);
    /// ResNet of 50 layers.
    resnet50 => ResNetConfig = ResNetConfig::of([3, 4, 6, 3], 4);
    /// ResNet of 101 layers.
    resnet101 => ResNetConfig = ResNetConfig::of([3, 4, 23, 3], 4);
    /// ResNet of 152 layers.
    resnet152 => ResNetConfig = ResNetConfig::of([3, 8, 36, 3], 4);
}

impl ResNet {
    /// Logits.
    ///
    /// # Shapes
    /// `[B, 3, H, W]` → `[B, classes]`
    /// # Errors
    /// Images of other channels.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let maps = self.features(x);
        self.fc.forward(&AdaptiveAvgPool2d::new(1).forward(&maps[3]).flatten(1..))
    }

    /// What each of the four stages gives, at strides of 4, 8, 16 and 32: for detection and segmentation.
    ///
    /// # Shapes
    /// `[B, 3, H, W]` → `[B, C, H / 4, W / 4]` to `[B, 8 C, H / 32, W / 32]`
    /// # Errors
    /// Images of other channels.
    #[track_caller]
    pub fn features(&self, x: &Tensor) -> [Tensor; 4] {
        let x = self.bn1.forward(&self.conv1.forward(x)).relu();
        let first = self.layer1.forward(&MaxPool2d::new(3).stride(2).padding(1).forward(&x));
        let second = self.layer2.forward(&first);
        let third = self.layer3.forward(&second);
        let fourth = self.layer4.forward(&third);
        [first, second, third, fourth]
    }
}

impl Layer for ResNetBlock {
    #[track_caller]
    fn forward(&self, x: &Tensor) -> Tensor {
        let y = self.bn1.forward(&self.conv1.forward(x)).relu();
        let mut y = self.bn2.forward(&self.conv2.forward(&y));
        if let (Some(conv), Some(norm)) = (&self.conv3, &self.bn3) {
            y = norm.forward(&conv.forward(&y.relu()));
        }
        (y + self.downsample.forward(x)).relu()
    }
}

/// A convolution without a bias, with padding that keeps the extents.
#[track_caller]
fn conv(inputs: usize, outputs: usize, kernel: usize, stride: usize, device: &Device, rng: &mut Rng) -> Result<Conv2d> {
    let conv = Conv2d::new(inputs, outputs, kernel).stride(stride).padding(kernel / 2);
    conv.bias(false).weights(FILTERS).init(device, rng)
}

impl ResNetBlock {
    #[track_caller]
    fn new(
        inputs: usize,
        width: usize,
        expansion: usize,
        stride: usize,
        device: &Device,
        rng: &mut Rng,
    ) -> Result<Self> {
        let (outputs, deep) = (width * expansion, expansion > 1);
        let mut conv = |inputs, outputs, kernel, stride| conv(inputs, outputs, kernel, stride, device, rng);
        let (first, second, third) = match deep {
            true => (conv(inputs, width, 1, 1)?, conv(width, width, 3, stride)?, Some(conv(width, outputs, 1, 1)?)),
            false => (conv(inputs, width, 3, stride)?, conv(width, width, 3, 1)?, None),
        };
        let changes = stride > 1 || inputs != outputs;
        let shortcut = changes.then(|| conv(inputs, outputs, 1, stride)).transpose()?;
        let mut norm = |channels| BatchNorm2d::new(channels).init(device, rng);
        Ok(ResNetBlock {
            conv1: first,
            bn1: norm(width)?,
            conv2: second,
            bn2: norm(width)?,
            conv3: third,
            bn3: deep.then(|| norm(outputs)).transpose()?,
            downsample: shortcut.map(|conv| Ok((conv, norm(outputs)?))).transpose()?,
        })
    }
}

impl ResNetConfig {
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
    pub fn init(self, device: &Device, rng: &mut Rng) -> Result<ResNet> {
        let conv1 = Conv2d::new(self.channels, 64, 7).stride(2).padding(3).bias(false).weights(FILTERS);
        let conv1 = conv1.init(device, rng)?;
        let mut inputs = 64;
        let mut stage = |i: usize| -> Result<Vec<ResNetBlock>> {
            let (width, mut blocks) = (64 << i, Vec::new());
            for block in 0..self.blocks[i] {
                let stride = if i > 0 && block == 0 { 2 } else { 1 };
                blocks.push(ResNetBlock::new(inputs, width, self.expansion, stride, device, rng)?);
                inputs = width * self.expansion;
            }
            Ok(blocks)
        };
        let [layer1, layer2, layer3, layer4] = [stage(0)?, stage(1)?, stage(2)?, stage(3)?];
        let fc = Linear::new(inputs, self.classes).init(device, rng)?;
        Ok(ResNet { conv1, bn1: BatchNorm2d::new(64).init(device, rng)?, layer1, layer2, layer3, layer4, fc })
    }
}
