//! Losses of distributions: divergences, and negative log-likelihoods.

use thalweg_graph::{ErrorKind, Scope, Tensor};

use super::{Reduction, class_axis, matched};
use crate::wide;

/// `t (ln t - x)` of log-probabilities `x` against probabilities `t`, 0 where `t` is 0; or `e^t (t - x)` against
/// log-probabilities. [`Reduction::BatchMean`] makes it the divergence of a row, averaged over rows.
///
/// # Shapes
/// `x` and `t` equal.
/// # Source
/// Kullback & Leibler 1951, "On information and sufficiency".
#[derive(Clone, Debug, Default)]
pub struct KlDivergence {
    /// Whether the target is given as logarithms.
    pub log_target: bool,
    /// What becomes of the elements' losses.
    pub reduction: Reduction,
}

impl KlDivergence {
    /// The loss.
    ///
    /// # Shapes
    /// `[..]`, target `[..]`, equal → `[]`, or `[..]` with [`Reduction::None`]
    /// # Errors
    /// Shapes that differ: neither is broadcast.
    #[track_caller]
    pub fn loss(&self, x: &Tensor, target: &Tensor) -> Tensor {
        let _scope = Scope::composite("kl_div");
        let (x, t) = match matched("kl_div", x, target) {
            Ok(pair) => pair,
            Err(failed) => return failed,
        };
        if self.log_target {
            return self.reduction.apply(t.exp() * (&t - x));
        }
        // The inner `where` keeps ln 0 out of the gradient.
        let zero = t.eq(0.0);
        let log_t = zero.where_(1.0, &t).log();
        self.reduction.apply(zero.where_(0.0, &t * (log_t - x)))
    }
}

/// `T² Σ_c p_c (ln p_c - ln q_c)` with `p = softmax(teacher / T)` and `q = softmax(student / T)`: how far a student is from what its
/// teacher says of all classes. T² keeps the gradient as large as that of a cross-entropy beside it, whatever T is.
///
/// # Shapes
/// Logits of both `[B, C, ..]` or `[C]`; a loss for each row.
/// # Source
/// Hinton et al. 2015, arXiv:1503.02531, §2.
#[derive(Clone, Debug)]
pub struct Distillation {
    /// T: the higher, the more the classes count that the teacher thinks unlikely.
    pub temperature: f64,
    /// What becomes of the rows' losses.
    pub reduction: Reduction,
}

impl Default for Distillation {
    fn default() -> Distillation {
        Distillation { temperature: 2.0, reduction: Reduction::default() }
    }
}

impl Distillation {
    /// The loss. Its gradient goes to the teacher as well, unless the teacher's logits are detached.
    ///
    /// # Shapes
    /// `student [B, C, ..]` or `[C]`, `teacher` the same → `[]`, or `[B, ..]` with [`Reduction::None`]
    /// # Errors
    /// Shapes that differ; scalars; a temperature that is not positive.
    #[track_caller]
    pub fn loss(&self, student: &Tensor, teacher: &Tensor) -> Tensor {
        let _scope = Scope::composite("distillation_loss");
        let (student, teacher) = match matched("distillation_loss", student, teacher) {
            Ok(pair) => pair,
            Err(failed) => return failed,
        };
        if student.rank() == 0 {
            let problem = "has no axis of classes".to_string();
            return student.fail("distillation_loss", ErrorKind::Shape { shape: Vec::new(), problem });
        }
        let t = self.temperature;
        if t.is_nan() || t <= 0.0 {
            return student.fail("distillation_loss", ErrorKind::Invalid(format!("a temperature of {t}")));
        }
        let axis = class_axis(&student);
        let (ln_p, ln_q) = ((teacher / t).log_softmax(axis), (student / t).log_softmax(axis));
        self.reduction.apply((ln_p.exp() * (&ln_p - ln_q)).sum(axis) * (t * t))
    }
}

