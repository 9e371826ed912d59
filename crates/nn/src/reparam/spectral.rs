//! Spectral normalisation.

use thalweg_derive::Module;
use thalweg_graph::{Axis, Error, Mode, Result, Rng, State, Tensor};

use super::Weighted;
use crate::{init::invalid, wide};

/// A layer whose weight is divided by its largest singular value σ, the weight seen as a matrix with one axis against all
/// others.
///
/// In training mode each forward pass makes a few steps of power iteration, `u ← W v / ‖W v‖`, `v ← Wᵀ u / ‖Wᵀ u‖`, and
/// `σ = uᵀ W v`; no gradient passes through u and v. In evaluation mode they stay as they are.
///
/// # Source
/// Miyato et al. 2018, arXiv:1802.05957, algorithm 1; the order of the steps as in PyTorch.
#[derive(Clone, Debug, Module)]
pub struct SpectralNorm<L> {
    /// The layer, with the weight as it is trained.
    pub layer: L,
    /// The left singular vector, so far.
    pub u: State,
    /// The right one.
    pub v: State,
    mode: Mode,
    #[module(skip)]
    config: SpectralNormConfig,
}

/// How a [`SpectralNorm`] works.
#[derive(Clone, Debug)]
pub struct SpectralNormConfig {
    /// Steps of power iteration in each forward pass.
    pub iterations: usize,
    /// The least length that is divided by.
    pub eps: f64,
    /// The axis of the weight that makes the rows: 0, or 1 for a transposed convolution.
    pub axis: isize,
}

impl Default for SpectralNormConfig {
    fn default() -> SpectralNormConfig {
        SpectralNormConfig { iterations: 1, eps: 1e-12, axis: 0 }
    }
}

/// Steps before the first pass.
const WARM_UP: usize = 15;

impl SpectralNormConfig {
    /// Wraps a layer; the vectors are drawn, and fifteen steps made.
    ///
    /// # Errors
    /// An axis that the weight has not; no iterations; a weight without elements.
    #[track_caller]
    pub fn init<L: Weighted>(self, layer: L, rng: &mut Rng) -> Result<SpectralNorm<L>> {
        let weight = layer.weight().tensor().detach();
        if let Err(kind) = Axis(self.axis).of(weight.shape()) {
            return Err(Error::new("spectral_norm", kind));
        }
        if self.iterations == 0 || weight.count() == 0 {
            let problem = format!("{} iterations on a weight of shape {:?}", self.iterations, weight.shape());
            return Err(invalid("spectral_norm", problem));
        }
        let w = self.matrix(&weight);
        let mut draw = |n: usize| {
            let values: Vec<f32> = (0..n).map(|_| rng.normal() as f32).collect();
            Tensor::from_slice(w.device(), &values, [n]).cast(w.dtype())
        };
        let (u, v) = (draw(w.shape()[0]), draw(w.shape()[1]));
        let (u, v) = self.iterate(&w, u, v, WARM_UP);
        Ok(SpectralNorm { layer, u: State::new(u)?, v: State::new(v)?, mode: Mode::default(), config: self })
    }

    /// The weight as a matrix, in F32 at least.
    #[track_caller]
    fn matrix(&self, weight: &Tensor) -> Tensor {
        let front = weight.movedim(&[self.axis], &[0]);
        let rows = front.shape().first().copied().unwrap_or(1);
        wide(&front).reshape([rows, weight.count() / rows.max(1)])
    }

    #[track_caller]
    fn iterate(&self, w: &Tensor, u: Tensor, v: Tensor, steps: usize) -> (Tensor, Tensor) {
        (0..steps).fold((u, v), |(_, v), _| {
            let u = (w * &v).sum(1).normalize(2.0, 0, self.eps);
            let v = (w * u.unsqueeze(1)).sum(0).normalize(2.0, 0, self.eps);
            (u, v)
        })
    }
}

impl<L: Weighted> SpectralNorm<L> {
    /// The weight in effect, `W / σ`, shaped as the layer's own; in training mode after some steps of iteration.
    #[track_caller]
    pub fn weight(&self) -> Tensor {
        let weight = self.layer.weight().tensor();
        let w = self.config.matrix(&weight);
        let (mut u, mut v) = (self.u.tensor(), self.v.tensor());
        if self.mode.is_training() {
            (u, v) = self.config.iterate(&w.detach(), u, v, self.config.iterations);
            self.u.set(&u);
            self.v.set(&v);
        }
        let sigma = (w * v.detach()).sum(1) * u.detach();
        (wide(&weight) / sigma.sum(0)).cast(weight.dtype())
    }

    /// Applies the layer, with the weight in effect.
    ///
    /// # Errors
    /// Those of the layer.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        self.layer.forward_with(x, &self.weight())
    }
}
