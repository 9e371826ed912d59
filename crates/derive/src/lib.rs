//! derive(Module) for Thalweg.
