//! Layers.

mod layers;
mod losses;
mod messages;
