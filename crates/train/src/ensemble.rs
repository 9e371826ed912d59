//! Several models as one.

use thalweg_graph::{Rng, Tensor};

/// The mean of what the members give: of probabilities rather than of logits, so that one that is sure does not outvote the others.
///
/// Members are models of any origin: trained from other seeds, on other [`bootstrap`] samples, or snapshots of one run, that is
/// `net.fork()?` at the end of every cycle of [`Restarts`](thalweg_optim::schedule::Restarts).
///
/// ```ignore
/// let mut members = Vec::new();
/// for step in 0..5 * cycle {
///     opt.step(&loss())?;
///     if (step + 1) % cycle == 0 {
///         members.push(net.fork()?);
///     }
/// }
/// let probabilities = mean_of(&members, |net| net.forward(&x).softmax(-1));
/// ```
///
/// # Errors
/// Without members: that there is nothing to stack.
///
/// # Source
/// Huang et al. 2017, arXiv:1704.00109 (snapshots); Breiman 1996, "Bagging predictors".
#[track_caller]
pub fn mean_of<M>(members: &[M], output: impl FnMut(&M) -> Tensor) -> Tensor {
    Tensor::stack(members.iter().map(output), 0).mean(0)
}

/// What a bootstrap sample drew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bag {
    /// As many items as there are, drawn with replacement.
    pub drawn: Vec<usize>,
    /// Those that were not: about 37 of 100, to measure the member on.
    pub left_out: Vec<usize>,
}

/// A bootstrap sample of `0..items`, for a [`subset`](thalweg_data::Dataset::subset).
///
/// ```
/// use thalweg_graph::Rng;
/// let rng = &mut Rng::seed(0);
/// let bag = thalweg_train::bootstrap(1000, rng);
/// assert_eq!(bag.drawn.len(), 1000);
/// assert!((320..420).contains(&bag.left_out.len()));
/// ```
pub fn bootstrap(items: u32, rng: &mut Rng) -> Bag {
    let drawn: Vec<usize> = (0..items).map(|_| rng.below(items) as usize).collect();
    let mut is_drawn = vec![false; items as usize];
    drawn.iter().for_each(|i| is_drawn[*i] = true);
    let left_out = (0..items as usize).filter(|i| !is_drawn[*i]).collect();
    Bag { drawn, left_out }
}
