//! wgpu: devices, memory, pipelines, plans.

mod adapter;
mod ahead;
mod backend;
mod compiler;
mod context;
mod inner;
mod lower;
mod pipelines;
mod plan;
mod pool;
mod probe;
mod shared;
mod step;
mod timestamps;
mod transfer;

pub use adapter::{AdapterInfo, Selector, adapters};
pub use backend::GpuBackend;
