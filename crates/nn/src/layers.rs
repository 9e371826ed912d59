//! The layers, by their settings. A new layer is a row, and so is what it is of: a [`Layer`] if it takes one tensor to one.

use thalweg_graph::{Device, Result, Rng, Tensor};

use crate::{
    Activation, AdaptiveAvgPool, AdaptiveMaxPool, Alibi, AlibiConfig, ArcFace, ArcFaceConfig, AttentionPool,
    AttentionPoolConfig, AvgPool, BatchNorm, BatchNormConfig, Bilinear, BilinearConfig, ChannelShuffle, Conv, ConvNorm,
    ConvNormConfig, ConvSettings, ConvTranspose, ConvTransposeSettings, CosFace, CosFaceConfig, DepthwiseSeparable,
    DepthwiseSeparableConfig, DropConnect, DropConnectConfig, Dropping, DroppingConfig, Embedding, EmbeddingBag,
    EmbeddingBagConfig, EmbeddingConfig, Flatten, GatedFeedForward, GatedFeedForwardConfig, GraphConv, GraphConvConfig,
    GroupNorm, GroupNormConfig, Gru, GruCell, GruCellConfig, GruConfig, HierarchicalRnn, HierarchicalRnnConfig,
    Identity, InstanceNorm, InstanceNormConfig, InvertedResidual, InvertedResidualConfig, KeepF32, KeepF32Config,
    Layer, LayerConfig, LayerNorm, LayerNormConfig, LearnedPosition, LearnedPositionConfig, Linear, LinearConfig,
    LocalResponseNorm, Lora, LoraConfig, LpPool, Lstm, LstmCell, LstmCellConfig, LstmConfig, MaxPool, MaxUnpool,
    MixtureOfExperts, MixtureOfExpertsConfig, MultiheadAttention, MultiheadAttentionConfig, PixelShuffle,
    PixelUnshuffle, Prelu, PreluConfig, Residual, RmsNorm, RmsNormConfig, Rnn, RnnCell, RnnCellConfig, RnnConfig,
    RotaryEmbedding, RotaryEmbeddingConfig, ShuffleUnit, ShuffleUnitConfig, SinusoidalPosition,
    SinusoidalPositionConfig, SpectralNorm, SpectralNormConfig, SqueezeExcite, SqueezeExciteConfig, Transformer,
    TransformerConfig, TransformerDecoder, TransformerDecoderConfig, TransformerDecoderLayer,
    TransformerDecoderLayerConfig, TransformerEncoder, TransformerEncoderConfig, TransformerEncoderLayer,
    TransformerEncoderLayerConfig, UncertaintyWeights, UncertaintyWeightsConfig, Unflatten, Upsample, WeightNorm,
    WeightNormConfig, Weighted, dropout::Kind, models,
};

macro_rules! settings {
    ($($config:ty => $layer:ty $(where [$($generics:tt)*])?;)*) => {$(
        impl$(<$($generics)*>)? LayerConfig for $config {
            type Layer = $layer;

            #[track_caller]
            fn init(self, device: &Device, rng: &mut Rng) -> Result<$layer> {
                <$config>::init(self, device, rng)
            }
        }
    )*};
}
settings! {
    LinearConfig => Linear;
    BilinearConfig => Bilinear;
    ConvSettings<N> => Conv<N> where [const N: usize];
    ConvTransposeSettings<N> => ConvTranspose<N> where [const N: usize];
    DepthwiseSeparableConfig<N> => DepthwiseSeparable<N> where [const N: usize];
    EmbeddingConfig => Embedding;
    EmbeddingBagConfig => EmbeddingBag;
    GraphConvConfig => GraphConv;
    MultiheadAttentionConfig => MultiheadAttention;
    RnnConfig => Rnn;
    LstmConfig => Lstm;
    GruConfig => Gru;
    RnnCellConfig => RnnCell;
    LstmCellConfig => LstmCell;
    GruCellConfig => GruCell;
    AttentionPoolConfig => AttentionPool;
    HierarchicalRnnConfig => HierarchicalRnn;
    TransformerEncoderLayerConfig => TransformerEncoderLayer;
    TransformerDecoderLayerConfig => TransformerDecoderLayer;
    TransformerEncoderConfig => TransformerEncoder;
    TransformerDecoderConfig => TransformerDecoder;
    TransformerConfig => Transformer;
    RotaryEmbeddingConfig => RotaryEmbedding;
    AlibiConfig => Alibi;
    SinusoidalPositionConfig => SinusoidalPosition;
    LearnedPositionConfig => LearnedPosition;
    GatedFeedForwardConfig => GatedFeedForward;
    MixtureOfExpertsConfig => MixtureOfExperts;
    BatchNormConfig<N> => BatchNorm<N> where [const N: usize];
    GroupNormConfig => GroupNorm;
    InstanceNormConfig => InstanceNorm;
    LayerNormConfig => LayerNorm;
    RmsNormConfig => RmsNorm;
    DroppingConfig<K> => Dropping<K> where [K: Kind];
    PreluConfig => Prelu;
    ArcFaceConfig => ArcFace;
    CosFaceConfig => CosFace;
    UncertaintyWeightsConfig => UncertaintyWeights;
    ConvNormConfig => ConvNorm;
    SqueezeExciteConfig => SqueezeExcite;
    InvertedResidualConfig => InvertedResidual;
    ShuffleUnitConfig => ShuffleUnit;
    models::MlpConfig => models::Mlp;
    models::LeNetConfig => models::LeNet;
    models::AlexNetConfig => models::AlexNet;
    models::VggConfig => models::Vgg;
    models::ResNetConfig => models::ResNet;
    models::CifarResNetConfig => models::CifarResNet;
    models::MobileNetV2Config => models::MobileNetV2;
    models::ShuffleNetV2Config => models::ShuffleNetV2;
    models::EfficientNetConfig => models::EfficientNet;
    models::DenseNetConfig => models::DenseNet;
    models::UNetConfig => models::UNet;
    models::MixerConfig => models::Mixer;
    models::ViTConfig => models::ViT;
    models::VideoCnnConfig => models::VideoCnn;
    KeepF32Config<S> => KeepF32<S::Layer> where [S: LayerConfig<Layer: Weighted>];
    DropConnectConfig<S> => DropConnect<S::Layer> where [S: LayerConfig<Layer: Weighted>];
    LoraConfig<S> => Lora<S::Layer> where [S: LayerConfig<Layer: Weighted>];
    WeightNormConfig<S> => WeightNorm<S::Layer> where [S: LayerConfig<Layer: Weighted>];
    SpectralNormConfig<S> => SpectralNorm<S::Layer> where [S: LayerConfig<Layer: Weighted>];
}

