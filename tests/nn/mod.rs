//! Layers.

mod attention;
mod classes;
mod layers;
mod losses;
mod messages;
mod positions;
mod recurrent;
mod reparam;
mod summary;
mod transformer;
mod verify;
