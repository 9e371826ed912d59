//! ShuffleNetV2.

use thalweg_derive::Module;
use thalweg_graph::{Device, Result, Rng, Tensor};

use crate::{ConvNorm, Linear, MaxPool2d, ShuffleUnit};

/// Units of two halves whose channels are shuffled, in three stages.
///
/// # Shapes
/// `[B, 3, H, W]` → `[B, classes]`; parts as in torchvision: `conv1.0`, `stage2.0.branch1.0`, .., `conv5.0`, `fc`
/// # Source
/// Ma et al. 2018, arXiv:1807.11164, table 5.
#[derive(Clone, Debug, Module)]
pub struct ShuffleNetV2 {
    conv1: ConvNorm,
    stage2: Vec<ShuffleUnit>,
    stage3: Vec<ShuffleUnit>,
    stage4: Vec<ShuffleUnit>,
    conv5: ConvNorm,
    fc: Linear,
}

/// How to make a [`ShuffleNetV2`].
#[derive(Clone, Debug)]
pub struct ShuffleNetV2Config {
    /// Channels of the first convolution, of the stages, and of the last convolution.
    channels: [usize; 5],
    classes: usize,
}

impl ShuffleNetV2Config {
    const fn of(channels: [usize; 5]) -> ShuffleNetV2Config {
        ShuffleNetV2Config { channels, classes: 1000 }
    }
}

family! {
    /// ShuffleNetV2 of half width.
    shufflenet_v2_x0_5 => ShuffleNetV2Config = ShuffleNetV2Config::of([24, 48, 96, 192, 1024]);
    /// ShuffleNetV2.
    shufflenet_v2_x1_0 => ShuffleNetV2Config = ShuffleNetV2Config::of([24, 116, 232, 464, 1024]);
    /// ShuffleNetV2 of one and a half the width.
    shufflenet_v2_x1_5 => ShuffleNetV2Config = ShuffleNetV2Config::of([24, 176, 352, 704, 1024]);
    /// ShuffleNetV2 of double width.
    shufflenet_v2_x2_0 => ShuffleNetV2Config = ShuffleNetV2Config::of([24, 244, 488, 976, 2048]);
}

/// Units of each stage.
const UNITS: [usize; 3] = [4, 8, 4];

impl ShuffleNetV2 {
    /// Logits.
    ///
    /// # Shapes
    /// `[B, 3, H, W]` → `[B, classes]`
    /// # Errors
    /// Images of other channels.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let mut x = MaxPool2d::new(3).stride(2).padding(1).forward(&self.conv1.forward(x));
        for unit in [&self.stage2, &self.stage3, &self.stage4].into_iter().flatten() {
            x = unit.forward(&x);
        }
        self.fc.forward(&self.conv5.forward(&x).mean([2, 3]))
    }
}

impl ShuffleNetV2Config {
    setters! {
        /// Classes.
        classes: usize;
    }

    /// Draws the weights.
    ///
    /// # Errors
    /// No classes; no memory.
    #[track_caller]
    pub fn init(self, device: &Device, rng: &mut Rng) -> Result<ShuffleNetV2> {
        let [first, .., last] = self.channels;
        let conv1 = ConvNorm::new(3, first, 3).stride(2).init(device, rng)?;
        let mut stage = |i: usize| -> Result<Vec<ShuffleUnit>> {
            let (inputs, outputs) = (self.channels[i], self.channels[i + 1]);
            let mut units = vec![ShuffleUnit::new(inputs, outputs).stride(2).init(device, rng)?];
            for _ in 1..UNITS[i] {
                units.push(ShuffleUnit::new(outputs, outputs).init(device, rng)?);
            }
            Ok(units)
        };
        let [stage2, stage3, stage4] = [stage(0)?, stage(1)?, stage(2)?];
        let conv5 = ConvNorm::new(self.channels[3], last, 1).init(device, rng)?;
        let fc = Linear::new(last, self.classes).init(device, rng)?;
        Ok(ShuffleNetV2 { conv1, stage2, stage3, stage4, conv5, fc })
    }
}
