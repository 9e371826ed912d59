//! Weights of others.

mod torch;
