//! Low-rank adaptation.

use thalweg_derive::Module;
use thalweg_graph::{Device, Module as _, Param, Result, Rng, Tensor};

use super::Weighted;
use crate::{
    Dropout, DropoutConfig, Init, LayerConfig,
    init::{filled, invalid},
};

/// A linear layer whose weight stays as it is, and what is learned beside it: `y = layer(x) + s · dropout(x) Aᵀ Bᵀ` with
/// `s = α / rank`. B is 0 at first, so that it does what the layer does.
///
/// [`Lora::merge`] adds `s B A` to the weight, for a model that only predicts; [`Lora::unmerge`] takes it off again.
///
/// # Shapes
/// Those of the layer, whose weight is `[out, in]`; `lora_a [rank, in]`, `lora_b [out, rank]`
/// # Source
/// Hu et al. 2021, arXiv:2106.09685.
#[derive(Clone, Debug, Module)]
pub struct Lora<L> {
    /// The layer, with its weight and bias frozen.
    pub layer: L,
    /// A.
    pub lora_a: Param,
    /// B, which is 0 while it is merged.
    pub lora_b: Param,
    /// Of what A sees, in training.
    pub dropout: Dropout,
    scale: f64,
    /// What B is when it is not merged.
    #[module(skip)]
    merged: Option<Tensor>,
}

/// How to make a [`Lora`].
#[derive(Clone, Debug)]
pub struct LoraConfig<S> {
    layer: S,
    rank: usize,
    alpha: f64,
    dropout: DropoutConfig,
}

impl<L: Weighted> Lora<L> {
    /// Around a layer, or around the settings of one; α is the rank, so that `s = 1`, and nothing is dropped.
    #[expect(clippy::new_ret_no_self, reason = "the layer exists once the weights are drawn")]
    pub fn new<S: LayerConfig<Layer = L>>(layer: S, rank: usize) -> LoraConfig<S> {
        LoraConfig { layer, rank, alpha: rank as f64, dropout: Dropout::new(0.0) }
    }

    /// Applies it.
    ///
    /// # Errors
    /// Those of the layer.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        self.forward_with(x, &self.layer.weight().tensor())
    }

    /// The weight in effect, `W + s B A`.
    #[track_caller]
    pub fn weight(&self) -> Tensor {
        let weight = self.layer.weight().tensor();
        let more = self.lora_b.tensor().matmul(&self.lora_a.tensor()) * self.scale;
        (&weight + more).cast(weight.dtype())
    }

    /// Makes the weight in effect the layer's own, and B 0. What is saved now gives the same outputs wherever it is loaded.
    ///
    /// # Errors
    /// No memory.
    #[track_caller]
    pub fn merge(&mut self) -> Result<()> {
        if self.merged.is_none() {
            let b = self.lora_b.tensor().copy()?;
            self.layer.weight().set(&self.weight().detach())?;
            self.lora_b.set(&b.zeros_like())?;
            self.merged = Some(b);
        }
        Ok(())
    }

    /// Takes `s B A` off the weight again, which is then what it was up to rounding; does nothing if it is not merged.
    ///
    /// # Errors
    /// No memory.
    #[track_caller]
    pub fn unmerge(&mut self) -> Result<()> {
        if let Some(b) = self.merged.take() {
            let weight = self.layer.weight().tensor().detach();
            let more = b.matmul(&self.lora_a.tensor().detach()) * self.scale;
            self.layer.weight().set(&(&weight - more).cast(weight.dtype()))?;
            self.lora_b.set(&b)?;
        }
        Ok(())
    }

    /// Whether it is merged.
    pub fn is_merged(&self) -> bool {
        self.merged.is_some()
    }
}

impl<L: Weighted> Weighted for Lora<L> {
    fn weight(&self) -> &Param {
        self.layer.weight()
    }

    #[track_caller]
    fn forward_with(&self, x: &Tensor, weight: &Tensor) -> Tensor {
        let y = self.layer.forward_with(x, weight);
        if self.is_merged() {
            return y;
        }
        let [a, b] = [&self.lora_a, &self.lora_b].map(|p| p.tensor().t());
        y + self.dropout.forward(x).matmul(&a).matmul(&b) * self.scale
    }
}

impl<S: LayerConfig<Layer: Weighted>> LoraConfig<S> {
    setters! {
        /// With `s = α / rank`.
        alpha: f64;
    }

    /// With this probability that what A sees is 0 in training.
    pub fn dropout(mut self, p: f64) -> Self {
        self.dropout = Dropout::new(p);
        self
    }

    /// Makes the layer inside, if it is not there yet, freezes it, and draws A as PyTorch draws the weight of a linear layer.
    ///
    /// # Errors
    /// Those of the layer; a weight that is no matrix; a rank of 0 or above what the weight has; a probability outside `[0, 1)`; no
    /// memory.
    #[track_caller]
    pub fn init(self, device: &Device, rng: &mut Rng) -> Result<Lora<S::Layer>> {
        let (layer, rank) = (self.layer.init(device, rng)?, self.rank);
        let weight = layer.weight().tensor();
        let &[outputs, inputs] = weight.shape() else {
            return Err(invalid("lora", format!("a weight of shape {:?}, not [out, in]", weight.shape())));
        };
        if rank == 0 || rank > inputs.min(outputs) {
            return Err(invalid("lora", format!("rank {rank} beside a weight of shape {:?}", weight.shape())));
        }
        layer.freeze(true);
        let of_dtype = |numbers: Tensor| Param::new(numbers.cast(weight.dtype()));
        let a = Tensor::from_slice(device, &Init::TORCH.draw(&[rank, inputs], rng)?, [rank, inputs]);
        Ok(Lora {
            layer,
            lora_a: of_dtype(a)?,
            lora_b: of_dtype(filled(device, 0.0, &[outputs, rank]))?,
            dropout: self.dropout.init(device, rng)?,
            scale: self.alpha / rank as f64,
            merged: None,
        })
    }
}
