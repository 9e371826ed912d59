//! Instance normalisation.

use thalweg_derive::Module;
use thalweg_graph::{Device, ErrorKind, Mode, Param, Result, Rng, Scope, State, Tensor};

use super::{check_values, param};
use crate::{
    init::{filled, invalid},
    wide,
};

/// Normalises each channel of each sample over space, as [`Tensor::instance_norm`].
///
/// With running statistics (off by default) training moves them, `r ← (1 - momentum) r + momentum · mean over the batch`, the
/// variance with the unbiased estimate, and evaluation normalises by them instead of by the sample's own.
///
/// # Shapes
/// `[B, C, ..]` with one or more axes of space → the same; `weight` and `bias` `[C]`
/// # Source
/// Ulyanov et al. 2016, arXiv:1607.08022.
#[derive(Clone, Debug, Module)]
#[doc(alias("InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d"))]
pub struct InstanceNorm {
    /// The gain of each channel.
    pub weight: Option<Param>,
    /// The offset of each channel.
    pub bias: Option<Param>,
    /// μ for evaluation, if it is tracked.
    pub running_mean: Option<State>,
    /// σ² for evaluation, unbiased, if it is tracked.
    pub running_var: Option<State>,
    mode: Mode,
    channels: usize,
    momentum: f64,
    eps: f64,
}

/// How to make an [`InstanceNorm`].
#[derive(Clone, Debug)]
pub struct InstanceNormConfig {
    channels: usize,
    momentum: f64,
    eps: f64,
    affine: bool,
    track_running_stats: bool,
}

impl InstanceNorm {
    /// For this many channels; momentum 0.1, ε 1e-5, without gain, offset and running statistics.
    #[expect(clippy::new_ret_no_self, reason = "the layer exists once it has a device")]
    pub fn new(channels: usize) -> InstanceNormConfig {
        InstanceNormConfig { channels, momentum: 0.1, eps: 1e-5, affine: false, track_running_stats: false }
    }

    /// Applies it.
    ///
    /// # Shapes
    /// `[B, C, ..]` with one or more axes of space → the same
    /// # Errors
    /// No space; another number of channels; one element of space, but in evaluation mode with running statistics.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let _scope = Scope::composite("instance_norm");
        if x.check().is_ok() && x.shape().get(1) != Some(&self.channels) {
            let problem = format!("is not [batch, {}, space..]", self.channels);
            return x.fail("instance_norm", ErrorKind::Shape { shape: x.shape().to_vec(), problem });
        }
        let by_itself = self.mode.is_training() || self.running_mean.is_none();
        let space = x.shape().iter().skip(2).product();
        if by_itself
            && x.check().is_ok()
            && let Err(failed) = check_values("instance_norm", x, space, "channel of each sample")
        {
            return failed;
        }
        let [weight, bias] = [&self.weight, &self.bias].map(|p| p.as_ref().map(Param::tensor));
        let own = x.instance_norm(weight.as_ref(), bias.as_ref(), self.eps);
        let (Some(mean), Some(var)) = (&self.running_mean, &self.running_var) else {
            return own;
        };
        if own.check().is_err() {
            return own;
        }
        let wide = wide(x);
        if self.mode.is_training() {
            if x.count() > 0 {
                self.track(&wide.detach(), mean, var);
            }
            return own;
        }
        let mut shape = vec![1; x.rank()];
        shape[1] = self.channels;
        let per_channel = |t: Tensor| t.reshape(&shape[..]);
        let y = (wide - per_channel(mean.tensor())) * (per_channel(var.tensor()) + self.eps).rsqrt();
        let y = weight.map_or(y.clone(), |w| y * per_channel(w));
        bias.map_or(y.clone(), |b| y + per_channel(b)).cast(x.dtype())
    }

    /// Moves the running statistics towards the means over the batch of the samples' own.
    fn track(&self, x: &Tensor, mean: &State, var: &State) {
        let space: Vec<isize> = (2..x.rank() as isize).collect();
        let new_var = x.var(space.clone(), 1).mean(0);
        for (state, new) in [(mean, x.mean(space).mean(0)), (var, new_var)] {
            let old = state.tensor();
            state.set(&(&old * (1.0 - self.momentum) + new.cast(old.dtype()) * self.momentum));
        }
    }
}

impl InstanceNormConfig {
    setters! {
        /// With or without running statistics.
        track_running_stats: bool;
        /// How far the running statistics move to the batch's.
        momentum: f64;
        /// What is added to the variance.
        eps: f64;
        /// With or without gain and offset.
        affine: bool;
    }

    /// Makes the layer; nothing is drawn.
    ///
    /// # Errors
    /// No channels; no memory.
    #[track_caller]
    pub fn init(self, device: &Device, _rng: &mut Rng) -> Result<InstanceNorm> {
        if self.channels == 0 {
            return Err(invalid("instance_norm", "0 channels".into()));
        }
        let weight = param(self.affine, device, 1.0, &[self.channels])?;
        let bias = param(self.affine, device, 0.0, &[self.channels])?;
        let shape = [self.channels];
        let state = |value| self.track_running_stats.then(|| State::new(filled(device, value, &shape))).transpose();
        Ok(InstanceNorm {
            weight,
            bias,
            running_mean: state(0.0)?,
            running_var: state(1.0)?,
            mode: Mode::default(),
            channels: self.channels,
            momentum: self.momentum,
            eps: self.eps,
        })
    }
}
