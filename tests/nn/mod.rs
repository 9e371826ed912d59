//! Layers.

mod attention;
mod classes;
mod layers;
mod losses;
mod messages;
mod reparam;
mod summary;
mod verify;