/// A layer without anything on the device is its own settings.
macro_rules! plain {
    ($($layer:ty $(where [$($generics:tt)*])?;)*) => {$(
        impl$(<$($generics)*>)? $layer {
            /// The layer, which is its own settings: `init` is for code that makes all layers alike.
            ///
            /// # Errors
            /// None.
            pub fn init(self, _device: &Device, _rng: &mut Rng) -> Result<Self> {
                Ok(self)
            }
        }

        impl$(<$($generics)*>)? LayerConfig for $layer {
            type Layer = Self;

            fn init(self, _: &Device, _: &mut Rng) -> Result<Self> {
                Ok(self)
            }
        }
    )*};
}
plain! {
    Activation;
    MaxPool<N> where [const N: usize];
    AvgPool<N> where [const N: usize];
    LpPool<N> where [const N: usize];
    AdaptiveAvgPool<N> where [const N: usize];
    AdaptiveMaxPool<N> where [const N: usize];
    MaxUnpool<N> where [const N: usize];
    LocalResponseNorm;
    Identity;
    Flatten;
    Unflatten;
    Upsample;
    PixelShuffle;
    PixelUnshuffle;
    ChannelShuffle;
}

/// What takes one tensor to one.
macro_rules! layers {
    ($($layer:ty $(where [$($generics:tt)*])?;)*) => {$(
        impl$(<$($generics)*>)? Layer for $layer {
            #[track_caller]
            fn forward(&self, x: &Tensor) -> Tensor {
                <$layer>::forward(self, x)
            }
        }
    )*};
}
layers! {
    Linear;
    Conv<N> where [const N: usize];
    ConvTranspose<N> where [const N: usize];
    DepthwiseSeparable<N> where [const N: usize];
    Embedding;
    BatchNorm<N> where [const N: usize];
    GroupNorm;
    InstanceNorm;
    LayerNorm;
    RmsNorm;
    LocalResponseNorm;
    Dropping<K> where [K: Kind];
    Activation;
    Prelu;
    MaxPool<N> where [const N: usize];
    AvgPool<N> where [const N: usize];
    LpPool<N> where [const N: usize];
    AdaptiveAvgPool<N> where [const N: usize];
    AdaptiveMaxPool<N> where [const N: usize];
    Identity;
    Flatten;
    Unflatten;
    Upsample;
    PixelShuffle;
    PixelUnshuffle;
    ChannelShuffle;
    ConvNorm;
    SqueezeExcite;
    InvertedResidual;
    ShuffleUnit;
    models::Mlp;
    models::LeNet;
    models::AlexNet;
    models::Vgg;
    models::ResNet;
    models::CifarResNet;
    models::MobileNetV2;
    models::ShuffleNetV2;
    models::EfficientNet;
    models::DenseNet;
    models::UNet;
    models::Mixer;
    models::ViT;
    models::VideoCnn;
    KeepF32<L> where [L: Weighted + Layer + Clone + 'static];
    DropConnect<L> where [L: Weighted + Layer + Clone + 'static];
    Lora<L> where [L: Weighted + Layer + Clone + 'static];
    WeightNorm<L> where [L: Weighted + Layer + Clone + 'static];
    SpectralNorm<L> where [L: Weighted + Layer + Clone + 'static];
    Residual<B, S> where [B: Layer + Clone + 'static, S: Layer + Clone + 'static];
}
