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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use thalweg_cpu::StrictCpu;
    use thalweg_graph::{Device, Module, Param};

    use super::*;

    #[test]
    fn outputs_are_averaged_whatever_becomes_of_the_members() {
        let device = Device::new(Arc::new(StrictCpu::new()));
        let net = vec![Param::new(Tensor::from_slice(&device, &[1.0f32, 2.0], [2])).unwrap()];
        let mut members = Vec::new();
        for _ in 0..2 {
            members.push(net.fork().unwrap());
            net[0].set(&(net[0].tensor() * 2.0)).unwrap();
        }
        let mean = mean_of(&members, |net| net[0].tensor() + 1.0).to_vec::<f64>().unwrap();
        assert_eq!(mean, [2.5, 4.0]);
        assert!(mean_of(&[], |p: &Param| p.tensor()).check().is_err());
    }

    #[test]
    fn bags_are_of_the_generator_and_split_the_items() {
        let (one, two) = (bootstrap(200, &mut Rng::seed(4)), bootstrap(200, &mut Rng::seed(4)));
        assert_eq!(one, two);
        let all = (0..200).filter(|i| one.drawn.contains(i) != one.left_out.contains(i)).count();
        assert_eq!((one.drawn.len(), all), (200, 200));
        assert_eq!(bootstrap(0, &mut Rng::seed(4)).drawn.len(), 0);
    }
}
