//! Rotary position embedding.

use thalweg_derive::Module;
use thalweg_graph::{Device, ErrorKind, Result, Rng, Scope, Tensor};

use super::{frequencies, positions};
use crate::{init::invalid, wide};

/// Turns pairs of columns of queries and keys by angles that grow with the position: `(a cos θ - b sin θ, b cos θ + a sin θ)` with
/// `θ = position · base^(-2i / width)` for pair i. The product of a query and a key then depends on how far apart they stand, and not
/// on where.
///
/// A pair is a column of the first half and one of the second (GPT-NeoX, Llama in the form of its checkpoints for Hugging Face), or
/// with [`RotaryEmbeddingConfig::interleaved`] two neighbours (the paper, Llama as Meta wrote it).
///
/// # Shapes
/// `[.., T, D] → [.., T, D]`; columns beyond the width stay what they are
/// # Source
/// Su et al. 2021, arXiv:2104.09864.
#[derive(Clone, Debug, Module)]
pub struct RotaryEmbedding {
    width: usize,
    base: f64,
    interleaved: bool,
}

/// How to make a [`RotaryEmbedding`].
#[derive(Clone, Debug)]
pub struct RotaryEmbeddingConfig {
    width: usize,
    base: f64,
    interleaved: bool,
}

impl RotaryEmbedding {
    /// Of the first `width` columns, mostly all of a head; base 10,000, halves as pairs.
    #[expect(clippy::new_ret_no_self, reason = "the layer exists once its settings are checked")]
    pub fn new(width: usize) -> RotaryEmbeddingConfig {
        RotaryEmbeddingConfig { width, base: 10_000.0, interleaved: false }
    }

    /// Turns rows whose positions are `first`, `first + 1` and so on: 0 for a whole sequence, the number of keys that are kept for what
    /// comes behind them.
    ///
    /// # Shapes
    /// `[.., T, D]` → the same
    /// # Errors
    /// Fewer columns than are turned; no floats.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, first: usize) -> Tensor {
        let _scope = Scope::composite("rotary_embedding");
        let rows = if x.rank() < 2 { 0 } else { x.shape()[x.rank() - 2] };
        self.forward_at(x, &positions(x.device(), rows, first))
    }

    /// Turns rows with these positions.
    ///
    /// # Shapes
    /// `[.., T, D]`, positions `[T]` or more axes that broadcast to `[.., T]` → `[.., T, D]`
    /// # Errors
    /// As [`RotaryEmbedding::forward`]; positions that do not broadcast.
    #[track_caller]
    pub fn forward_at(&self, x: &Tensor, positions: &Tensor) -> Tensor {
        let _scope = Scope::composite("rotary_embedding");
        if x.check().is_err() {
            return x.clone();
        }
        let (width, half) = (self.width, self.width / 2);
        if x.rank() < 2 || x.shape()[x.rank() - 1] < width || !x.dtype().is_float() {
            let problem = format!("is not [.., length, {width} or more] of floats");
            return x.fail("rotary_embedding", ErrorKind::Shape { shape: x.shape().to_vec(), problem });
        }
        let wide_x = wide(x);
        let dtype = wide_x.dtype();
        let angles = positions.cast(dtype).unsqueeze(-1) * frequencies(x.device(), dtype, self.base, width);
        let (cos, sin) = (angles.cos(), angles.sin());
        let turned = |a: &Tensor, b: &Tensor| [a * &cos - b * &sin, b * &cos + a * &sin];
        let y = match self.interleaved {
            true => {
                let pairs = wide_x.narrow(-1, 0, width).unflatten(-1, (half, 2));
                Tensor::stack(turned(&pairs.select(-1, 0), &pairs.select(-1, 1)), -1).flatten(-2..)
            }
            false => Tensor::concat(turned(&wide_x.narrow(-1, 0, half), &wide_x.narrow(-1, half, half)), -1),
        };
        let rest = x.shape()[x.rank() - 1] - width;
        let y = if rest == 0 { y } else { y.concat_with([&wide_x.narrow(-1, width, rest)], -1) };
        y.cast(x.dtype())
    }
}

impl RotaryEmbeddingConfig {
    setters! {
        /// With angles that fall to about `1 / base` of the first.
        base: f64;
        /// Whether neighbours are pairs.
        interleaved: bool;
    }

    /// Makes the layer; nothing is drawn.
    ///
    /// # Errors
    /// No columns or an odd number of them; a base that is not positive.
    #[track_caller]
    pub fn init(self, _device: &Device, _rng: &mut Rng) -> Result<RotaryEmbedding> {
        let RotaryEmbeddingConfig { width, base, interleaved } = self;
        if width == 0 || !width.is_multiple_of(2) || !(base > 0.0 && base.is_finite()) {
            return Err(invalid("rotary_embedding", format!("{width} columns with base {base}")));
        }
        Ok(RotaryEmbedding { width, base, interleaved })
    }
}
