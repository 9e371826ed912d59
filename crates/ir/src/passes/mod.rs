//! Passes from graph to graph. Each is a function of its own file; they run in this order:
//! [`compose`], [`autocast`], [`split`], [`join`], [`store`].

pub mod autocast;
mod chunks;
pub mod compose;
pub mod join;
pub mod search;
pub mod split;
pub mod store;
