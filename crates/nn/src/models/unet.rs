//! U-Net.

use thalweg_derive::Module;
use thalweg_graph::{Device, Resample, Resize, Result, Rng, Tensor};

use crate::{Conv2d, ConvNorm, ConvTranspose2d, MaxPool2d, Sequential, init::invalid};

/// A classifier of every pixel: four steps down, each with double the channels, and four up again, each beside what its step down saw.
/// Convolutions are padded and normalised, so that a map has the size of its image, whatever that is.
///
/// # Shapes
/// `[B, channels, H, W]` of 16 or more → `[B, classes, H, W]`; parts `inc`, `down.0` to `down.3`, `up.0` to `up.3`, `outc`
/// # Source
/// Ronneberger et al. 2015, arXiv:1505.04597.
#[derive(Clone, Debug, Module)]
pub struct UNet {
    inc: Sequential,
    down: Vec<Sequential>,
    up: Vec<Up>,
    outc: Conv2d,
}

/// A step up, and what it makes of both maps.
#[derive(Clone, Debug, Module)]
struct Up {
    up: ConvTranspose2d,
    conv: Sequential,
}

/// How to make a [`UNet`].
#[derive(Clone, Debug)]
pub struct UNetConfig {
    channels: usize,
    classes: usize,
    width: usize,
}

/// U-Net of 64 to 1024 channels for images in colour, two classes.
pub fn unet() -> UNetConfig {
    UNetConfig { channels: 3, classes: 2, width: 64 }
}

/// Steps down, and up again.
const STEPS: usize = 4;

impl UNet {
    /// Logits of each pixel.
    ///
    /// # Shapes
    /// `[B, channels, H, W]` → `[B, classes, H, W]`
    /// # Errors
    /// Images of other channels, or too small.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let mut maps = vec![self.inc.forward(x)];
        for down in &self.down {
            maps.push(down.forward(&MaxPool2d::new(2).forward(&maps[maps.len() - 1])));
        }
        let mut y = maps[STEPS].clone();
        for (step, up) in self.up.iter().enumerate() {
            let beside = &maps[STEPS - 1 - step];
            if beside.check().is_err() {
                return beside.clone();
            }
            y = up.up.forward(&y);
            // An odd extent has lost one on the way down.
            if y.check().is_ok() && y.shape()[2..] != beside.shape()[2..] {
                y = y.interpolate(&Resize::size(&beside.shape()[2..], Resample::Linear));
            }
            y = up.conv.forward(&Tensor::concat([beside, &y], 1));
        }
        self.outc.forward(&y)
    }
}

/// Two convolutions of 3 × 3.
#[track_caller]
fn double(inputs: usize, outputs: usize, device: &Device, rng: &mut Rng) -> Result<Sequential> {
    let first = ConvNorm::new(inputs, outputs, 3).init(device, rng)?;
    Ok(Sequential::new().then(first).then(ConvNorm::new(outputs, outputs, 3).init(device, rng)?))
}

impl UNetConfig {
    setters! {
        /// Channels of the images.
        channels: usize;
        /// Classes of pixels.
        classes: usize;
        /// Channels of the first maps; the last have 16 times as many.
        width: usize;
    }

    /// Draws the weights.
    ///
    /// # Errors
    /// No channels or classes; no memory.
    #[track_caller]
    pub fn init(self, device: &Device, rng: &mut Rng) -> Result<UNet> {
        let width = self.width;
        if width == 0 || width > usize::MAX >> STEPS {
            return Err(invalid("unet", format!("a width of {width}")));
        }
        let inc = double(self.channels, width, device, rng)?;
        let (mut down, mut up) = (Vec::new(), Vec::new());
        for step in 0..STEPS {
            down.push(double(width << step, width << (step + 1), device, rng)?);
        }
        for step in (0..STEPS).rev() {
            let (few, many) = (width << step, width << (step + 1));
            let larger = ConvTranspose2d::new(many, few, 2).stride(2).init(device, rng)?;
            up.push(Up { up: larger, conv: double(many, few, device, rng)? });
        }
        Ok(UNet { inc, down, up, outc: Conv2d::new(width, self.classes, 1).init(device, rng)? })
    }
}
