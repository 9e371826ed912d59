//! Choosing a Thalweg device.
