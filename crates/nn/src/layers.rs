//! The layers, by their settings. A new layer is a row.

use thalweg_graph::{Device, Result, Rng};

use crate::{
    Alibi, AlibiConfig, AttentionPool, AttentionPoolConfig, BatchNorm2d, BatchNorm2dConfig, Conv2d, Conv2dConfig,
    Dropout, DropoutConfig, GatedFeedForward, GatedFeedForwardConfig, GroupNorm, GroupNormConfig, Gru, GruCell,
    GruCellConfig, GruConfig, HierarchicalRnn, HierarchicalRnnConfig, InstanceNorm, InstanceNormConfig, KeepF32,
    KeepF32Config, LayerConfig, LayerNorm, LayerNormConfig, LearnedPosition, LearnedPositionConfig, Linear,
    LinearConfig, Lstm, LstmCell, LstmCellConfig, LstmConfig, MixtureOfExperts, MixtureOfExpertsConfig,
    MultiheadAttention, MultiheadAttentionConfig, RmsNorm, RmsNormConfig, Rnn, RnnCell, RnnCellConfig, RnnConfig,
    RotaryEmbedding, RotaryEmbeddingConfig, SinusoidalPosition, SinusoidalPositionConfig, SpectralNorm,
    SpectralNormConfig, Transformer, TransformerConfig, TransformerDecoder, TransformerDecoderConfig,
    TransformerDecoderLayer, TransformerDecoderLayerConfig, TransformerEncoder, TransformerEncoderConfig,
    TransformerEncoderLayer, TransformerEncoderLayerConfig, WeightNorm, WeightNormConfig, Weighted,
};

macro_rules! settings {
    ($($config:ty => $layer:ty $(, $inner:ident)?;)*) => {$(
        impl$(<$inner: LayerConfig<Layer: Weighted>>)? LayerConfig for $config {
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
    Conv2dConfig => Conv2d;
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
    BatchNorm2dConfig => BatchNorm2d;
    GroupNormConfig => GroupNorm;
    InstanceNormConfig => InstanceNorm;
    LayerNormConfig => LayerNorm;
    RmsNormConfig => RmsNorm;
    DropoutConfig => Dropout;
    KeepF32Config<S> => KeepF32<S::Layer>, S;
    WeightNormConfig<S> => WeightNorm<S::Layer>, S;
    SpectralNormConfig<S> => SpectralNorm<S::Layer>, S;
}
