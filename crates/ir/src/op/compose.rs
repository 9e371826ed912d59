//! The words in which primitives say what they are made of.

use super::{binary::BinaryOp, recorded::Recorded, reduce::ReduceOp};
use crate::{dtype::DType, shape::Type};

/// A value of a composed form.
pub type Value = usize;

/// What writes a composed form down. Operands of one call are shaped alike.
pub trait Compose {
    /// The shape and dtype of a value.
    fn type_of(&self, x: Value) -> Type;
    /// A number as a tensor of this shape.
    fn number(&mut self, value: f64, shape: &[usize], dtype: DType) -> Value;
    /// The position along an axis, I32.
    fn iota(&mut self, axis: usize, shape: &[usize]) -> Value;
    /// The same elements in row-major order in another shape.
    fn reshape(&mut self, x: Value, shape: &[usize]) -> Value;
    /// Axes of extent 1 repeated.
    fn expand(&mut self, x: Value, shape: &[usize]) -> Value;
    /// A function of two values.
    fn binary(&mut self, op: BinaryOp, a: Value, b: Value) -> Value;
    /// `a` where a truth value holds, else `b`.
    fn select(&mut self, condition: Value, a: Value, b: Value) -> Value;
    /// To another dtype.
    fn cast(&mut self, x: Value, dtype: DType) -> Value;
    /// `len` elements of an axis from `start` on.
    fn part(&mut self, x: Value, axis: usize, start: usize, len: usize) -> Value;
    /// Zeros behind the elements of an axis, which has `len` then.
    fn lengthen(&mut self, x: Value, axis: usize, len: usize) -> Value;
    /// One behind the other along an axis.
    fn join(&mut self, parts: &[Value], axis: usize) -> Value;
    /// What a recorded program gives.
    fn recorded(&mut self, program: &Recorded, inputs: &[Value]) -> Option<Vec<Value>>;
    /// Over one axis, which is dropped; the result has this dtype.
    fn reduce(&mut self, op: ReduceOp, x: Value, axis: usize, dtype: DType) -> Value;
}
