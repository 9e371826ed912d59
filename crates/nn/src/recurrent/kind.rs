//! What the cells compute.

use thalweg_graph::Tensor;

/// A function of every element.
pub type Activation = fn(&Tensor) -> Tensor;

/// A kind of cell.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `h' = f(x̂ + ĥ)`.
    Rnn(Activation),
    /// `c' = σ(f) c + σ(i) tanh(g)`, `h' = σ(o) tanh(c')`.
    Lstm,
    /// `n = tanh(x̂_n + r ĥ_n)`, `h' = (1 - z) n + z h`.
    Gru,
}

impl Kind {
    /// What errors and launches call it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Rnn(_) => "rnn",
            Kind::Lstm => "lstm",
            Kind::Gru => "gru",
        }
    }

    /// How many blocks of rows its weights have, one for each gate.
    pub fn gates(self) -> usize {
        match self {
            Kind::Rnn(_) => 1,
            Kind::Lstm => 4,
            Kind::Gru => 3,
        }
    }

    /// How many tensors go from step to step; the first is h.
    pub fn carries(self) -> usize {
        if let Kind::Lstm = self { 2 } else { 1 }
    }

    /// Whether x̂ and ĥ are only ever added, so that both biases can be a part of x̂.
    pub fn adds(self) -> bool {
        !matches!(self, Kind::Gru)
    }

    /// What goes to the next step, from `x̂ = W_ih x + b_ih` and `ĥ = W_hh h + b_hh`; and what came of the product with h, which the
    /// gradient reads again.
    ///
    /// # Shapes
    /// x̂ and ĥ `[B, gates · H]`, carries `[B, H]` → the carries, and `[B, gates · H]`
    /// # Source
    /// Hochreiter & Schmidhuber 1997 with the forget gate of Gers et al. 2000; Cho et al. 2014, arXiv:1406.1078, with the reset gate
    /// behind the product, as cuDNN and PyTorch have it.
    #[track_caller]
    pub fn next(self, of_x: &Tensor, of_h: Tensor, carries: &[Tensor]) -> (Vec<Tensor>, Tensor) {
        let width = of_x.shape().last().map_or(0, |all| all / self.gates());
        let gate = |all: &Tensor, k: usize| all.narrow(-1, k * width, width);
        match self {
            Kind::Rnn(f) => {
                let sum = of_x + of_h;
                (vec![f(&sum)], sum)
            }
            Kind::Lstm => {
                let all = of_x + of_h;
                let [i, f, g, o] = [0, 1, 2, 3].map(|k| gate(&all, k));
                let c = f.sigmoid() * &carries[1] + i.sigmoid() * g.tanh();
                (vec![o.sigmoid() * c.tanh(), c], all)
            }
            Kind::Gru => {
                let h = &carries[0];
                let [r, z] = [0, 1].map(|k| (gate(of_x, k) + gate(&of_h, k)).sigmoid());
                let n = (gate(of_x, 2) + r * gate(&of_h, 2)).tanh();
                (vec![&n + z * (h - &n)], of_h)
            }
        }
    }
}
