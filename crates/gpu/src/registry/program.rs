//! The kernels that a program would run on a device that need not be here.

use thalweg_ir::{
    Result,
    program::Program,
    schedule::{
        self, Options,
        ir::{BufferSpec, Launch, LaunchKind},
    },
};

use crate::templates::{Caps, kernel::Kernel, kernels};

/// A launch and its kernels, in order.
pub struct Listed {
    /// What is computed.
    pub title: String,
    /// How often: of a step of a scan the number of steps.
    pub times: usize,
    /// In the order in which they run.
    pub kernels: Vec<Kernel>,
}

/// The launches of a program on a device of these capabilities, in order.
///
/// # Errors
/// As those of a plan.
pub fn listed(program: &Program, caps: &Caps) -> Result<Vec<Listed>> {
    let options = Options {
        max_buffers: caps.max_buffers(),
        max_binding_bytes: caps.max_binding,
        composed: false,
        laid_out: false,
    };
    let schedule = schedule::build(program, &options)?;
    let mut list = Vec::new();
    add(&schedule.launches, &schedule.buffers, caps, 1, &mut list)?;
    Ok(list)
}

fn add(launches: &[Launch], buffers: &[BufferSpec], caps: &Caps, times: usize, to: &mut Vec<Listed>) -> Result<()> {
    for launch in launches {
        if let LaunchKind::Repeat(repeat) = &launch.work.code.kind {
            add(&launch.work.steps().0, buffers, caps, times * repeat.times, to)?;
            continue;
        }
        let kernels = kernels(&launch.work.kind(), buffers, caps)?;
        to.push(Listed { title: launch.title.to_string(), times, kernels });
    }
    Ok(())
}
