//! What the backend and its plans have in common.

use std::sync::Arc;

use super::{
    context::{Context, add},
    pipelines::Pipelines,
    pool::Pool,
    transfer::Transfers,
};

/// An open device, with all that is kept for it.
pub(crate) struct Inner {
    pub context: Context,
    pub pool: Arc<Pool>,
    pub transfers: Transfers,
    pub pipelines: Pipelines,
}

impl Inner {
    /// Counts a submission.
    pub fn submit(&self, commands: wgpu::CommandBuffer) -> wgpu::SubmissionIndex {
        let index = self.context.queue.submit([commands]);
        self.transfers.submitted();
        add(&self.context.counters.submits, 1);
        index
    }
}
