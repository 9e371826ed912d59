//! wgpu: devices, memory, pipelines, plans.

mod adapter;
mod backend;
mod context;
mod pipelines;
mod plan;
mod pool;
mod probe;
mod transfer;

pub use adapter::{AdapterInfo, Selector, adapters};
pub use backend::GpuBackend;
