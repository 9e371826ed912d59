//! Gradients.

mod covered;
mod differences;
mod functional;
mod kinks;
mod rules;
