//! Whole training loops: what they count, and that they repeat to the bit.

mod adversarial;
mod compiled;
mod lengths;
mod precision;
mod profile;
mod recomputed;
mod resumed;
mod scaled;
mod steady;
mod stored;
