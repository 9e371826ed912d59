//! Dynamic loss scaling.

/// How the loss scale of f16 training moves. The scale lives on the device: an overflow multiplies it by `backoff` and skips
/// the step; `interval` good steps in a row multiply it by `growth`.
///
/// # Source
/// Micikevicius et al. 2018, arXiv:1710.03740, §3.2; defaults as PyTorch's `GradScaler`.
#[derive(Clone, Debug, PartialEq)]
pub struct LossScale {
    /// The first scale.
    pub init: f64,
    /// Factor after `interval` good steps.
    pub growth: f64,
    /// Factor after an overflow.
    pub backoff: f64,
    /// Good steps between growths.
    pub interval: u32,
    /// The largest scale.
    pub max: f64,
    /// The smallest scale: however many bad batches come in a row, the good ones after them train.
    pub min: f64,
}

impl Default for LossScale {
    fn default() -> LossScale {
        LossScale { init: 65_536.0, growth: 2.0, backoff: 0.5, interval: 2000, max: 16_777_216.0, min: 1.0 }
    }
}

impl LossScale {
    pub(crate) fn check(&self) -> Result<(), String> {
        let positive = self.min > 0.0 && self.init >= self.min && self.init.is_finite() && self.max >= self.init;
        match positive && self.growth >= 1.0 && self.backoff > 0.0 && self.backoff < 1.0 && self.interval > 0 {
            true => Ok(()),
            false => Err(format!("{self:?}: needs 0 < min ≤ init ≤ max, growth ≥ 1, 0 < backoff < 1, interval > 0")),
        }
    }
}
