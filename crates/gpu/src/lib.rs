//! Thalweg's device abstraction over wgpu: profile, kernel templates, runtime.
//!
//! The only crate that knows wgpu. [`templates`] turn launches of a [`thalweg_graph::schedule::ir::Schedule`] into
//! kernels: text, bindings, grid and run-time words, without a device.

pub mod templates;
