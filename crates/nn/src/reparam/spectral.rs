//! Spectral normalisation.

use thalweg_derive::Module;
use thalweg_graph::{Axis, Device, Error, Mode, Result, Rng, State, Tensor};

use super::Weighted;
use crate::{LayerConfig, init::invalid, wide};

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
    power: Power,
}

/// How σ is found.
#[derive(Clone, Copy, Debug)]
struct Power {
    iterations: usize,
    eps: f64,
    axis: isize,
}

/// Steps before the first pass.
const WARM_UP: usize = 15;

impl Power {
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

/// How to make a [`SpectralNorm`].
#[derive(Clone, Debug)]
pub struct SpectralNormConfig<S> {
    layer: S,
    power: Power,
}

impl<L: Weighted> SpectralNorm<L> {
    /// Around a layer, or around the settings of one; one step of iteration in each pass, ε 1e-12, rows along axis 0.
    #[expect(clippy::new_ret_no_self, reason = "the layer exists once the vectors are drawn")]
    pub fn new<S: LayerConfig<Layer = L>>(layer: S) -> SpectralNormConfig<S> {
        SpectralNormConfig { layer, power: Power { iterations: 1, eps: 1e-12, axis: 0 } }
    }

    /// The weight in effect, `W / σ`, shaped as the layer's own; in training mode after some steps of iteration.
    #[track_caller]
    pub fn weight(&self) -> Tensor {
        let weight = self.layer.weight().tensor();
        let w = self.power.matrix(&weight);
        let (mut u, mut v) = (self.u.tensor(), self.v.tensor());
        if self.mode.is_training() {
            (u, v) = self.power.iterate(&w.detach(), u, v, self.power.iterations);
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

impl<S: LayerConfig<Layer: Weighted>> SpectralNormConfig<S> {
    /// Steps of power iteration in each forward pass (PyTorch's `n_power_iterations`).
    pub fn iterations(mut self, iterations: usize) -> Self {
        self.power.iterations = iterations;
        self
    }

    /// The least length that is divided by.
    pub fn eps(mut self, eps: f64) -> Self {
        self.power.eps = eps;
        self
    }

    /// The axis of the weight that makes the rows (PyTorch's `dim`): 0, or 1 for a transposed convolution.
    pub fn axis(mut self, axis: isize) -> Self {
        self.power.axis = axis;
        self
    }

    /// Makes the layer inside, if it is not there yet; the vectors are drawn, and fifteen steps made.
    ///
    /// # Errors
    /// Those of the layer; an axis that the weight has not; no iterations; a weight without elements.
    #[track_caller]
    pub fn init(self, device: &Device, rng: &mut Rng) -> Result<SpectralNorm<S::Layer>> {
        let (layer, power) = (self.layer.init(device, rng)?, self.power);
        let weight = layer.weight().tensor().detach();
        if let Err(kind) = Axis(power.axis).of(weight.shape()) {
            return Err(Error::new("spectral_norm", kind));
        }
        if power.iterations == 0 || weight.count() == 0 {
            let problem = format!("{} iterations on a weight of shape {:?}", power.iterations, weight.shape());
            return Err(invalid("spectral_norm", problem));
        }
        let w = power.matrix(&weight);
        let mut draw = |n: usize| {
            let values: Vec<f32> = (0..n).map(|_| rng.normal() as f32).collect();
            Tensor::from_slice(w.device(), &values, [n]).cast(w.dtype())
        };
        let (u, v) = (draw(w.shape()[0]), draw(w.shape()[1]));
        let (u, v) = power.iterate(&w, u, v, WARM_UP);
        Ok(SpectralNorm { layer, u: State::new(u)?, v: State::new(v)?, mode: Mode::default(), power })
    }
}
