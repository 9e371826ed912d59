//! Dropout: of elements, of channels, of whole samples, of weights.

mod connect;
mod kind;

use thalweg_derive::Module;
use thalweg_graph::{Device, Mode, Result, Rng, Scope, Stream, Tensor};

use crate::init::invalid;

pub use self::{
    connect::{DropConnect, DropConnectConfig},
    kind::{Alpha, Batches, Channels, Elements, FeatureAlpha, Kind, Rows},
};

/// In training mode each element is 0 with probability `p`, else divided by `1 - p`. In evaluation mode it does nothing.
///
/// The draw is made again in the backward pass instead of being stored.
///
/// # Source
/// Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from overfitting".
pub type Dropout = Dropping<Elements>;

/// [`Dropout`] of whole channels of series: `[B, C, L]`, or `[C, L]`.
///
/// # Source
/// Tompson et al. 2015, arXiv:1411.4280.
pub type Dropout1d = Dropping<Channels<1>>;
/// [`Dropout`] of whole channels of images: `[B, C, H, W]`, or `[C, H, W]`.
pub type Dropout2d = Dropping<Channels<2>>;
/// [`Dropout`] of whole channels of volumes: `[B, C, D, H, W]`, or `[C, D, H, W]`.
pub type Dropout3d = Dropping<Channels<3>>;

/// Dropout that leaves mean 0 and variance 1 as they are, for what [`Tensor::selu`] gives: in training mode an element is `b - a α'`
/// with probability `p`, else `b + a x`; `-α'` is what selu tends to, `a = ((1 - p) (1 + p α'²))^-½`, `b = a p α'`.
///
/// # Source
/// Klambauer et al. 2017, arXiv:1706.02515.
pub type AlphaDropout = Dropping<Alpha>;
/// [`AlphaDropout`] of whole channels: `[B, C, ..]`.
pub type FeatureAlphaDropout = Dropping<FeatureAlpha>;

/// Stochastic depth, also called drop path: in training mode a whole sample is 0 with probability `p`, else divided by `1 - p`. At the
/// end of the branch of a residual block it has the block be skipped. `p` may be 1.
///
/// # Source
/// Huang et al. 2016, arXiv:1603.09382.
pub type StochasticDepth = Dropping<Rows>;
/// [`StochasticDepth`] of the whole batch at a time.
pub type StochasticDepthOfBatch = Dropping<Batches>;

/// How to make a [`Dropout`].
pub type DropoutConfig = DroppingConfig<Elements>;

/// A dropout of some [`Kind`]: [`Dropout`], [`Dropout2d`], [`AlphaDropout`], [`StochasticDepth`] and so on.
#[derive(Clone, Debug, Module)]
#[module(name = K::TYPE)]
pub struct Dropping<K: Kind> {
    p: f64,
    stream: Stream,
    mode: Mode,
    #[module(skip)]
    kind: K,
}

/// How to make a [`Dropping`].
#[derive(Clone, Debug)]
pub struct DroppingConfig<K> {
    p: f64,
    kind: K,
}

impl<K: Kind> Dropping<K> {
    /// With this probability.
    #[expect(clippy::new_ret_no_self, reason = "the layer exists once it has a stream of draws")]
    pub fn new(p: f64) -> DroppingConfig<K> {
        DroppingConfig { p, kind: K::default() }
    }

    /// Applies it.
    ///
    /// # Shapes
    /// Those of the kind → the same
    /// # Errors
    /// In training mode, another number of axes than the kind has.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = Scope::composite(K::NAME);
        if !self.mode.is_training() || self.p == 0.0 || x.check().is_err() {
            return x.clone();
        }
        let shape = match self.kind.draws(x.shape()) {
            Ok(shape) => shape,
            Err(kind) => return x.fail(K::NAME, kind),
        };
        if self.p == 1.0 {
            return x * 0.0;
        }
        self.kind.apply(x, &self.stream.bernoulli(x.device(), 1.0 - self.p, shape), self.p)
    }
}

impl<K: Kind> DroppingConfig<K> {
    /// Takes a stream of draws from the generator.
    ///
    /// # Errors
    /// A probability outside `[0, 1)`; stochastic depth also takes 1.
    #[track_caller]
    pub fn init(self, _device: &Device, rng: &mut Rng) -> Result<Dropping<K>> {
        let DroppingConfig { p, kind } = self;
        if (0.0..1.0).contains(&p) || (K::OF_ALL && p == 1.0) {
            return Ok(Dropping { p, stream: rng.stream(), mode: Mode::default(), kind });
        }
        let end = if K::OF_ALL { "]" } else { ")" };
        Err(invalid(K::NAME, format!("p = {p} is not in [0, 1{end}")))
    }
}
