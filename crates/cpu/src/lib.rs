//! Thalweg's CPU executors: the strict reference and the fast one.
