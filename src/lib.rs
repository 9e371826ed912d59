//! Trains neural networks on any GPU through wgpu, and on the CPU.
