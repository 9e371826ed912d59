//! Update rules.

mod converge;
mod lbfgs;
mod messages;
mod sam;
mod stale;
