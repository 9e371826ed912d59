//! What goes from one stretch of a sequence to the next.

use thalweg_graph::Tensor;

/// The state of an LSTM.
///
/// A long sequence is trained on stretch by stretch: what one ends with starts the next, [detached](LstmState::detach), so that
/// gradients end there.
///
/// # Shapes
/// Of a layer `h [layers · directions, B, P]`, `c [layers · directions, B, H]`, of a cell `[B, H]` each
#[derive(Clone, Debug)]
pub struct LstmState {
    /// What it gave.
    pub h: Tensor,
    /// The cells.
    pub c: Tensor,
}

impl LstmState {
    /// The same numbers, through which no gradient passes.
    #[track_caller]
    pub fn detach(&self) -> LstmState {
        LstmState { h: self.h.detach(), c: self.c.detach() }
    }
}

/// A state as a list, h first.
pub trait Carries {
    fn list(&self) -> Vec<Tensor>;
    fn of(list: Vec<Tensor>) -> Self;
}

impl Carries for Tensor {
    fn list(&self) -> Vec<Tensor> {
        vec![self.clone()]
    }

    fn of(mut list: Vec<Tensor>) -> Tensor {
        list.remove(0)
    }
}

impl Carries for LstmState {
    fn list(&self) -> Vec<Tensor> {
        vec![self.h.clone(), self.c.clone()]
    }

    fn of(mut list: Vec<Tensor>) -> LstmState {
        LstmState { h: list.remove(0), c: list.remove(0) }
    }
}
