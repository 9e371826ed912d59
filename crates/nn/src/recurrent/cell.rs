//! Single steps, for loops of one's own.

use thalweg_graph::{Device, ErrorKind, Module, Path, Result, Rng, Scope, Tensor, Visitor, VisitorMut};

use super::{
    kind::{Activation, Kind},
    state::{Carries, LstmState},
    weights::{Drawn, Weights},
};
use crate::{Init, init::invalid};

/// A cell: a kind, its parameters and their sizes.
#[derive(Clone, Debug)]
struct Cell {
    kind: Kind,
    inputs: usize,
    hidden: usize,
    weights: Weights,
}

impl Cell {
    #[track_caller]
    fn forward(&self, x: &Tensor, state: Option<Vec<Tensor>>) -> Vec<Tensor> {
        let _scope = Scope::composite(self.kind.name());
        match self.step(x, state) {
            Ok(next) => next,
            Err(failed) => vec![failed; self.kind.carries()],
        }
    }

    #[track_caller]
    fn step(&self, x: &Tensor, state: Option<Vec<Tensor>>) -> std::result::Result<Vec<Tensor>, Tensor> {
        let Cell { kind, inputs, hidden, ref weights } = *self;
        let op = kind.name();
        x.check().map_err(|_| x.clone())?;
        if !(1..=2).contains(&x.rank()) || x.shape()[x.rank() - 1] != inputs || !x.dtype().is_float() {
            let problem = format!("is not [batch, {inputs}] of floats");
            return Err(x.fail(op, ErrorKind::Shape { shape: x.shape().to_vec(), problem }));
        }
        let shape = [&x.shape()[..x.rank() - 1], &[hidden]].concat();
        let rows = if x.rank() == 1 { x.unsqueeze(0) } else { x.clone() };
        let of_x = weights.of_inputs(kind, &rows);
        let dtype = of_x.dtype();
        let carries: Vec<Tensor> = match state {
            None => vec![Tensor::full(x.device(), 0.0, [rows.shape()[0], hidden], dtype); kind.carries()],
            Some(state) => state
                .iter()
                .map(|state| {
                    state.check().map_err(|_| state.clone())?;
                    if state.shape() != shape {
                        let problem = format!("is no state of this cell for this input: {shape:?}");
                        return Err(state.fail(op, ErrorKind::Shape { shape: state.shape().to_vec(), problem }));
                    }
                    Ok(state.reshape([rows.shape()[0], hidden]).cast(dtype))
                })
                .collect::<std::result::Result<_, _>>()?,
        };
        let (next, _) = weights.step(kind, &of_x, &carries);
        Ok(next.iter().map(|next| next.reshape(&shape[..]).cast(x.dtype())).collect())
    }
}

macro_rules! cells {
    ($(
        $(#[$doc:meta])*
        $cell:ident, $config:ident, $state:ty, $kind:expr;
    )*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $cell(Cell);

        #[doc = concat!("How to make one of [`", stringify!($cell), "`].")]
        #[derive(Clone, Debug)]
        pub struct $config {
            kind: Kind,
            inputs: usize,
            drawn: Drawn,
        }

        impl $cell {
            /// From `inputs` numbers a step to a state of `hidden`, with biases.
            #[expect(clippy::new_ret_no_self, reason = "the cell exists once the weights are drawn")]
            pub fn new(inputs: usize, hidden: usize) -> $config {
                $config { kind: $kind, inputs, drawn: Drawn::new(hidden) }
            }

            /// One step: the next state, from one, or from zeros.
            ///
            /// # Shapes
            /// `[B, in]` or `[in]`, state `[B, H]` or `[H]` → the state
            /// # Errors
            /// Other shapes than these; no floats.
            #[track_caller]
            pub fn forward(&self, x: &Tensor, state: Option<&$state>) -> $state {
                Carries::of(self.0.forward(x, state.map(Carries::list)))
            }
        }

        impl $config {
            /// With or without biases.
            pub fn bias(mut self, bias: bool) -> Self {
                self.drawn.bias = bias;
                self
            }

            /// With the weights of the inputs drawn from this distribution, gate by gate.
            pub fn weights(mut self, weights: Init) -> Self {
                self.drawn.weights = Some(weights);
                self
            }

            /// With the weights of the state drawn from this distribution, gate by gate.
            pub fn recurrent_weights(mut self, weights: Init) -> Self {
                self.drawn.recurrent = Some(weights);
                self
            }

            /// Draws the weights; those that nothing is said about and the biases are uniform in `±1 / √hidden`, as in PyTorch.
            ///
            /// # Errors
            /// No inputs, no units; no memory.
            #[track_caller]
            pub fn init(self, device: &Device, rng: &mut Rng) -> Result<$cell> {
                let $config { kind, inputs, drawn } = self;
                let hidden = drawn.hidden;
                if [inputs, hidden].contains(&0) {
                    return Err(invalid(kind.name(), format!("{inputs} inputs and {hidden} hidden units")));
                }
                Ok($cell(Cell { kind, inputs, hidden, weights: drawn.weights(kind, inputs, device, rng)? }))
            }
        }

        impl Module for $cell {
            fn visit(&self, path: &Path, visitor: &mut dyn Visitor) {
                self.0.weights.visit(path, "", visitor);
            }

            fn visit_mut(&mut self, path: &Path, visitor: &mut dyn VisitorMut) {
                self.0.weights.visit_mut(path, "", visitor);
            }
        }
    )*};
}

cells! {
    /// One step of an [`Rnn`](crate::Rnn).
    ///
    /// # Shapes
    /// `weight_ih [H, in]`, `weight_hh [H, H]`, `bias_ih` and `bias_hh [H]`
    RnnCell, RnnCellConfig, Tensor, Kind::Rnn(Tensor::tanh);

    /// One step of an [`Lstm`](crate::Lstm).
    ///
    /// # Shapes
    /// `weight_ih [4 H, in]`, `weight_hh [4 H, H]`, `bias_ih` and `bias_hh [4 H]`
    LstmCell, LstmCellConfig, LstmState, Kind::Lstm;

    /// One step of a [`Gru`](crate::Gru).
    ///
    /// # Shapes
    /// `weight_ih [3 H, in]`, `weight_hh [3 H, H]`, `bias_ih` and `bias_hh [3 H]`
    GruCell, GruCellConfig, Tensor, Kind::Gru;
}

impl RnnCellConfig {
    /// With this function in place of tanh.
    pub fn activation(mut self, f: Activation) -> Self {
        self.kind = Kind::Rnn(f);
        self
    }
}

impl LstmCellConfig {
    /// With this sum of the forget gate's biases in place of draws.
    pub fn forget_bias(mut self, bias: f64) -> Self {
        self.drawn.forget_bias = Some(bias);
        self
    }
}
