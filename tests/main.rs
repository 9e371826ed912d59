//! The integration tests, one binary.
#![allow(missing_docs)]

mod autodiff;
mod ops;
