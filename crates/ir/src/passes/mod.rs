//! Passes from graph to graph. Each is a function of its own file; they run in this order:
//! [`autocast`], [`split`], [`join`].

pub mod autocast;
mod chunks;
pub mod join;
pub mod search;
pub mod split;
