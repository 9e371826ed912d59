//! When the launches of a submission began and ended, by the device's own clock.

use std::{ops::Range, time::Duration};

use thalweg_ir::{Error, ErrorKind, Result};
use wgpu::{
    Buffer, BufferDescriptor, BufferUsages, CommandEncoder, ComputePassTimestampWrites, Features, MapMode, QuerySet,
    QuerySetDescriptor, QueryType,
};

use super::context::Context;

/// Bytes of a timestamp.
const EACH: u64 = wgpu::QUERY_SIZE as u64;

/// Two timestamps for each of a submission's launches.
pub(crate) struct Timestamps {
    set: QuerySet,
    count: u32,
    /// Where the device writes them, and where the host reads them.
    resolved: Buffer,
    read: Buffer,
}

impl Timestamps {
    /// Launches that one submission can time.
    pub const LAUNCHES: usize = wgpu::QUERY_SET_MAX_QUERIES as usize / 2;

    /// Whether the device has any.
    pub fn exist(context: &Context) -> bool {
        context.device.features().contains(Features::TIMESTAMP_QUERY)
    }

    /// For so many launches, if the device has any.
    pub fn new(context: &Context, launches: usize) -> Option<Timestamps> {
        let count = 2 * launches as u32;
        let label = Some("timestamps");
        let set = Timestamps::exist(context)
            .then(|| context.device.create_query_set(&QuerySetDescriptor { label, ty: QueryType::Timestamp, count }))?;
        let buffer = |usage| {
            let size = u64::from(count) * EACH;
            context.device.create_buffer(&BufferDescriptor { label, size, usage, mapped_at_creation: false })
        };
        let resolved = buffer(BufferUsages::QUERY_RESOLVE | BufferUsages::COPY_SRC);
        let read = buffer(BufferUsages::COPY_DST | BufferUsages::MAP_READ);
        Some(Timestamps { set, count, resolved, read })
    }

    /// For the pass of a launch.
    pub fn of(&self, launch: usize) -> ComputePassTimestampWrites<'_> {
        ComputePassTimestampWrites { end_of_pass_write_index: Some(2 * launch as u32 + 1), ..self.begin(launch) }
    }

    /// For an empty pass in front of what is no pass.
    pub fn begin(&self, launch: usize) -> ComputePassTimestampWrites<'_> {
        let beginning_of_pass_write_index = Some(2 * launch as u32);
        ComputePassTimestampWrites {
            query_set: &self.set,
            beginning_of_pass_write_index,
            end_of_pass_write_index: None,
        }
    }

    /// For an empty pass behind it.
    pub fn end(&self, launch: usize) -> ComputePassTimestampWrites<'_> {
        ComputePassTimestampWrites { beginning_of_pass_write_index: None, ..self.of(launch) }
    }

    /// Has them written where the host can read them.
    pub fn resolve(&self, encoder: &mut CommandEncoder) {
        encoder.resolve_query_set(&self.set, 0..self.count, &self.resolved, 0);
        encoder.copy_buffer_to_buffer(&self.resolved, 0, &self.read, 0, u64::from(self.count) * EACH);
    }

    /// When each launch ran, counted from the beginning of the first. Waits.
    ///
    /// # Errors
    /// What went wrong on the device.
    pub fn read(&self, context: &Context) -> Result<Vec<Range<Duration>>> {
        self.read.map_async(MapMode::Read, .., |_| {});
        context.wait("profile", None)?;
        let failed = |e: wgpu::MapRangeError| Error::new("profile", ErrorKind::Device(format!("mapping failed: {e}")));
        let view = self.read.get_mapped_range(..).map_err(failed)?;
        let ticks: Vec<u64> =
            view.chunks_exact(EACH as usize).map(|b| b.iter().rev().fold(0, |t, b| t << 8 | u64::from(*b))).collect();
        drop(view);
        self.read.unmap();
        let (first, ns) = (ticks.first().copied().unwrap_or(0), f64::from(context.queue.get_timestamp_period()));
        let at = |tick: u64| Duration::from_nanos((tick.saturating_sub(first) as f64 * ns) as u64);
        Ok(ticks.chunks_exact(2).map(|pair| at(pair[0])..at(pair[1].max(pair[0]))).collect())
    }
}
