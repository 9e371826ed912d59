//! Schedules of published runs, and usual compositions.

use super::{Constant, Cosine, Family, Linear, RootAfter, Schedule};

/// A share of the rate until `until`, and all of it from there on: PyTorch's `ConstantLR`, with a third and 5 as its defaults.
pub fn constant_factor(rate: f64, factor: f64, until: f64) -> Schedule {
    Constant(rate * factor).until(until, rate)
}

/// Warm-up, a constant rate for `stable`, and a decay, whose first rate that is.
///
/// ```
/// use thalweg_optim::schedule::{Root, WarmUp, wsd};
/// let rate = wsd(WarmUp { to: 1e-3, over: 100.0 }, 800.0, Root { from: 1e-3, to: 0.0, over: 100.0 });
/// ```
///
/// # Source
/// Hu et al. 2024, arXiv:2404.06395, §4 (exponential decay, [`Geometric`](super::Geometric)); Hägele et al. 2024,
/// arXiv:2405.18392 ([`Linear`] and [`Root`](super::Root)).
pub fn wsd(warm_up: impl Family, stable: f64, decay: impl Family) -> Schedule {
    let rate = decay.at(0.0);
    warm_up.then(Constant(rate).until(stable, decay))
}

/// Linear from a rate to the peak over the warm-up, and a cosine to a floor at the end of all steps.
fn cosine_with_warm_up(from: f64, peak: f64, floor: f64, warm_up: f64, steps: f64) -> Schedule {
    let rise = Linear { from, to: peak, over: warm_up };
    rise.then(Cosine { from: peak, to: floor, over: steps - warm_up })
}

/// Linear from 0 over the warm-up, and linear to 0 at the end of all steps.
pub fn linear_with_warm_up(rate: f64, warm_up: f64, steps: f64) -> Schedule {
    Linear { from: 0.0, to: rate, over: warm_up }.then(Linear { from: rate, to: 0.0, over: steps - warm_up })
}

/// Ten thousand steps of a million warm up. Devlin et al. 2019, arXiv:1810.04805, appendix A.2.
pub fn bert(peak: f64) -> Schedule {
    linear_with_warm_up(peak, 1e4, 1e6)
}

/// 2000 updates of warm-up, and a cosine to 0. Radford et al. 2018, "Improving language understanding by generative pre-training", §4.1.
pub fn gpt(peak: f64, steps: f64) -> Schedule {
    cosine_with_warm_up(0.0, peak, 0.0, 2000.0, steps)
}

/// By tokens: 375 million of warm-up, and a cosine to a tenth at 260 billion from the first token on. Brown et al. 2020,
/// arXiv:2005.14165, appendix B. A step's worth is to be told by [`Family::in_tokens`].
pub fn gpt3(peak: f64) -> Schedule {
    cosine_with_warm_up(0.0, peak, peak / 10.0, 375e6, 260e9)
}

/// 2000 steps of warm-up, and a cosine to a tenth. Touvron et al. 2023, arXiv:2302.13971, §2.3.
pub fn llama(peak: f64, steps: f64) -> Schedule {
    cosine_with_warm_up(0.0, peak, peak / 10.0, 2000.0, steps)
}

/// 1500 steps of warm-up from 10⁻⁷, and a cosine to a tenth. Rae et al. 2021, arXiv:2112.11446, §3.2.
pub fn gopher(peak: f64, steps: f64) -> Schedule {
    cosine_with_warm_up(1e-7, peak, peak / 10.0, 1500.0, steps)
}

/// By tokens: a warm-up of so many, and linear to a tenth at 300 billion. Zhang et al. 2022, arXiv:2205.01068, §2.2.
pub fn opt(peak: f64, warm_up: f64) -> Schedule {
    Linear { from: 0.0, to: peak, over: warm_up }.then(Linear { from: peak, to: peak / 10.0, over: 300e9 - warm_up })
}

/// `1 / √max(n, 10⁴)`. Raffel et al. 2020, arXiv:1910.10683, §3.1.2.
pub fn t5() -> Schedule {
    RootAfter { hold: 1e4, scale: 1.0 }.into()
}

/// 0.01 for 10⁴ steps, then `1 / √n`: [`t5`] by another name. Chowdhery et al. 2022, arXiv:2204.02311, §5.
pub fn palm() -> Schedule {
    t5()
}
