//! Losses of numbers against numbers.

use thalweg_graph::{Scope, Tensor};

use super::{Reduction, matched};

/// `(x - t)²`.
///
/// # Shapes
/// `x` and `t` equal.
#[derive(Clone, Debug, Default)]
pub struct Mse {
    /// What becomes of the elements' losses.
    pub reduction: Reduction,
}

impl Mse {
    /// The loss.
    ///
    /// # Shapes
    /// `[..]`, target `[..]`, equal → `[]`, or `[..]` with [`Reduction::None`]
    /// # Errors
    /// Shapes that differ: neither is broadcast.
    #[track_caller]
    pub fn loss(&self, x: &Tensor, target: &Tensor) -> Tensor {
        let _scope = Scope::composite("mse_loss");
        match matched("mse_loss", x, target) {
            Ok((x, t)) => self.reduction.apply((x - t).square()),
            Err(failed) => failed,
        }
    }
}

/// `|x - t|`; its gradient at 0 is 0.
///
/// # Shapes
/// `x` and `t` equal.
#[derive(Clone, Debug, Default)]
pub struct L1 {
    /// What becomes of the elements' losses.
    pub reduction: Reduction,
}

impl L1 {
    /// The loss.
    ///
    /// # Shapes
    /// `[..]`, target `[..]`, equal → `[]`, or `[..]` with [`Reduction::None`]
    /// # Errors
    /// Shapes that differ: neither is broadcast.
    #[track_caller]
    pub fn loss(&self, x: &Tensor, target: &Tensor) -> Tensor {
        let _scope = Scope::composite("l1_loss");
        match matched("l1_loss", x, target) {
            Ok((x, t)) => self.reduction.apply((x - t).abs()),
            Err(failed) => failed,
        }
    }
}

/// `d² / (2 β)` where `d = |x - t|` is below β, else `d - β / 2`. With `β = 0` it is [`L1`]; else the gradient
/// has no jump.
///
/// # Shapes
/// `x` and `t` equal.
/// # Source
/// Girshick 2015, arXiv:1504.08083, equation 3.
#[derive(Clone, Debug)]
pub struct SmoothL1 {
    /// β, where the square turns into a line.
    pub beta: f64,
    /// What becomes of the elements' losses.
    pub reduction: Reduction,
}

impl Default for SmoothL1 {
    fn default() -> SmoothL1 {
        SmoothL1 { beta: 1.0, reduction: Reduction::default() }
    }
}

impl SmoothL1 {
    /// The loss.
    ///
    /// # Shapes
    /// `[..]`, target `[..]`, equal → `[]`, or `[..]` with [`Reduction::None`]
    /// # Errors
    /// Shapes that differ: neither is broadcast.
    #[track_caller]
    pub fn loss(&self, x: &Tensor, target: &Tensor) -> Tensor {
        let _scope = Scope::composite("smooth_l1_loss");
        let (x, t) = match matched("smooth_l1_loss", x, target) {
            Ok(pair) => pair,
            Err(failed) => return failed,
        };
        let d = (x - t).abs();
        if self.beta <= 0.0 {
            return self.reduction.apply(d);
        }
        let near = d.lt(self.beta);
        // The square of a large d may overflow; 0 stands in for it.
        let square = near.where_(&d, 0.0).square() * (0.5 / self.beta);
        self.reduction.apply(near.where_(square, d - 0.5 * self.beta))
    }
}

/// `d² / 2` where `d = |x - t|` is at most δ, else `δ (d - δ / 2)`. The gradient has no jump.
///
/// # Shapes
/// `x` and `t` equal.
/// # Source
/// Huber 1964, "Robust estimation of a location parameter".
#[derive(Clone, Debug)]
pub struct Huber {
    /// δ, where the square turns into a line.
    pub delta: f64,
    /// What becomes of the elements' losses.
    pub reduction: Reduction,
}

impl Default for Huber {
    fn default() -> Huber {
        Huber { delta: 1.0, reduction: Reduction::default() }
    }
}

impl Huber {
    /// The loss.
    ///
    /// # Shapes
    /// `[..]`, target `[..]`, equal → `[]`, or `[..]` with [`Reduction::None`]
    /// # Errors
    /// Shapes that differ: neither is broadcast.
    #[track_caller]
    pub fn loss(&self, x: &Tensor, target: &Tensor) -> Tensor {
        let _scope = Scope::composite("huber_loss");
        let (x, t) = match matched("huber_loss", x, target) {
            Ok(pair) => pair,
            Err(failed) => return failed,
        };
        let d = (x - t).abs();
        let near = d.le(self.delta);
        let square = near.where_(&d, 0.0).square() * 0.5;
        self.reduction.apply(near.where_(square, (d - 0.5 * self.delta) * self.delta))
    }
}

/// `ln cosh(x - t)`: a square near 0, a line further out.
///
/// # Shapes
/// `x` and `t` equal.
#[derive(Clone, Debug, Default)]
pub struct LogCosh {
    /// What becomes of the elements' losses.
    pub reduction: Reduction,
}

impl LogCosh {
    /// The loss.
    ///
    /// # Shapes
    /// `[..]`, target `[..]`, equal → `[]`, or `[..]` with [`Reduction::None`]
    /// # Errors
    /// Shapes that differ: neither is broadcast.
    #[track_caller]
    pub fn loss(&self, x: &Tensor, target: &Tensor) -> Tensor {
        let _scope = Scope::composite("log_cosh_loss");
        let (x, t) = match matched("log_cosh_loss", x, target) {
            Ok(pair) => pair,
            Err(failed) => return failed,
        };
        let d = (x - t).abs();
        let near = d.lt(1.0);
        // Near 0, where cosh d = 1 + 2 sinh²(d/2), its logarithm keeps its digits; further out cosh would overflow, and
        // d + ln(1 + e^(-2d)) - ln 2 does not.
        let inner = ((near.where_(&d, 0.0) * 0.5).sinh().square() * 2.0).log1p();
        let outer = &d + (&d * -2.0).exp().log1p() - std::f64::consts::LN_2;
        self.reduction.apply(near.where_(inner, outer))
    }
}
