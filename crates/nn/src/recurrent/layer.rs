//! The layers: stacks of one kind of cell.

use thalweg_graph::{Device, Module, Path, Result, Rng, Tensor, Visitor, VisitorMut};

use super::{
    kind::{Activation, Kind},
    stack::{Settings, Stack},
    state::{Carries, LstmState},
};
use crate::Init;

/// A layer, its settings and what it does: the same for every kind but for its equations and its state.
macro_rules! layers {
    ($(
        $(#[$doc:meta])*
        $layer:ident, $config:ident, $state:ty, $kind:expr;
    )*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $layer(Stack);

        #[doc = concat!("How to make one of [`", stringify!($layer), "`].")]
        #[derive(Clone, Debug)]
        pub struct $config(Settings);

        impl $layer {
            /// From `inputs` numbers a step to a state of `hidden`: one layer, forwards, with biases, the axis of time first.
            #[expect(clippy::new_ret_no_self, reason = "the layer exists once the weights are drawn")]
            pub fn new(inputs: usize, hidden: usize) -> $config {
                $config(Settings::new($kind, inputs, hidden))
            }

            /// Walks over sequences of equal length, from a state, or from zeros. Gives what the last layer gave at every step, with
            /// both directions in one row, and the state that each layer and direction ended with.
            ///
            /// # Shapes
            /// `[T, B, in]` → `[T, B, directions · P]`, with `batch_first` `[B, T, ..]`, of one sequence `[T, ..]`; states
            /// `[layers · directions, B, width]`, of one sequence without B. P is the width of h
            /// # Errors
            /// Other shapes than these; no floats.
            #[track_caller]
            pub fn forward(&self, x: &Tensor, state: Option<&$state>) -> (Tensor, $state) {
                let (y, end) = self.0.run(x, None, state.map(Carries::list));
                (y, Carries::of(end))
            }

            /// Walks over sequences of different lengths, filled up behind: what stands there has no say. The rows behind a sequence
            /// are 0, its last state is that of its last step, and the other direction starts at that step. A sequence without a
            /// step ends as it starts.
            ///
            /// # Shapes
            /// As [`Self::forward`]; lengths `[B]`, whole numbers in any order
            /// # Errors
            /// As [`Self::forward`]; not one length for each sequence.
            #[track_caller]
            #[doc(alias = "pack_padded_sequence")]
            pub fn forward_packed(&self, x: &Tensor, lengths: &Tensor, state: Option<&$state>) -> (Tensor, $state) {
                let (y, end) = self.0.run(x, Some(lengths), state.map(Carries::list));
                (y, Carries::of(end))
            }
        }

        impl $config {
            /// As many layers on one another.
            #[doc(alias = "num_layers")]
            pub fn layers(mut self, layers: usize) -> Self {
                self.0.layers = layers;
                self
            }

            /// Whether each layer walks backwards too, with weights of its own.
            pub fn bidirectional(mut self, bidirectional: bool) -> Self {
                self.0.bidirectional = bidirectional;
                self
            }

            /// With or without biases.
            pub fn bias(mut self, bias: bool) -> Self {
                self.0.drawn.bias = bias;
                self
            }

            /// Whether the axis of samples comes before that of time. In states it stays behind the layers.
            pub fn batch_first(mut self, batch_first: bool) -> Self {
                self.0.batch_first = batch_first;
                self
            }

            /// With this probability that a number between two layers is 0 in training.
            pub fn dropout(mut self, p: f64) -> Self {
                self.0.dropout = p;
                self
            }

            /// With the weights of the inputs drawn from this distribution, gate by gate.
            pub fn weights(mut self, weights: Init) -> Self {
                self.0.drawn.weights = Some(weights);
                self
            }

            /// With the weights of the state drawn from this distribution, gate by gate: orthogonal, say.
            pub fn recurrent_weights(mut self, weights: Init) -> Self {
                self.0.drawn.recurrent = Some(weights);
                self
            }

            /// Draws the weights; those that nothing is said about and the biases are uniform in `±1 / √hidden`, as in PyTorch.
            ///
            /// # Errors
            /// No inputs, no units, no layers; a projection that is no narrower; a probability outside `[0, 1)`; no memory.
            #[track_caller]
            pub fn init(self, device: &Device, rng: &mut Rng) -> Result<$layer> {
                self.0.init(device, rng).map($layer)
            }
        }

        impl Module for $layer {
            fn visit(&self, path: &Path, visitor: &mut dyn Visitor) {
                self.0.visit(path, visitor);
            }

            fn visit_mut(&mut self, path: &Path, visitor: &mut dyn VisitorMut) {
                self.0.visit_mut(path, visitor);
            }
        }
    )*};
}

