//! Thalweg's model crate: layers, losses, initialisers.
