//! What the layers have in common: their settings, and their residual connections.

use thalweg_graph::{Device, Result, Rng, Tensor};

use crate::{Dropout, LayerNorm, Linear, MultiheadAttention, init::invalid};

/// What layers of encoders and decoders are made from, with PyTorch's defaults.
#[derive(Clone, Debug)]
pub struct Settings {
    pub width: usize,
    pub heads: usize,
    pub feedforward: usize,
    pub dropout: f64,
    pub activation: fn(&Tensor) -> Tensor,
    pub eps: f64,
    pub norm_first: bool,
    pub bias: bool,
    pub causal: bool,
}

/// The methods that change them, of configurations that hold them as `settings`.
macro_rules! settings {
    ($config:ty) => {
        impl $config {
            /// With a feed-forward net of this width; 2048 if nothing is said.
            #[doc(alias = "dim_feedforward")]
            pub fn feedforward(mut self, width: usize) -> Self {
                self.settings.feedforward = width;
                self
            }

            /// With this probability that a number behind a sublayer, inside the feed-forward net or among the weights of attention
            /// is 0 in training; 0.1 if nothing is said.
            pub fn dropout(mut self, p: f64) -> Self {
                self.settings.dropout = p;
                self
            }

            /// With this function in the feed-forward net: `Tensor::gelu`, say; relu if nothing is said.
            pub fn activation(mut self, f: fn(&Tensor) -> Tensor) -> Self {
                self.settings.activation = f;
                self
            }

            /// With this number added to the variances of normalisations; 1e-5 if nothing is said.
            #[doc(alias = "layer_norm_eps")]
            pub fn eps(mut self, eps: f64) -> Self {
                self.settings.eps = eps;
                self
            }

            /// Whether sublayers normalise what they read, `x + f(norm(x))`, and not what comes out, `norm(x + f(x))`.
            pub fn norm_first(mut self, norm_first: bool) -> Self {
                self.settings.norm_first = norm_first;
                self
            }

            /// With or without biases, also those of normalisations.
            pub fn bias(mut self, bias: bool) -> Self {
                self.settings.bias = bias;
                self
            }

            /// Whether position i of what attends to itself sees the positions 0 to i alone.
            pub fn causal(mut self, causal: bool) -> Self {
                self.settings.causal = causal;
                self
            }
        }
    };
}
pub(super) use settings;

impl Settings {
    pub fn new(width: usize, heads: usize) -> Settings {
        Settings {
            width,
            heads,
            feedforward: 2048,
            dropout: 0.1,
            activation: Tensor::relu,
            eps: 1e-5,
            norm_first: false,
            bias: true,
            causal: false,
        }
    }

    #[track_caller]
    pub fn check(&self, op: &'static str) -> Result<()> {
        let Settings { width, heads, feedforward, .. } = self;
        if [*width, *heads, *feedforward].contains(&0) || !width.is_multiple_of(*heads) {
            let problem = format!("vectors of {width} in {heads} heads, and a feed-forward net of {feedforward}");
            return Err(invalid(op, problem));
        }
        Ok(())
    }

    #[track_caller]
    pub fn attention(&self, causal: bool, device: &Device, rng: &mut Rng) -> Result<MultiheadAttention> {
        let attention = MultiheadAttention::new(self.width, self.heads).bias(self.bias).dropout(self.dropout);
        attention.causal(causal).init(device, rng)
    }

    #[track_caller]
    pub fn linear(&self, inputs: usize, outputs: usize, device: &Device, rng: &mut Rng) -> Result<Linear> {
        Linear::new(inputs, outputs).bias(self.bias).init(device, rng)
    }

    #[track_caller]
    pub fn norm(&self, device: &Device, rng: &mut Rng) -> Result<LayerNorm> {
        LayerNorm::new([self.width]).eps(self.eps).bias(self.bias).init(device, rng)
    }

    #[track_caller]
    pub fn drop(&self, device: &Device, rng: &mut Rng) -> Result<Dropout> {
        Dropout::new(self.dropout).init(device, rng)
    }
}

/// A sublayer f with its residual connection: `x + f(norm(x))`, or `norm(x + f(x))`.
#[track_caller]
pub fn residual(x: &Tensor, norm: &LayerNorm, norm_first: bool, f: impl Fn(&Tensor) -> Tensor) -> Tensor {
    match norm_first {
        true => x + f(&norm.forward(x)),
        false => norm.forward(&(x + f(x))),
    }
}
