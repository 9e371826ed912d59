//! Kernel templates: pure functions from a launch to WGSL text, bindings, grid and words.

pub mod body;
mod caps;
pub mod contract;
pub mod custom;
mod fields;
mod form;
pub mod kernel;
pub mod kind;
pub mod nest;
pub mod normalise;
pub mod ops;
pub mod params;
pub mod point;
pub mod reduce;
pub mod segments;
pub mod shape;
pub mod window;

pub use caps::Caps;

use kernel::Kernel;
use thalweg_ir::{
    Primitive, Result,
    schedule::ir::{BufferSpec, LaunchKind},
};

/// The kernels of a launch, in order.
///
/// # Errors
/// What no kernel can do, with the launch's label: a reduction too long for one workgroup.
pub fn kernels(kind: &LaunchKind, buffers: &[BufferSpec], caps: &Caps) -> Result<Vec<Kernel>> {
    match kind {
        LaunchKind::Whole(whole) => Ok(match &whole.op {
            Primitive::Segments(of) => segments::kernels(of, whole, buffers, caps),
            Primitive::Custom(op) => vec![custom::kernel(op, whole, buffers, caps)],
            Primitive::Scan(_) => unreachable!("a schedule has its steps"),
        }),
        LaunchKind::Repeat(_) => unreachable!("its launches have kernels, not it"),
        LaunchKind::Loop(l) => Ok(vec![nest::kernel(l, buffers, caps)?]),
        LaunchKind::Contract(c) => match contract::kernels(c, buffers, caps) {
            Some(kernels) => Ok(kernels),
            None => Ok(vec![nest::kernel(&c.as_loop(), buffers, caps)?]),
        },
    }
}
