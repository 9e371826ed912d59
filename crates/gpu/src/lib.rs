//! Thalweg's device abstraction over wgpu: profile, kernel templates, runtime.
//!
//! The only crate that knows wgpu. [`templates`] turn launches of a [`thalweg_ir::schedule::ir::Schedule`] into
//! kernels: text, bindings, grid and run-time words, without a device. [`GpuBackend`] compiles and runs them.
//!
//! ```no_run
//! # fn main() -> thalweg_ir::Result<()> {
//! for adapter in thalweg_gpu::adapters() {
//!     println!("{adapter}");
//! }
//! let backend = thalweg_gpu::GpuBackend::open(&thalweg_gpu::Selector::Best)?;
//! # let _ = backend; Ok(()) }
//! ```

pub mod registry;
mod runtime;
pub mod templates;

pub use runtime::{AdapterInfo, GpuBackend, Selector, adapters};
pub use thalweg_ir::settings::Limits;
