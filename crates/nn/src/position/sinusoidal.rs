//! Sines and cosines of positions.

use thalweg_derive::Module;
use thalweg_graph::{Device, ErrorKind, Result, Rng, Scope, Tensor};

use super::{frequencies, positions};
use crate::{init::invalid, wide};

/// Adds `sin θ` to even columns and `cos θ` to the odd ones behind them, with `θ = position · base^(-2i / width)` for pair i.
///
/// # Shapes
/// `[.., T, E] → [.., T, E]`
/// # Source
/// Vaswani et al. 2017, arXiv:1706.03762, §3.5.
#[derive(Clone, Debug, Module)]
pub struct SinusoidalPosition {
    width: usize,
    base: f64,
}

/// How to make a [`SinusoidalPosition`].
#[derive(Clone, Debug)]
pub struct SinusoidalPositionConfig {
    width: usize,
    base: f64,
}

impl SinusoidalPosition {
    /// For vectors of this width; base 10,000.
    #[expect(clippy::new_ret_no_self, reason = "the layer exists once its settings are checked")]
    pub fn new(width: usize) -> SinusoidalPositionConfig {
        SinusoidalPositionConfig { width, base: 10_000.0 }
    }

    /// Applies it to rows whose positions are `first`, `first + 1` and so on.
    ///
    /// # Shapes
    /// `[.., T, E]` → the same
    /// # Errors
    /// Vectors of another width; no floats.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, first: usize) -> Tensor {
        let _scope = Scope::composite("sinusoidal_position");
        if x.check().is_err() {
            return x.clone();
        }
        let width = self.width;
        if x.rank() < 2 || x.shape()[x.rank() - 1] != width || !x.dtype().is_float() {
            let problem = format!("is not [.., length, {width}] of floats");
            return x.fail("sinusoidal_position", ErrorKind::Shape { shape: x.shape().to_vec(), problem });
        }
        let wide_x = wide(x);
        let (dtype, device) = (wide_x.dtype(), x.device());
        let at = positions(device, x.shape()[x.rank() - 2], first).cast(dtype).unsqueeze(1);
        let angles = at * frequencies(device, dtype, self.base, width);
        // An odd width has no cosine at the end.
        let table = Tensor::stack([angles.sin(), angles.cos()], -1).flatten(-2..).narrow(-1, 0, width);
        (wide_x + table).cast(x.dtype())
    }
}

impl SinusoidalPositionConfig {
    setters! {
        /// With angles that fall to about `1 / base` of the first.
        base: f64;
    }

    /// Makes the layer; nothing is drawn.
    ///
    /// # Errors
    /// No width; a base that is not positive.
    #[track_caller]
    pub fn init(self, _device: &Device, _rng: &mut Rng) -> Result<SinusoidalPosition> {
        let SinusoidalPositionConfig { width, base } = self;
        if width == 0 || !(base > 0.0 && base.is_finite()) {
            return Err(invalid("sinusoidal_position", format!("vectors of {width} with base {base}")));
        }
        Ok(SinusoidalPosition { width, base })
    }
}
