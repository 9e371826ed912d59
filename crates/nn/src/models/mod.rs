//! Models of the literature, by name. Each is made as a layer is: `resnet18().classes(10).init(&device, rng)?`; parameters have the names of
//! torchvision, so that its weights load, and are drawn as it draws them.
//!
//! `docs/models.md` helps to choose one.
//!
//! ```
//! use std::sync::Arc;
//!
//! use thalweg_cpu::FastCpu;
//! use thalweg_graph::{Device, Rng, Tensor};
//! use thalweg_nn::models;
//!
//! let (device, rng) = (Device::new(Arc::new(FastCpu::new()?)), &mut Rng::seed(0));
//! let net = models::cifar_resnet20().classes(10).init(&device, rng)?;
//! assert_eq!(net.forward(&Tensor::ones(&device, (1, 3, 32, 32))).shape(), [1, 10]);
//! # Ok::<(), thalweg_graph::Error>(())
//! ```

/// The members of a family: functions without arguments that give its settings.
macro_rules! family {
    ($($(#[doc = $doc:literal])* $name:ident => $config:ident = $settings:expr;)*) => {$(
        $(#[doc = $doc])*
        pub fn $name() -> $config {
            $settings
        }
    )*};
}

mod alexnet;
mod cifar_resnet;
mod densenet;
mod efficientnet;
mod lenet;
mod mixer;
mod mlp;
mod mobilenet;
mod resnet;
mod shufflenet;
mod unet;
mod vgg;
mod video;
mod vit;

pub use self::{
    alexnet::{AlexNet, AlexNetConfig, alexnet},
    cifar_resnet::{
        CifarBlock, CifarResNet, CifarResNetConfig, cifar_resnet20, cifar_resnet32, cifar_resnet44, cifar_resnet56,
        cifar_resnet110,
    },
    densenet::{DenseNet, DenseNetConfig, densenet121, densenet161, densenet169, densenet201},
    efficientnet::{
        EfficientNet, EfficientNetConfig, efficientnet_b0, efficientnet_b1, efficientnet_b2, efficientnet_b3,
        efficientnet_b4, efficientnet_b5, efficientnet_b6, efficientnet_b7,
    },
    lenet::{LeNet, LeNetConfig, lenet},
    mixer::{Mixer, MixerConfig, mixer_b16, mixer_b32, mixer_l16, mixer_l32, mixer_s16, mixer_s32},
    mlp::{Mlp, MlpConfig, mlp},
    mobilenet::{MobileNetV2, MobileNetV2Config, mobilenet_v2},
    resnet::{ResNet, ResNetBlock, ResNetConfig, resnet18, resnet34, resnet50, resnet101, resnet152},
    shufflenet::{
        ShuffleNetV2, ShuffleNetV2Config, shufflenet_v2_x0_5, shufflenet_v2_x1_0, shufflenet_v2_x1_5,
        shufflenet_v2_x2_0,
    },
    unet::{UNet, UNetConfig, unet},
    vgg::{Vgg, VggConfig, vgg11, vgg11_bn, vgg13, vgg13_bn, vgg16, vgg16_bn, vgg19, vgg19_bn},
    video::{VideoCnn, VideoCnnConfig, video_cnn},
    vit::{ViT, ViTConfig, vit_b_16, vit_b_32, vit_l_16, vit_l_32, vit_s_16},
};

use thalweg_graph::{Device, Result, Rng};

use crate::{Fan, Init, Linear};

/// Filters as most of torchvision's models have them: normal, by the number of outputs.
const FILTERS: Init = Init::ScaledNormal { fan: Fan::Out, gain: std::f64::consts::SQRT_2 };

/// A last layer, normal with this deviation and without an offset at first.
#[track_caller]
fn head(inputs: usize, classes: usize, std: f64, device: &Device, rng: &mut Rng) -> Result<Linear> {
    Linear::new(inputs, classes).weights(Init::Normal(std)).biases(Init::Constant(0.0)).init(device, rng)
}

/// A linear layer of a block of tokens.
#[track_caller]
fn dense(inputs: usize, outputs: usize, device: &Device, rng: &mut Rng) -> Result<Linear> {
    Linear::new(inputs, outputs).weights(Init::xavier_uniform(1.0)).biases(Init::Normal(1e-6)).init(device, rng)
}

/// The multiple of 8 that is nearest to a number of channels, but not more than a tenth below it.
fn divisible(channels: f64) -> usize {
    let near = ((channels + 4.0) as usize / 8 * 8).max(8);
    if (near as f64) < 0.9 * channels { near + 8 } else { near }
}
