//! wgpu: devices, memory, pipelines, plans.

mod adapter;
mod ahead;
mod backend;
mod context;
mod limits;
mod pipelines;
mod plan;
mod pool;
mod probe;
mod timestamps;
mod transfer;

pub use adapter::{AdapterInfo, Selector, adapters};
pub use backend::GpuBackend;
pub use limits::Limits;
