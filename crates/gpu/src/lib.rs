//! Thalweg's device abstraction over wgpu: profile, kernel templates, runtime.
