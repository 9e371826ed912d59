//! Thalweg's benchmark runner.
