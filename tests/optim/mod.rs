//! Update rules.

mod converge;
mod every;
mod lbfgs;
mod messages;
mod properties;
mod sam;
mod shrinking;
mod stale;
mod vectors;
