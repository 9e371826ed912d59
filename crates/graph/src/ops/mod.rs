//! The op families, one file each: methods with their docs, shape rules and gradients.

pub mod binary;
pub mod unary;
