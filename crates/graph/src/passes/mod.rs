//! Passes from graph to graph. Each is a function of its own file; they run in this order:
//! [`autocast`], then [`split`].

pub mod autocast;
pub mod search;
pub mod split;
