//! Batch normalisation.

use std::sync::Arc;

use thalweg_derive::Module;
use thalweg_graph::{DType, Device, ErrorKind, Mode, Param, Result, Rng, Scope, State, Tensor};

use super::{
    check_values,
    moments::{Moments, Synchronised},
    param,
};
use crate::{
    init::{filled, invalid},
    per_axis::{SPACE, by_rank},
    wide,
};

/// Normalises each channel over batch and N axes of space: `y = (x - μ) / √(σ² + ε) · weight + bias`.
///
/// In training mode μ and σ² (biased) are the batch's, and the running statistics move:
/// `r ← (1 - momentum) r + momentum · batch`, the variance with the unbiased estimate. In evaluation mode μ and σ² are the
/// running ones.
///
/// # Shapes
/// `[B, C, L..]` → the same; for series `[B, C]` will do
/// # Source
/// Ioffe & Szegedy 2015, arXiv:1502.03167.
#[derive(Clone, Debug, Module)]
#[module(name = by_rank::<N>(["BatchNorm1d", "BatchNorm2d", "BatchNorm3d"]))]
pub struct BatchNorm<const N: usize> {
    /// The gain of each channel.
    pub weight: Option<Param>,
    /// The offset of each channel.
    pub bias: Option<Param>,
    /// μ for evaluation, unless nothing is tracked.
    pub running_mean: Option<State>,
    /// σ² for evaluation, unbiased, unless nothing is tracked.
    pub running_var: Option<State>,
    /// Batches so far, I32, where the running statistics are the mean of all batches.
    pub num_batches_tracked: Option<State>,
    mode: Mode,
    channels: usize,
    #[module(skip)]
    momentum: Option<f64>,
    eps: f64,
    #[module(skip)]
    synchronised: Synchronised,
}

/// Batch normalisation of vectors and series.
pub type BatchNorm1d = BatchNorm<1>;
/// Batch normalisation of images.
pub type BatchNorm2d = BatchNorm<2>;
/// Batch normalisation of volumes.
pub type BatchNorm3d = BatchNorm<3>;

/// How to make a [`BatchNorm`].
#[derive(Clone, Debug)]
pub struct BatchNormConfig<const N: usize> {
    channels: usize,
    momentum: Option<f64>,
    eps: f64,
    affine: bool,
    track_running_stats: bool,
    synchronised: Synchronised,
}

/// How to make a [`BatchNorm1d`].
pub type BatchNorm1dConfig = BatchNormConfig<1>;
/// How to make a [`BatchNorm2d`].
pub type BatchNorm2dConfig = BatchNormConfig<2>;
/// How to make a [`BatchNorm3d`].
pub type BatchNorm3dConfig = BatchNormConfig<3>;

impl<const N: usize> BatchNorm<N> {
    const NAME: &'static str = by_rank::<N>(["batch_norm1d", "batch_norm2d", "batch_norm3d"]);

    /// For this many channels; momentum 0.1, ε 1e-5, with gain and offset.
    #[expect(clippy::new_ret_no_self, reason = "the layer exists once it has a device")]
    pub fn new(channels: usize) -> BatchNormConfig<N> {
        BatchNormConfig {
            channels,
            momentum: Some(0.1),
            eps: 1e-5,
            affine: true,
            track_running_stats: true,
            synchronised: Synchronised::default(),
        }
    }

