//! Thalweg's training loop: metrics, checkpoints, progress, plots.
