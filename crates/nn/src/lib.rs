//! Thalweg's model crate: layers, losses, initialisers.
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

mod attention;
mod config;
mod conv;
mod dropout;
mod experts;
mod gated;
pub mod init;
mod keep;
mod layers;
mod linear;
mod loss;
mod multihead;
mod norm;
mod position;
mod recurrent;
mod reparam;
mod transformer;

pub use attention::{Attention, scaled_dot_product_attention};
pub use config::LayerConfig;
pub use conv::{Conv2d, Conv2dConfig};
pub use dropout::{Dropout, DropoutConfig};
pub use experts::{Mixed, MixtureOfExperts, MixtureOfExpertsConfig};
pub use gated::{GatedFeedForward, GatedFeedForwardConfig};
pub use init::{Fan, Init, Nonlinearity};
pub use keep::{KeepF32, KeepF32Config};
pub use linear::{Linear, LinearConfig};
pub use loss::{
    BinaryCrossEntropy, BinaryCrossEntropyWithLogits, CosineEmbedding, CrossEntropy, Ctc, Dice, GaussianNll,
    HingeEmbedding, Huber, KlDivergence, L1, LogCosh, Losses, MarginRanking, Mse, MultiMargin, MultilabelMargin,
    MultilabelSoftMargin, Nll, PoissonNll, Reduction, SigmoidFocal, SmoothL1, SoftMargin, SoftmaxFocal, TripletMargin,
};
pub use multihead::{MultiheadAttention, MultiheadAttentionConfig};
pub use norm::{
    BatchNorm2d, BatchNorm2dConfig, GroupNorm, GroupNormConfig, InstanceNorm, InstanceNormConfig, LayerNorm,
    LayerNormConfig, RmsNorm, RmsNormConfig,
};
pub use position::{
    Alibi, AlibiConfig, LearnedPosition, LearnedPositionConfig, RotaryEmbedding, RotaryEmbeddingConfig,
    SinusoidalPosition, SinusoidalPositionConfig,
};
pub use recurrent::{
    AttentionPool, AttentionPoolConfig, Gru, GruCell, GruCellConfig, GruConfig, HierarchicalRnn, HierarchicalRnnConfig,
    Lstm, LstmCell, LstmCellConfig, LstmConfig, LstmState, Rnn, RnnCell, RnnCellConfig, RnnConfig,
};
pub use reparam::{SpectralNorm, SpectralNormConfig, WeightNorm, WeightNormConfig, Weighted};
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
