//! Thalweg's data sets, transforms and loaders.
