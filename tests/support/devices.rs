//! The devices that tests compare.

use std::sync::OnceLock;

use thalweg_device::{DeviceExt, adapters};
use thalweg_graph::Device;

/// The reference executor.
pub fn strict() -> Device {
    Device::strict()
}

/// The fast CPU executor.
pub fn cpu() -> Device {
    Device::cpu().unwrap_or_else(|e| panic!("{e}"))
}

/// A GPU: what `THALWEG_DEVICE` names, else the best adapter, software Vulkan included. One for the whole test run, so that
/// kernels are compiled once.
///
/// # Panics
/// When there is none: such tests never pass without having run.
pub fn gpu() -> Device {
    static GPU: OnceLock<Device> = OnceLock::new();
    GPU.get_or_init(own_gpu).clone()
}

/// The same, opened for one test: what goes wrong on it, another test does not hear of, and its last step is the test's.
///
/// # Panics
/// As [`gpu`].
pub fn own_gpu() -> Device {
    let named = std::env::var("THALWEG_DEVICE").ok().filter(|n| n != "cpu" && n != "strict");
    let name = named.or_else(|| adapters().first().map(|a| a.name.clone()));
    let Some(name) = name else {
        panic!(
            "no Vulkan, Metal or DX12 adapter: on Debian and Ubuntu `apt-get install mesa-vulkan-drivers` brings a \
                 software one, or run `cargo xtask test`, which does it"
        );
    };
    Device::named(&name).unwrap_or_else(|e| panic!("{e}"))
}

/// The device of tests that need a GPU. Any adapter will do, software Vulkan included; none is a failure that says how to
/// get one.
#[macro_export]
macro_rules! test_gpu {
    () => {
        $crate::gpu()
    };
}
