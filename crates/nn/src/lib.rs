//! Thalweg's model crate: layers, losses, initialisers.
//!
//! A layer is a struct of parameters with a `forward`. It is made by a configuration whose `init` draws the weights:
//!
//! ```ignore
//! let conv = Conv2d::new(1, 16, 3).padding(1).init(&device, &mut rng)?;
//! let y = conv.forward(&x).relu().max_pool2d(2);
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
mod conv;
mod dropout;
pub mod init;
mod linear;
mod loss;
mod norm;
mod reparam;

pub use attention::{Attention, scaled_dot_product_attention};
pub use conv::{Conv2d, Conv2dConfig};
pub use dropout::Dropout;
pub use init::Init;
pub use linear::{Linear, LinearConfig};
pub use loss::{
    BinaryCrossEntropy, BinaryCrossEntropyWithLogits, CosineEmbedding, CrossEntropy, Ctc, Dice, GaussianNll,
    HingeEmbedding, Huber, KlDivergence, L1, LogCosh, Losses, MarginRanking, Mse, MultiMargin, MultilabelMargin,
    MultilabelSoftMargin, Nll, PoissonNll, Reduction, SigmoidFocal, SmoothL1, SoftMargin, SoftmaxFocal, TripletMargin,
};
pub use norm::{
    BatchNorm2d, BatchNorm2dConfig, GroupNorm, GroupNormConfig, InstanceNorm, InstanceNormConfig, LayerNorm,
    LayerNormConfig, RmsNorm, RmsNormConfig,
};
pub use reparam::{SpectralNorm, SpectralNormConfig, WeightNorm, Weighted};

/// In F32 at least.
#[track_caller]
fn wide(x: &Tensor) -> Tensor {
    x.cast(x.dtype().promote(DType::F32))
}
