//! Choosing a Thalweg device: an extension trait above the CPU executors and the GPU backend.

mod select;

pub use select::{Adapter, Kind};
