//! Layers.

mod layers;
