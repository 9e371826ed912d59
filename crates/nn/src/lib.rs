//! Thalweg's model crate: layers, losses, initialisers, models of the literature.
//!
//! A layer is a struct of parameters with a `forward`. All are made alike ([`LayerConfig`]): `new` gives settings, `init` draws the
//! weights.
//!
//! ```
//! use std::sync::Arc;
//!
//! use thalweg_cpu::FastCpu;
//! use thalweg_graph::{Device, Rng, Tensor};
//! use thalweg_nn::{BatchNorm2d, Conv2d, Dropout};
//!
//! let (device, rng) = (Device::new(Arc::new(FastCpu::new()?)), &mut Rng::seed(0));
//! let conv = Conv2d::new(1, 16, 3).padding(1).init(&device, rng)?;
//! let norm = BatchNorm2d::new(16).init(&device, rng)?; // nothing is drawn
//! let dropout = Dropout::new(0.1).init(&device, rng)?;
//! let x = Tensor::ones(&device, (8, 1, 28, 28));
//! let y = dropout.forward(&norm.forward(&conv.forward(&x)).relu().max_pool2d(2));
//! assert_eq!(y.shape(), [8, 16, 14, 14]);
//! # Ok::<(), thalweg_graph::Error>(())
//! ```

/// A layer's settings by name: methods that set a field each and give the configuration back.
macro_rules! setters {
    ($($(#[doc = $doc:literal])* $field:ident: $type:ty;)*) => {$(
        $(#[doc = $doc])*
        pub fn $field(mut self, $field: $type) -> Self {
            self.$field = $field;
            self
        }
    )*};
}

use thalweg_graph::{DType, Tensor};

mod activation;
mod attention;
mod bilinear;
mod blocks;
mod config;
mod conv;
pub mod dropout;
mod embedding;
mod experts;
mod gated;
pub mod init;
mod keep;
mod layer;
mod layers;
mod linear;
mod loss;
pub mod models;
mod multihead;
mod norm;
mod per_axis;
mod pool;
mod position;
mod recurrent;
mod reparam;
mod sequential;
mod shaping;
mod transformer;

pub use activation::{Activation, Prelu, PreluConfig};
pub use attention::{Attention, scaled_dot_product_attention};
pub use bilinear::{Bilinear, BilinearConfig};
pub use blocks::{
    ConvNorm, ConvNormConfig, GraphConv, GraphConvConfig, InvertedResidual, InvertedResidualConfig, Residual,
    ShuffleUnit, ShuffleUnitConfig, SqueezeExcite, SqueezeExciteConfig,
};
pub use config::LayerConfig;
pub use conv::{
    Conv, Conv1d, Conv1dConfig, Conv2d, Conv2dConfig, Conv3d, Conv3dConfig, ConvSettings, ConvTranspose,
    ConvTranspose1d, ConvTranspose1dConfig, ConvTranspose2d, ConvTranspose2dConfig, ConvTranspose3d,
    ConvTranspose3dConfig, ConvTransposeSettings, DepthwiseSeparable, DepthwiseSeparableConfig, Padding, PaddingMode,
};
pub use dropout::{
    AlphaDropout, DropConnect, DropConnectConfig, Dropout, Dropout1d, Dropout2d, Dropout3d, DropoutConfig, Dropping,
    DroppingConfig, FeatureAlphaDropout, StochasticDepth, StochasticDepthOfBatch,
};
pub use embedding::{Bag, Embedding, EmbeddingBag, EmbeddingBagConfig, EmbeddingConfig};
pub use experts::{Mixed, MixtureOfExperts, MixtureOfExpertsConfig};
pub use gated::{GatedFeedForward, GatedFeedForwardConfig};
pub use init::{Fan, Init, Nonlinearity};
pub use keep::{KeepF32, KeepF32Config};
pub use layer::{CloneLayer, Layer};
pub use linear::{Linear, LinearConfig};
pub use loss::{
    ArcFace, ArcFaceConfig, BinaryCrossEntropy, BinaryCrossEntropyWithLogits, Contrastive, CosFace, CosFaceConfig,
    CosineEmbedding, CrossEntropy, Ctc, Dice, Distillation, GaussianNll, HingeEmbedding, Huber, InfoNce, KlDivergence,
    L1, Likelihood, LogCosh, Losses, MarginRanking, Mse, MultiMargin, MultilabelMargin, MultilabelSoftMargin, Nll,
    NtXent, PoissonNll, Reduction, SigmoidFocal, SmoothL1, SoftMargin, SoftmaxFocal, TripletMargin, UncertaintyWeights,
    UncertaintyWeightsConfig,
};
pub use multihead::{MultiheadAttention, MultiheadAttentionConfig};
pub use norm::{
    BatchNorm, BatchNorm1d, BatchNorm1dConfig, BatchNorm2d, BatchNorm2dConfig, BatchNorm3d, BatchNorm3dConfig,
    BatchNormConfig, GroupNorm, GroupNormConfig, InstanceNorm, InstanceNormConfig, LayerNorm, LayerNormConfig,
    LocalResponseNorm, Moments, RmsNorm, RmsNormConfig,
};
pub use per_axis::PerAxis;
pub use pool::{
    AdaptiveAvgPool, AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveAvgPool3d, AdaptiveMaxPool, AdaptiveMaxPool1d,
    AdaptiveMaxPool2d, AdaptiveMaxPool3d, AvgPool, AvgPool1d, AvgPool2d, AvgPool3d, Extents, LpPool, LpPool1d,
    LpPool2d, LpPool3d, MaxPool, MaxPool1d, MaxPool2d, MaxPool3d, MaxUnpool, MaxUnpool1d, MaxUnpool2d, MaxUnpool3d,
};
pub use position::{
    Alibi, AlibiConfig, LearnedPosition, LearnedPositionConfig, RotaryEmbedding, RotaryEmbeddingConfig,
    SinusoidalPosition, SinusoidalPositionConfig,
};
pub use recurrent::{
    AttentionPool, AttentionPoolConfig, Gru, GruCell, GruCellConfig, GruConfig, HierarchicalRnn, HierarchicalRnnConfig,
    Lstm, LstmCell, LstmCellConfig, LstmConfig, LstmState, Rnn, RnnCell, RnnCellConfig, RnnConfig,
};
pub use reparam::{Lora, LoraConfig, SpectralNorm, SpectralNormConfig, WeightNorm, WeightNormConfig, Weighted};
pub use sequential::Sequential;
pub use shaping::{ChannelShuffle, Flatten, Identity, PixelShuffle, PixelUnshuffle, Unflatten, Upsample};
pub use transformer::{
    Transformer, TransformerConfig, TransformerDecoder, TransformerDecoderConfig, TransformerDecoderLayer,
    TransformerDecoderLayerConfig, TransformerEncoder, TransformerEncoderConfig, TransformerEncoderLayer,
    TransformerEncoderLayerConfig,
};

/// In F32 at least.
#[track_caller]
fn wide(x: &Tensor) -> Tensor {
    x.cast(x.dtype().promote(DType::F32))
}
