//! A small network for moving pictures.

use thalweg_derive::Module;
use thalweg_graph::{Device, Result, Rng, Tensor};

use crate::{
    Activation, AdaptiveAvgPool3d, BatchNorm3d, Conv3d, Dropout, Fan, Init, Linear, MaxPool3d, Sequential,
    init::invalid,
};

/// Convolutions of 3 × 3 × 3 in four stages, the first of which keeps all frames: C3D made small, with normalisation, and with a mean over
/// what is left of time and space in place of its linear layers, so that clips may be of any length and size.
///
/// # Shapes
/// `[B, channels, frames, H, W]` of 8 frames and 16 × 16 or more → `[B, classes]`; parts `features` and `classifier`
/// # Source
/// After Tran et al. 2015, arXiv:1412.0767.
#[derive(Clone, Debug, Module)]
pub struct VideoCnn {
    features: Sequential,
    classifier: Sequential,
}

/// How to make a [`VideoCnn`].
#[derive(Clone, Debug)]
pub struct VideoCnnConfig {
    channels: usize,
    classes: usize,
    width: usize,
    dropout: f64,
}

/// A network of 16 to 128 channels for clips in grey, ten classes.
pub fn video_cnn() -> VideoCnnConfig {
    VideoCnnConfig { channels: 1, classes: 10, width: 16, dropout: 0.2 }
}

/// Stages, each with double the channels.
const STAGES: usize = 4;

impl VideoCnn {
    /// Logits.
    ///
    /// # Shapes
    /// `[B, channels, frames, H, W]` → `[B, classes]`
    /// # Errors
    /// Clips of other channels, too short or too small.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let x = AdaptiveAvgPool3d::new(1).forward(&self.features.forward(x));
        self.classifier.forward(&x.flatten(1..))
    }
}

impl VideoCnnConfig {
    setters! {
        /// Channels of a frame.
        channels: usize;
        /// Classes.
        classes: usize;
        /// Channels of the first stage; the last has 8 times as many.
        width: usize;
        /// With this probability of dropout before the last layer.
        dropout: f64;
    }

    /// Draws the weights.
    ///
    /// # Errors
    /// No channels or classes; a probability outside `[0, 1)`; no memory.
    #[track_caller]
    pub fn init(self, device: &Device, rng: &mut Rng) -> Result<VideoCnn> {
        let width = self.width;
        if width == 0 || width > usize::MAX >> STAGES {
            return Err(invalid("video_cnn", format!("a width of {width}")));
        }
        let filters = Init::ScaledNormal { fan: Fan::Out, gain: std::f64::consts::SQRT_2 };
        let (mut features, mut inputs) = (Sequential::new(), self.channels);
        for stage in 0..STAGES {
            let outputs = width << stage;
            let conv = Conv3d::new(inputs, outputs, 3).padding(1).bias(false).weights(filters);
            features = features
                .then(conv.init(device, rng)?)
                .then(BatchNorm3d::new(outputs).init(device, rng)?)
                .then(Activation::Relu)
                .then(MaxPool3d::new([if stage == 0 { 1 } else { 2 }, 2, 2]));
            inputs = outputs;
        }
        let classifier = Sequential::new()
            .then(Dropout::new(self.dropout).init(device, rng)?)
            .then(Linear::new(inputs, self.classes).init(device, rng)?);
        Ok(VideoCnn { features, classifier })
    }
}