/// The negative log-likelihood of counts `t`: `e^x - t x` of logarithms `x` of the rate, or `x - t ln(x + ε)` of rates.
///
/// # Shapes
/// `x` and `t` equal.
#[derive(Clone, Debug)]
pub struct PoissonNll {
    /// Whether `x` is the rate's logarithm.
    pub log_input: bool,
    /// Adds what depends on the target alone, by Stirling's formula: `t ln t - t + ln(2πt) / 2` where `t > 1`.
    pub full: bool,
    /// ε.
    pub eps: f64,
    /// What becomes of the elements' losses.
    pub reduction: Reduction,
}

impl Default for PoissonNll {
    fn default() -> PoissonNll {
        PoissonNll { log_input: true, full: false, eps: 1e-8, reduction: Reduction::default() }
    }
}

impl PoissonNll {
    /// The loss.
    ///
    /// # Shapes
    /// `[..]`, target `[..]`, equal → `[]`, or `[..]` with [`Reduction::None`]
    /// # Errors
    /// Shapes that differ: neither is broadcast.
    #[track_caller]
    pub fn loss(&self, x: &Tensor, target: &Tensor) -> Tensor {
        let _scope = Scope::composite("poisson_nll_loss");
        let (x, t) = match matched("poisson_nll_loss", x, target) {
            Ok(pair) => pair,
            Err(failed) => return failed,
        };
        let losses = match self.log_input {
            true => x.exp() - &t * &x,
            false => &x - &t * (&x + self.eps).log(),
        };
        if !self.full {
            return self.reduction.apply(losses);
        }
        let many = t.gt(1.0);
        let log_t = many.where_(&t, 1.0).log();
        let stirling = &t * &log_t - &t + (log_t + std::f64::consts::TAU.ln()) * 0.5;
        self.reduction.apply(losses + many.where_(stirling, 0.0))
    }
}

/// The negative log-likelihood of `t` under a normal distribution of mean `x` and variance `v`, the latter at least ε:
/// `(ln v + (x - t)² / v) / 2`. The gradient passes as if there were no ε.
///
/// # Shapes
/// `x` and `t` equal; `v` the same, or 1 along some axes, or without the last one.
/// # Source
/// Nix & Weigend 1994, "Estimating the mean and variance of the target probability distribution".
#[derive(Clone, Debug)]
pub struct GaussianNll {
    /// Adds the constant `ln(2π) / 2`.
    pub full: bool,
    /// ε, the lowest variance.
    pub eps: f64,
    /// What becomes of the elements' losses.
    pub reduction: Reduction,
}

impl Default for GaussianNll {
    fn default() -> GaussianNll {
        GaussianNll { full: false, eps: 1e-6, reduction: Reduction::default() }
    }
}

impl GaussianNll {
    /// The loss.
    ///
    /// # Shapes
    /// `[..]`, target `[..]`, variance `[..]` or with 1 for some extents, or without the last axis, or one number → `[]`,
    /// or `[..]` with [`Reduction::None`]
    /// # Errors
    /// Shapes that differ; a variance that does not fit.
    #[track_caller]
    pub fn loss(&self, x: &Tensor, target: &Tensor, var: &Tensor) -> Tensor {
        let _scope = Scope::composite("gaussian_nll_loss");
        let (x, t) = match matched("gaussian_nll_loss", x, target) {
            Ok(pair) => pair,
            Err(failed) => return failed,
        };
        if var.check().is_err() {
            return var.clone();
        }
        let rows = x.rank() > 0 && var.shape() == &x.shape()[..x.rank() - 1];
        let v = if rows { wide(var).unsqueeze(-1) } else { wide(var) };
        let fits = v.rank() == x.rank() && v.shape().iter().zip(x.shape()).all(|(v, x)| v == x || *v == 1);
        if !fits && v.rank() > 0 {
            let (lhs, rhs) = (x.shape().to_vec(), var.shape().to_vec());
            let problem = "do not fit: the second is to be a variance for each element or row of the first".to_string();
            return x.fail("gaussian_nll_loss", ErrorKind::Shapes { lhs, rhs, problem });
        }
        let v = &v + (v.detach().maximum(self.eps) - v.detach());
        let losses = (v.log() + (x - t).square() / &v) * 0.5;
        self.reduction.apply(match self.full {
            true => losses + 0.5 * std::f64::consts::TAU.ln(),
            false => losses,
        })
    }
}
