//! Group normalisation.

use thalweg_derive::Module;
use thalweg_graph::{Device, Param, Result, Rng, Tensor};

use super::{check_values, param};
use crate::init::invalid;

/// Normalises each sample over groups of channels and all of space, as [`Tensor::group_norm`].
///
/// # Shapes
/// `[B, C, ..]` → the same; `weight` and `bias` `[C]`
/// # Source
/// Wu & He 2018, arXiv:1803.08494.
#[derive(Clone, Debug, Module)]
pub struct GroupNorm {
    /// The gain of each channel.
    pub weight: Option<Param>,
    /// The offset of each channel.
    pub bias: Option<Param>,
    groups: usize,
    eps: f64,
}

/// How to make a [`GroupNorm`].
#[derive(Clone, Debug)]
pub struct GroupNormConfig {
    groups: usize,
    channels: usize,
    eps: f64,
    affine: bool,
}

impl GroupNorm {
    /// For this many groups of this many channels in all; ε 1e-5, with gain and offset.
    #[expect(clippy::new_ret_no_self, reason = "the layer exists once it has a device")]
    pub fn new(groups: usize, channels: usize) -> GroupNormConfig {
        GroupNormConfig { groups, channels, eps: 1e-5, affine: true }
    }

    /// Applies it.
    ///
    /// # Shapes
    /// `[B, C, ..]` → the same
    /// # Errors
    /// No axis of channels, or another number of them; a single value in each of the groups, of one sample.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        // As PyTorch counts them: over the batch.
        if x.check().is_ok()
            && x.rank() > 1
            && let Err(failed) = check_values("group_norm", x, x.count() / self.groups, "group")
        {
            return failed;
        }
        let [weight, bias] = [&self.weight, &self.bias].map(|p| p.as_ref().map(Param::tensor));
        x.group_norm(self.groups, weight.as_ref(), bias.as_ref(), self.eps)
    }
}

impl GroupNormConfig {
    setters! {
        /// What is added to the variance.
        eps: f64;
        /// With or without gain and offset.
        affine: bool;
    }

    /// Makes the layer; nothing is drawn.
    ///
    /// # Errors
    /// No channels; groups that do not divide them; no memory.
    #[track_caller]
    pub fn init(self, device: &Device, _rng: &mut Rng) -> Result<GroupNorm> {
        let (groups, channels) = (self.groups, self.channels);
        if groups == 0 || channels == 0 || !channels.is_multiple_of(groups) {
            return Err(invalid("group_norm", format!("{channels} channels in {groups} groups")));
        }
        let weight = param(self.affine, device, 1.0, &[channels])?;
        let bias = param(self.affine, device, 0.0, &[channels])?;
        Ok(GroupNorm { weight, bias, groups, eps: self.eps })
    }
}
