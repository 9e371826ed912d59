//! Devices, draws and comparisons.

pub mod agree;
pub mod devices;
pub mod draw;
pub mod everything;
pub mod gradcheck;
pub mod graphs;
pub mod sources;
pub mod tol;
