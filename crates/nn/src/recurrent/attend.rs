//! One vector of a sequence of states.

use thalweg_derive::Module;
use thalweg_graph::{Device, ErrorKind, Param, Result, Rng, Scope, Tensor};

use crate::{Init, Linear, init::invalid, wide};

/// Attention pooling: the mean of states, each with as much weight as it is found to matter: `y = Σ_t a_t h_t` with
/// `a = softmax_t(vᵀ tanh(W h_t + b))`.
///
/// # Shapes
/// `[.., T, in] → [.., in]`; `projection.weight [A, in]`, `projection.bias [A]`, `context [A]`
/// # Source
/// Bahdanau et al. 2014, arXiv:1409.0473, §A.1.2; over the states of a text: Yang et al. 2016, "Hierarchical attention networks for
/// document classification".
#[derive(Clone, Debug, Module)]
pub struct AttentionPool {
    /// W and b.
    pub projection: Linear,
    /// v.
    pub context: Param,
}

/// How to make an [`AttentionPool`].
#[derive(Clone, Debug)]
pub struct AttentionPoolConfig {
    inputs: usize,
    width: usize,
}

impl AttentionPool {
    /// Of states of `inputs` numbers, which are compared in `width`.
    #[expect(clippy::new_ret_no_self, reason = "the layer exists once the weights are drawn")]
    pub fn new(inputs: usize, width: usize) -> AttentionPoolConfig {
        AttentionPoolConfig { inputs, width }
    }

    /// Applies it to states of which some take part, all if no mask is given; where none does, it gives zeros.
    ///
    /// # Shapes
    /// `[.., T, in]`, mask `[.., T]` of truth values → `[.., in]`
    /// # Errors
    /// States of another width; a mask of another shape.
    #[track_caller]
    pub fn forward(&self, states: &Tensor, mask: Option<&Tensor>) -> Tensor {
        let weights = self.weights(states, mask);
        let y = weights.unsqueeze(-2).matmul(&wide(states)).squeeze(-2);
        y.cast(states.dtype())
    }

    /// How much each state counts, in F32 at least: `[.., T]`.
    ///
    /// # Errors
    /// As [`AttentionPool::forward`].
    #[track_caller]
    pub fn weights(&self, states: &Tensor, mask: Option<&Tensor>) -> Tensor {
        let _scope = Scope::composite("attention_pool");
        if states.check().is_err() {
            return states.clone();
        }
        if states.rank() < 2 {
            let problem = "is not [.., time, width]".to_string();
            return states.fail("attention_pool", ErrorKind::Shape { shape: states.shape().to_vec(), problem });
        }
        // Where sums of 16-bit products would lose what the softmax tells apart.
        let scores = (wide(&self.projection.forward(states)).tanh() * self.context.tensor()).sum(-1);
        let Some(mask) = mask else { return scores.softmax(-1) };
        if mask.check().is_ok() && scores.check().is_ok() && mask.shape() != scores.shape() {
            let (lhs, rhs) = (states.shape().to_vec(), mask.shape().to_vec());
            let problem = "do not fit: a mask says of each state whether it takes part".to_string();
            return states.fail("attention_pool", ErrorKind::Shapes { lhs, rhs, problem });
        }
        // The second `where` is for rows without any: their softmax is even.
        mask.where_(mask.where_(scores, -1e30).softmax(-1), 0.0)
    }
}

impl AttentionPoolConfig {
    /// Draws the weights: those of a linear layer, and `context` uniform in `±1 / √width`.
    ///
    /// # Errors
    /// No inputs, no width; no memory.
    #[track_caller]
    pub fn init(self, device: &Device, rng: &mut Rng) -> Result<AttentionPool> {
        let AttentionPoolConfig { inputs, width } = self;
        if [inputs, width].contains(&0) {
            return Err(invalid("attention_pool", format!("states of {inputs} compared in {width}")));
        }
        let projection = Linear::new(inputs, width).init(device, rng)?;
        let context = Init::Uniform(1.0 / (width as f64).sqrt()).param(device, [width], rng)?;
        Ok(AttentionPool { projection, context })
    }
}
