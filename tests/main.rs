//! The integration tests, one binary.
#![allow(missing_docs)]

mod agreement;
mod autodiff;
mod nn;
mod ops;
mod optim;
mod regression;
mod state;
mod training;
mod weights;
