//! Layers.

mod attention;
mod layers;
mod losses;
mod messages;
mod reparam;
mod verify;
