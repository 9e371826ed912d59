//! Choosing a Thalweg device: an extension trait above the CPU executors and the GPU backend.
//!
//! ```
//! use thalweg_device::DeviceExt;
//! use thalweg_graph::{Device, Tensor};
//!
//! let device = Device::cpu()?;
//! let x = Tensor::from_slice(&device, &[1.0f32, 2.0], [2]);
//! assert_eq!((&x + &x).to_vec::<f32>()?, [2.0, 4.0]);
//! assert!(Device::named("a device that is not there").is_err());
//! # Ok::<(), thalweg_graph::Error>(())
//! ```

mod select;
mod verify;

use std::{panic::Location, sync::Arc};

use select::{Choice, choose};
use thalweg_cpu::{FastCpu, StrictCpu};
pub use thalweg_gpu::{AdapterInfo, adapters};
use thalweg_gpu::{GpuBackend, Selector};
use thalweg_graph::{Device, Result, Settings};
pub use verify::{Disagreement, Verdict, verify};

/// Opens devices. Every call opens one of its own, and tensors of two devices do not mix: open once, and clone the handle.
pub trait DeviceExt: Sized {
    /// What `THALWEG_DEVICE` names, else the best GPU (discrete, integrated, virtual), else the CPU. Software Vulkan is taken
    /// only when named.
    ///
    /// # Errors
    /// [`thalweg_graph::ErrorKind::NoDevice`] when the variable names none; a variable of the environment that means nothing; what went
    /// wrong opening the GPU.
    fn best() -> Result<Self>;

    /// The best GPU in hardware.
    ///
    /// # Errors
    /// [`thalweg_graph::ErrorKind::NoDevice`], with what there is.
    fn gpu() -> Result<Self>;

    /// The fast CPU executor, on all cores or as many threads as `THALWEG_THREADS` says.
    ///
    /// # Errors
    /// A variable of the environment that means nothing; threads that cannot start.
    fn cpu() -> Result<Self>;

    /// The strict CPU executor: plain loops that define every op, in f32 and f64.
    fn strict() -> Self;

    /// `best`, `cpu`, `strict`, `gpu`, `gpu:1`, `lavapipe`, or part of an adapter's name in any case.
    ///
    /// # Errors
    /// [`thalweg_graph::ErrorKind::NoDevice`], with what there is.
    fn named(name: &str) -> Result<Self>;
}

impl DeviceExt for Device {
    #[track_caller]
    fn best() -> Result<Device> {
        Device::named(Settings::get().checked()?.device.as_deref().unwrap_or("best"))
    }

    #[track_caller]
    fn gpu() -> Result<Device> {
        Device::named("gpu")
    }

    #[track_caller]
    fn cpu() -> Result<Device> {
        let caller = Location::caller();
        Ok(Device::new(Arc::new(FastCpu::new().map_err(|error| error.seen_at(caller))?)))
    }

    fn strict() -> Device {
        Device::new(Arc::new(StrictCpu::new()))
    }

    #[track_caller]
    fn named(name: &str) -> Result<Device> {
        let caller = Location::caller();
        // The CPU needs no driver: asking the system for adapters costs milliseconds.
        let adapters = if matches!(name, "cpu" | "strict") { Vec::new() } else { adapters() };
        let device = match choose(name, &adapters)? {
            Choice::Cpu => Device::cpu()?,
            Choice::Strict => Device::strict(),
            Choice::Adapter(index) => {
                let gpu = GpuBackend::open(&Selector::Index(index)).map_err(|error| error.seen_at(caller));
                Device::new(Arc::new(gpu?))
            }
        };
        log::info!("device: {device}");
        Ok(device)
    }
}
