//! What a device must be able to do.

use std::{fmt, future::Future, pin::Pin, time::Instant};

use crate::{
    error::Error,
    program::{Bindings, Program},
    span::Span,
    storage::{Region, Storage},
};

/// What a device is and what it can do.
#[derive(Clone, Debug)]
pub struct Properties {
    /// Name as the driver gives it, or `cpu`.
    pub name: String,
    /// `cpu`, `strict`, `vulkan`, `metal`, `dx12`.
    pub api: &'static str,
    /// Whether it is a GPU in hardware.
    pub hardware: bool,
    /// Whether f16 storage is native (otherwise it is packed two to a word).
    pub native_f16: bool,
    /// Whether mixed precision is faster than f32 here.
    pub mixed_gains: bool,
    /// Whether F64 tensors are possible.
    pub f64: bool,
    /// Largest number of buffers one launch may use.
    pub max_buffers: usize,
    /// Bytes of a buffer above which it counts as several of a launch's buffers.
    pub max_binding_bytes: u64,
    /// Bytes that one tensor may take.
    pub max_tensor_bytes: u64,
    /// Bytes of memory, where known.
    pub memory_bytes: Option<u64>,
    /// Whether launches run a [`crate::schedule::ir::Schedule`] (false: the strict executor).
    pub scheduled: bool,
}

/// Counts since the device was opened, and bytes now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Runs of plans.
    pub runs: u64,
    /// Launches.
    pub launches: u64,
    /// Submissions to the device's queue.
    pub submits: u64,
    /// Blocking waits for the device.
    pub waits: u64,
    /// Buffers mapped for reading.
    pub maps: u64,
    /// Plans built.
    pub plans_built: u64,
    /// Nodes of pieces of long programs that were planned: what a program has in common with one before is not planned again.
    pub nodes_grouped: u64,
    /// Distinct kernels compiled.
    pub kernels: u64,
    /// Bytes allocated on the device now, pools included.
    pub device_bytes: u64,
}

/// What a plan costs, for printing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlanReport {
    /// Launches in one run.
    pub launches: usize,
    /// Distinct kernels among them.
    pub kernels: usize,
    /// Bytes of the activation pool that the plan needs.
    pub planned_bytes: u64,
}

/// A pending read.
pub type ReadFuture = Pin<Box<dyn Future<Output = Result<Vec<u8>, Error>> + Send>>;

/// A device. Runs are queued in call order; nothing waits but `read`, `synchronize` and a step for the step two before.
pub trait Backend: Send + Sync + fmt::Debug {
    /// What it is.
    fn properties(&self) -> &Properties;
    /// A buffer with these bytes (elements as stored: little-endian, Bool as u32).
    fn upload(&self, bytes: &[u8]) -> Result<Storage, Error>;
    /// A buffer of zeros.
    fn allocate(&self, size_bytes: usize) -> Result<Storage, Error>;
    /// The bytes of a region, after all that was queued before.
    fn read(&self, region: &Region) -> Result<Vec<u8>, Error>;
    /// The same, without waiting.
    fn read_async(&self, region: &Region) -> ReadFuture;
    /// Queues copies, each of one region's elements to another of the same length and dtype. No two of them overlap.
    fn copy(&self, copies: &[(Region, Region)]) -> Result<(), Error>;
    /// Queues a program with what this run binds to it; gives a region for each output.
    fn run(&self, program: &Program, bindings: &Bindings) -> Result<Vec<Region>, Error>;
    /// Runs a program as [`Backend::run`] does, waits for it, and adds a span for each of its launches; here one for all, for devices
    /// that cannot tell them apart.
    fn run_timed(&self, program: &Program, bindings: &Bindings, spans: &mut Vec<Span>) -> Result<Vec<Region>, Error> {
        let start = Instant::now();
        let regions = self.run(program, bindings)?;
        self.synchronize()?;
        spans.push(Span::whole(program, start));
        Ok(regions)
    }
    /// Waits for all that was queued, and reports what went wrong on the device.
    fn synchronize(&self) -> Result<(), Error>;
    /// Counts and bytes.
    fn stats(&self) -> Stats;
    /// What the most recent training step's plan costs.
    fn last_step(&self) -> Option<PlanReport>;
}
