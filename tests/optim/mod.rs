//! Update rules.

mod converge;
mod messages;
mod stale;
