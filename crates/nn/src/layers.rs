//! The layers, by their settings. A new layer is a row.

use thalweg_graph::{Device, Result, Rng};

use crate::{
    BatchNorm2d, BatchNorm2dConfig, Conv2d, Conv2dConfig, Dropout, DropoutConfig, GroupNorm, GroupNormConfig,
    InstanceNorm, InstanceNormConfig, KeepF32, KeepF32Config, LayerConfig, LayerNorm, LayerNormConfig, Linear,
    LinearConfig, MultiheadAttention, MultiheadAttentionConfig, RmsNorm, RmsNormConfig, SpectralNorm,
    SpectralNormConfig, WeightNorm, WeightNormConfig, Weighted,
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
