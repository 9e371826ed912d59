//! Losses of several tasks as one.

use thalweg_derive::Module;
use thalweg_graph::{Device, ErrorKind, Param, Result, Rng, Scope, Tensor};

use crate::{
    init::{Init, invalid},
    wide,
};

/// What a task's loss is the negative log-likelihood of, up to its scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Likelihood {
    /// Numbers: squared differences.
    Gaussian,
    /// Classes: a cross-entropy.
    Softmax,
}

/// `Σ_i f_i e^{-s_i} L_i + s_i / 2`, with `s_i = ln σ_i²` learned for every task: how uncertain a task is says how little it counts, and
/// costs something. `f` is ½ for a Gaussian likelihood and 1 for a softmax, whose temperature σ² is then.
///
/// ```
/// # use std::sync::Arc;
/// # use thalweg_cpu::FastCpu;
/// # use thalweg_graph::{Device, Rng, Tensor};
/// use thalweg_nn::{Likelihood, UncertaintyWeights};
///
/// # let (device, rng) = (Device::new(Arc::new(FastCpu::new()?)), &mut Rng::seed(0));
/// let weights = UncertaintyWeights::new(&[Likelihood::Gaussian, Likelihood::Softmax]).init(&device, rng)?;
/// # let (squares, cross_entropy) = (Tensor::ones(&device, []), Tensor::ones(&device, []));
/// let loss = weights.forward(&[&squares, &cross_entropy]);
/// assert_eq!(loss.item()?, 1.5); // 1/2 · 1 + 1, as both variances are 1 at first
/// # Ok::<(), thalweg_graph::Error>(())
/// ```
///
/// # Shapes
/// a scalar for each task → a scalar; `log_variance [tasks]`
/// # Source
/// Kendall et al. 2018, arXiv:1705.07115, equations 7 and 10.
#[derive(Clone, Debug, Module)]
pub struct UncertaintyWeights {
    /// s.
    pub log_variance: Param,
    #[module(skip)]
    tasks: Vec<Likelihood>,
}

/// How to make [`UncertaintyWeights`].
#[derive(Clone, Debug)]
pub struct UncertaintyWeightsConfig {
    tasks: Vec<Likelihood>,
}

impl UncertaintyWeights {
    /// Of these tasks, each with a variance of 1 at first.
    #[expect(clippy::new_ret_no_self, reason = "the weights exist once they are on a device")]
    pub fn new(tasks: &[Likelihood]) -> UncertaintyWeightsConfig {
        UncertaintyWeightsConfig { tasks: tasks.to_vec() }
    }

    /// The loss of all tasks.
    ///
    /// # Shapes
    /// a scalar for each task → a scalar
    /// # Errors
    /// More or fewer losses than tasks; a loss that is no scalar.
    #[track_caller]
    pub fn forward(&self, losses: &[&Tensor]) -> Tensor {
        let _scope = Scope::composite("uncertainty_weights");
        let log_variance = self.log_variance.tensor();
        if losses.len() != self.tasks.len() {
            let problem = format!("{} losses of {} tasks", losses.len(), self.tasks.len());
            return log_variance.fail("uncertainty_weights", ErrorKind::Invalid(problem));
        }
        let mut sum = log_variance.sum(..) * 0.5;
        for (task, (loss, likelihood)) in losses.iter().zip(&self.tasks).enumerate() {
            if loss.check().is_err() {
                return (*loss).clone();
            }
            if loss.rank() != 0 {
                let problem = format!("of the loss of task {task} is no scalar");
                return loss.fail("uncertainty_weights", ErrorKind::Shape { shape: loss.shape().to_vec(), problem });
            }
            let factor = match likelihood {
                Likelihood::Gaussian => 0.5,
                Likelihood::Softmax => 1.0,
            };
            sum += (-log_variance.select(0, task as isize)).exp() * wide(loss) * factor;
        }
        sum
    }
}

impl UncertaintyWeightsConfig {
    /// Makes the weights; nothing is drawn.
    ///
    /// # Errors
    /// No tasks; no memory.
    #[track_caller]
    pub fn init(self, device: &Device, rng: &mut Rng) -> Result<UncertaintyWeights> {
        if self.tasks.is_empty() {
            return Err(invalid("uncertainty_weights", "no tasks".into()));
        }
        let log_variance = Init::Constant(0.0).param(device, [self.tasks.len()], rng)?;
        Ok(UncertaintyWeights { log_variance, tasks: self.tasks })
    }
}
