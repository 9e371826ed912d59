//! Gradients against finite differences, in f64.

mod differences;
mod functional;
