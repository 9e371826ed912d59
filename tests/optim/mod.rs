//! Update rules.

mod converge;
mod every;
mod messages;
mod properties;
mod shrinking;
mod stale;
mod vectors;
