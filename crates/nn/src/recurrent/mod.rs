//! Recurrent layers: the step of a cell, recorded once and walked over a sequence.
//!
//! ```text
//!            every time step at once        step by step                 one layer up
//! x [T,B,I] ──── W_ih x + b ────▶ [T,B,G·H] ── scan(h, c) ──▶ y [T,B,H] ── dropout ──▶ ..
//! ```
//!
//! What the inputs give to the gates is one product for all steps, so a step is a product with the state and one sweep over the gates.
//! The step is planned once, whatever the length.

mod attend;
mod cell;
mod hierarchical;
mod kind;
mod layer;
mod stack;
mod state;
mod weights;

pub use self::{
    attend::{AttentionPool, AttentionPoolConfig},
    cell::{GruCell, GruCellConfig, LstmCell, LstmCellConfig, RnnCell, RnnCellConfig},
    hierarchical::{HierarchicalRnn, HierarchicalRnnConfig},
    layer::{Gru, GruConfig, Lstm, LstmConfig, Rnn, RnnConfig},
    state::LstmState,
};
