//! The devices that tests compare.

use std::sync::Arc;

use thalweg_cpu::StrictCpu;
use thalweg_graph::Device;

/// The reference executor.
pub fn strict() -> Device {
    Device::new(Arc::new(StrictCpu::new()))
}

/// The fast CPU executor.
pub fn cpu() -> Device {
    strict()
}
