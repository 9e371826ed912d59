//! What every example asks of the command line.

use anyhow::Result;
use thalweg::{prelude::*, train};

/// Where and how to compute, and with which numbers.
#[derive(clap::Args, Clone, Debug)]
pub struct Common {
    /// best, cpu, gpu, gpu:1, lavapipe, or part of an adapter's name; else THALWEG_DEVICE, else the best.
    #[arg(long)]
    device: Option<String>,
    /// auto, f32, mixed-f16 or mixed-bf16.
    #[arg(long, default_value = "auto")]
    precision: Precision,
    /// Seed of weights, order and noise.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

impl Common {
    /// The device that was asked for, which is told.
    pub fn device(&self) -> Result<Device> {
        let device = match &self.device {
            Some(name) => Device::named(name)?,
            None => Device::best()?,
        };
        let device = device.with_precision(self.precision);
        println!("device: {device}, {}", train::precision(&device));
        Ok(device)
    }
}
