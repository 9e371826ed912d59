//! What a batch says of its channels, and how several batches say it together.

use std::{fmt, sync::Arc};

use thalweg_graph::Tensor;

/// Mean and variance of each channel of a batch, as tensors that gradients pass through.
#[derive(Clone, Debug)]
pub struct Moments {
    /// Values of each channel.
    pub values: f64,
    /// Their mean: `[C]`, F32 at least.
    pub mean: Tensor,
    /// Their variance, biased: `[C]`.
    pub var: Tensor,
}

impl Moments {
    /// Those of several batches as one: `μ = Σ n_i μ_i / n`, `σ² = Σ n_i (σ_i² + (μ_i - μ)²) / n`. A batch of nothing has no say.
    ///
    /// # Errors
    /// Another number of channels.
    /// # Source
    /// Chan et al. 1979, "Updating formulae and a pairwise algorithm for computing sample variances".
    #[track_caller]
    pub fn joined(&self, others: &[Moments]) -> Moments {
        let parts: Vec<&Moments> = std::iter::once(self).chain(others).filter(|part| part.values > 0.0).collect();
        let [first, rest @ ..] = parts.as_slice() else { return self.clone() };
        let values: f64 = parts.iter().map(|part| part.values).sum();
        let mut mean = &first.mean * (first.values / values);
        for part in rest {
            mean += &part.mean * (part.values / values);
        }
        let spread = |part: &Moments| (&part.var + (&part.mean - &mean).square()) * (part.values / values);
        let mut var = spread(first);
        for part in rest {
            var += spread(part);
        }
        Moments { values, mean, var }
    }
}

/// What makes of the moments of this batch those of all.
pub(super) type Join = Arc<dyn Fn(&Moments) -> Moments + Send + Sync>;

/// A [`Join`], if there is one.
#[derive(Clone, Default)]
pub(super) struct Synchronised(pub(super) Option<Join>);

impl fmt::Debug for Synchronised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Synchronised" } else { "Alone" })
    }
}
