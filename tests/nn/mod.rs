//! Layers.

mod layers;
mod losses;
mod messages;
mod reparam;
mod verify;
