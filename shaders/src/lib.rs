//! Thalweg's WGSL kernel skeletons.
