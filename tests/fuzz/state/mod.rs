//! Random sequences of actions on small modules, against an eager model of what each must mean.
//!
//! `model/` is `docs/semantics.md` as a program: variables, versions, optimizers and modes over `Vec<f64>`. A program (`actions.rs`) is run on a
//! device and on the model at the same time; after each action both must show the same values (to what f32 rounds) or the same kind of
//! error, and whatever is still held at the end must show what it showed, or say that it is stale.
//!
//! Numbers stay small and smooth: no division, no kinks, few steps with small rates. A program whose variables grow is left.

mod actions;
mod draw;
mod model;
mod print;
mod real;
mod run;
mod series;
mod shrink;

pub use series::Series;
