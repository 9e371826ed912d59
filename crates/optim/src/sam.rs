//! Sharpness-aware minimisation.

use thalweg_graph::{Error, ErrorKind, Grads, Param, Result, Tensor, autodiff::Squares, module::overlay};

use crate::Optimizer;

/// Sharpness-aware steps of any optimizer: its step at `θ` goes by the gradient where the loss is worst near by.
///
/// ```text
/// ε = ρ g / ‖g‖,   adaptive: ε = ρ |θ|² g / ‖|θ| g‖
/// θ ← step by ∇L(θ + ε)
/// ```
///
/// Two passes a step, as one graph; the parameters are written once.
///
/// ```ignore
/// let sam = Sam { rho: 0.05, ..Sam::default() };
/// let loss = sam.step(&opt, || net.forward(&x).cross_entropy(&y))?;
/// ```
///
/// # Source
/// Foret et al. 2021, arXiv:2010.01412, algorithm 1; Kwon et al. 2021, arXiv:2102.11600 (adaptive).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sam {
    /// ρ.
    pub rho: f64,
    /// Whether distances are measured by the size of each parameter.
    pub adaptive: bool,
}

impl Default for Sam {
    fn default() -> Sam {
        Sam { rho: 0.05, adaptive: false }
    }
}

impl Sam {
    /// One step by a loss that a function computes, twice; gives the loss at `θ`. A step whose gradients are not finite is skipped.
    ///
    /// # Errors
    /// As [`Optimizer::step`]; a ρ that is no distance.
    #[track_caller]
    pub fn step(&self, opt: &Optimizer, mut loss: impl FnMut() -> Tensor) -> Result<Tensor> {
        if !(self.rho >= 0.0 && self.rho.is_finite()) {
            return Err(Error::new("sam", ErrorKind::Invalid(format!("rho = {} is no distance", self.rho))));
        }
        let here = loss();
        let grads = opt.backward(&here)?;
        let mut ascent: Vec<(&Param, Tensor, Tensor)> = Vec::new();
        for (_, param) in opt.params().iter().filter(|(_, p)| !p.is_frozen()) {
            let Some(gradient) = grads.get(param) else { continue };
            let (theta, gradient) = (param.tensor().detach(), gradient.detach());
            let scaled = if self.adaptive { theta.abs().cast(gradient.dtype()) * &gradient } else { gradient };
            ascent.push((param, theta, scaled));
        }
        let Some(norm) =
            ascent.iter().map(|(.., g)| Squares::of(g)).reduce(Squares::plus).map(|squares| squares.root())
        else {
            return opt.step(&here).map(|()| here);
        };
        let factor = self.rho / (norm + 1e-12);
        let there = |(param, theta, scaled): (&'_ Param, Tensor, Tensor)| {
            let along = if self.adaptive { theta.abs().cast(scaled.dtype()) * scaled } else { scaled };
            let worst = &theta + (&along * factor.cast(along.dtype())).cast(theta.dtype());
            (param.clone(), worst.detach().track())
        };
        let worst: Vec<(Param, Tensor)> = ascent.into_iter().map(there).collect();
        let values: Vec<(&Param, Tensor)> = worst.iter().map(|(param, value)| (param, value.clone())).collect();
        let grads = opt.backward(&overlay(&values, loss)?)?;
        let mut of_params = Grads::new();
        for (param, value) in &worst {
            if let Some(gradient) = grads.get(value) {
                of_params.insert(param, gradient)?;
            }
        }
        opt.apply_finite(of_params)?;
        Ok(here)
    }
}
