//! A vector for each position.

use thalweg_derive::Module;
use thalweg_graph::{Device, ErrorKind, Param, Result, Rng, Tensor};

use crate::{Init, init::invalid};

/// Adds a learned vector to what stands at each position.
///
/// # Shapes
/// `[.., T, E] → [.., T, E]`; `weight [positions, E]`
/// # Source
/// Gehring et al. 2017, arXiv:1705.03122, §3.1; Radford et al. 2019 (GPT-2).
#[derive(Clone, Debug, Module)]
pub struct LearnedPosition {
    /// A row for each position.
    pub weight: Param,
}

/// How to make a [`LearnedPosition`].
#[derive(Clone, Debug)]
pub struct LearnedPositionConfig {
    positions: usize,
    width: usize,
    weights: Init,
}

impl LearnedPosition {
    /// For as many positions, of vectors of this width; normal with a deviation of 0.02.
    #[expect(clippy::new_ret_no_self, reason = "the layer exists once the weights are drawn")]
    pub fn new(positions: usize, width: usize) -> LearnedPositionConfig {
        LearnedPositionConfig { positions, width, weights: Init::GPT2 }
    }

    /// Applies it to rows whose positions are `first`, `first + 1` and so on.
    ///
    /// # Shapes
    /// `[.., T, E]` → the same
    /// # Errors
    /// Vectors of another width; positions that there are not.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, first: usize) -> Tensor {
        if x.check().is_err() {
            return x.clone();
        }
        let shape = self.weight.shape();
        let rows = if x.rank() < 2 { 0 } else { x.shape()[x.rank() - 2] };
        if x.rank() < 2 || x.shape()[x.rank() - 1] != shape[1] || first.saturating_add(rows) > shape[0] {
            let problem =
                format!("from position {first} on is not within {} positions of {} numbers", shape[0], shape[1]);
            return x.fail("learned_position", ErrorKind::Shape { shape: x.shape().to_vec(), problem });
        }
        x + self.weight.tensor().narrow(0, first, rows).cast(x.dtype())
    }
}

impl LearnedPositionConfig {
    setters! {
        /// With weights drawn from this distribution.
        weights: Init;
    }

    /// Draws the weights.
    ///
    /// # Errors
    /// No positions, no width; no memory.
    #[track_caller]
    pub fn init(self, device: &Device, rng: &mut Rng) -> Result<LearnedPosition> {
        let LearnedPositionConfig { positions, width, weights } = self;
        if [positions, width].contains(&0) {
            return Err(invalid("learned_position", format!("{positions} positions of {width} numbers")));
        }
        Ok(LearnedPosition { weight: weights.param(device, [positions, width], rng)? })
    }
}