layers! {
    /// The plain recurrent layer: `h_t = f(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)` with `f = tanh`.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use thalweg_cpu::FastCpu;
    /// # use thalweg_graph::{Device, Rng, Tensor};
    /// use thalweg_nn::Rnn;
    ///
    /// # let (device, rng) = (Device::new(Arc::new(FastCpu::new()?)), &mut Rng::seed(0));
    /// let rnn = Rnn::new(7, 32).activation(Tensor::relu).layers(2).init(&device, rng)?;
    /// let (y, h) = rnn.forward(&Tensor::ones(&device, [100, 16, 7]), None);
    /// assert_eq!((y.shape(), h.shape()), (&[100, 16, 32][..], &[2, 16, 32][..]));
    /// # Ok::<(), thalweg_graph::Error>(())
    /// ```
    ///
    /// # Shapes
    /// `weight_ih_l0 [H, in]`, `weight_hh_l0 [H, H]`, `bias_ih_l0` and `bias_hh_l0 [H]`; of the next layer `_l1` with `in` the width
    /// of the one below, backwards with `_reverse` behind
    /// # Source
    /// Elman 1990, "Finding structure in time".
    Rnn, RnnConfig, Tensor, Kind::Rnn(Tensor::tanh);

    /// Long short-term memory: with `i, f, g, o = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh`,
    /// `c_t = σ(f) c_{t-1} + σ(i) tanh(g)` and `h_t = σ(o) tanh(c_t)`, which [`LstmConfig::projection`] makes narrower.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use thalweg_cpu::FastCpu;
    /// # use thalweg_graph::{Device, Rng, Tensor};
    /// use thalweg_nn::Lstm;
    ///
    /// # let (device, rng) = (Device::new(Arc::new(FastCpu::new()?)), &mut Rng::seed(0));
    /// let lstm = Lstm::new(7, 32).layers(2).bidirectional(true).batch_first(true).init(&device, rng)?;
    /// let (y, state) = lstm.forward(&Tensor::ones(&device, [16, 100, 7]), None);
    /// assert_eq!(y.shape(), [16, 100, 64]);
    /// // The next stretch goes on from there, and its gradient does not come back here.
    /// let (y, _) = lstm.forward(&Tensor::ones(&device, [16, 20, 7]), Some(&state.detach()));
    /// # assert_eq!(y.shape(), [16, 20, 64]);
    /// # Ok::<(), thalweg_graph::Error>(())
    /// ```
    ///
    /// # Shapes
    /// `weight_ih_l0 [4 H, in]`, `weight_hh_l0 [4 H, P]`, `bias_ih_l0` and `bias_hh_l0 [4 H]`, `weight_hr_l0 [P, H]`; other layers and
    /// the way back as in [`Rnn`]
    /// # Source
    /// Hochreiter & Schmidhuber 1997, "Long short-term memory"; projection: Sak et al. 2014, arXiv:1402.1128.
    Lstm, LstmConfig, LstmState, Kind::Lstm;

    /// Gated recurrent units: `r, z = σ(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)`,
    /// `n = tanh(W_in x_t + b_in + r (W_hn h_{t-1} + b_hn))`, `h_t = (1 - z) n + z h_{t-1}`.
    ///
    /// # Shapes
    /// `weight_ih_l0 [3 H, in]`, `weight_hh_l0 [3 H, H]`, `bias_ih_l0` and `bias_hh_l0 [3 H]`, rows of r, z, n; other layers and the way
    /// back as in [`Rnn`]
    /// # Source
    /// Cho et al. 2014, arXiv:1406.1078, with the reset gate behind the product.
    Gru, GruConfig, Tensor, Kind::Gru;
}

impl RnnConfig {
    /// With this function in place of tanh.
    pub fn activation(mut self, f: Activation) -> Self {
        self.0.kind = Kind::Rnn(f);
        self
    }
}

impl LstmConfig {
    /// With h projected to this width, below that of the cells.
    #[doc(alias = "proj_size")]
    pub fn projection(mut self, width: usize) -> Self {
        self.0.drawn.projection = width;
        self
    }

    /// With this sum of the forget gate's biases in place of draws: 1 has cells remember at first.
    ///
    /// # Source
    /// Jozefowicz et al. 2015, "An empirical exploration of recurrent network architectures".
    pub fn forget_bias(mut self, bias: f64) -> Self {
        self.0.drawn.forget_bias = Some(bias);
        self
    }
}
