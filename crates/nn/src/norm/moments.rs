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
    /// Those of several batches as one: `μ = Σ n_i μ_i / n`, `σ² = Σ n_i (σ_i² + (μ_i - μ)²) / n`.
    ///
    /// # Errors
    /// Another number of channels.
    /// # Source
    /// Chan et al. 1979, "Updating formulae and a pairwise algorithm for computing sample variances".
    #[track_caller]
    pub fn joined(first: &Moments, others: &[Moments]) -> Moments {
        let all = || std::iter::once(first).chain(others);
        let values: f64 = all().map(|part| part.values).sum();
        let share = |part: &Moments| part.values / values;
        let mut mean = &first.mean * share(first);
        for part in others {
            mean += &part.mean * share(part);
        }
        let spread = |part: &Moments| (&part.var + (&part.mean - &mean).square()) * share(part);
        let mut var = spread(first);
        for part in others {
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