    /// Applies it, in f32 if the input is narrower; in training mode the running statistics move, once the step or a reader
    /// evaluates them. Nothing moves them for a batch of nothing.
    ///
    /// # Shapes
    /// `[B, C, L..]` → the same
    /// # Errors
    /// Another number of axes or channels; not floats; one value for each channel in training mode.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = Scope::composite(Self::NAME);
        if x.check().is_err() {
            return x.clone();
        }
        if x.rank() != N + 2 && !(N == 1 && x.rank() == 2) {
            let problem = format!("is not [batch, channels, {}]", SPACE[N - 1]);
            return x.fail(Self::NAME, ErrorKind::Shape { shape: x.shape().to_vec(), problem });
        }
        if x.shape()[1] != self.channels {
            let problem = format!("has {} channels, not {}", x.shape()[1], self.channels);
            return x.fail(Self::NAME, ErrorKind::Shape { shape: x.shape().to_vec(), problem });
        }
        let dtype = x.dtype();
        if !dtype.is_float() {
            let problem = "is not normalised; cast to a float first".to_string();
            return x.fail(Self::NAME, ErrorKind::DType { got: dtype, problem });
        }
        let mut channels = vec![1; x.rank()];
        channels[1] = self.channels;
        let per_channel = |t: Tensor| t.reshape(channels.as_slice());
        let x = &wide(x);
        let (mean, var) = match (&self.running_mean, &self.running_var) {
            (Some(mean), Some(var)) if !self.mode.is_training() => (mean.tensor(), var.tensor()),
            _ => match self.of_batch(x) {
                Ok(Moments { mean, var, .. }) => (mean, var),
                Err(failed) => return failed,
            },
        };
        let y = (x - per_channel(mean)) * (per_channel(var) + self.eps).rsqrt();
        let y = match &self.weight {
            Some(weight) => y * per_channel(weight.tensor()),
            None => y,
        };
        let y = match &self.bias {
            Some(bias) => y + per_channel(bias.tensor()),
            None => y,
        };
        y.cast(dtype)
    }

    /// Mean and variance of the batch, which move the running statistics in training mode.
    #[track_caller]
    fn of_batch(&self, x: &Tensor) -> std::result::Result<Moments, Tensor> {
        let values = x.count() / self.channels;
        let axes: Vec<isize> = (0..x.rank() as isize).filter(|axis| *axis != 1).collect();
        let flat = |t: Tensor| t.reshape([self.channels]);
        let (mean, var) = (x.mean_keepdim(axes.as_slice()), x.var_keepdim(axes.as_slice(), 0));
        let own = Moments { values: values as f64, mean: flat(mean), var: flat(var) };
        let moments = match &self.synchronised.0 {
            Some(join) => join(&own),
            None => own,
        };
        check_values(Self::NAME, x, moments.values as usize, "channel")?;
        if self.mode.is_training() && moments.values > 0.0 {
            self.track(&moments);
        }
        Ok(moments)
    }

    /// Moves the running statistics towards those of a batch.
    #[track_caller]
    fn track(&self, batch: &Moments) {
        let (Some(mean), Some(var)) = (&self.running_mean, &self.running_var) else { return };
        let unbiased = batch.values / (batch.values - 1.0);
        for (state, new) in [(mean, batch.mean.detach()), (var, batch.var.detach() * unbiased)] {
            let old = state.tensor();
            let new = new.cast(old.dtype());
            state.set(&match (self.momentum, &self.num_batches_tracked) {
                (Some(m), _) => &old * (1.0 - m) + new * m,
                (None, Some(batches)) => &old + (new - &old) / (batches.tensor() + 1).cast(old.dtype()),
                (None, None) => new,
            });
        }
        if let Some(batches) = &self.num_batches_tracked {
            batches.set(&(batches.tensor() + 1));
        }
    }
}

impl<const N: usize> BatchNormConfig<N> {
    /// How far the running statistics move to the batch's; with `None` they are the mean of those of all batches.
    pub fn momentum(mut self, momentum: impl Into<Option<f64>>) -> Self {
        self.momentum = momentum.into();
        self
    }

    setters! {
        /// What is added to the variance.
        eps: f64;
        /// With or without gain and offset.
        affine: bool;
        /// With or without running statistics; without them evaluation uses the batch's.
        track_running_stats: bool;
    }

    /// With statistics of more than the batch at hand: what is called in training mode with the batch's moments gives those to
    /// normalise by, and to move the running ones. For parts of a batch on several devices, or in several processes, it sends its own
    /// to the others, and [joins](Moments::joined) theirs.
    pub fn synchronised(mut self, join: impl Fn(&Moments) -> Moments + Send + Sync + 'static) -> Self {
        self.synchronised = Synchronised(Some(Arc::new(join)));
        self
    }

    /// Makes the layer; nothing is drawn.
    ///
    /// # Errors
    /// No channels; no memory.
    #[track_caller]
    pub fn init(self, device: &Device, _rng: &mut Rng) -> Result<BatchNorm<N>> {
        if self.channels == 0 {
            return Err(invalid(BatchNorm::<N>::NAME, "0 channels".into()));
        }
        let shape = [self.channels];
        let state = |value| self.track_running_stats.then(|| State::new(filled(device, value, &shape))).transpose();
        let batches = || State::new(Tensor::scalar(device, 0, DType::I32));
        Ok(BatchNorm {
            weight: param(self.affine, device, 1.0, &shape)?,
            bias: param(self.affine, device, 0.0, &shape)?,
            running_mean: state(0.0)?,
            running_var: state(1.0)?,
            num_batches_tracked: (self.track_running_stats && self.momentum.is_none()).then(batches).transpose()?,
            mode: Mode::default(),
            channels: self.channels,
            momentum: self.momentum,
            eps: self.eps,
            synchronised: self.synchronised,
        })
    }
}
