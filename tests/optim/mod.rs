//! Update rules.

mod converge;
mod stale;
