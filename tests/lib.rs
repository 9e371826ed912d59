//! What the integration tests share: devices, random arrays, the table of op cases, and the two comparisons
//! (finite differences against gradients, one device against another).

pub mod cases;
pub mod fuzz;
mod support;

pub use cases::Case;
pub use support::{
    agree::assert_agree,
    devices::{cpu, gpu, own_gpu, strict},
    draw::{Draw, Seed},
    everything::Everything,
    gradcheck::{check_gradient, check_second},
    graphs::random_graph,
    sources,
    tol::Tol,
};
