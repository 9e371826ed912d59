//! What is asked of every primitive.

use super::compose::{Compose, Value};
use crate::shape::Type;

/// An input of a definition, [`Compound::reference`]: its elements, row-major, and its shape.
#[derive(Clone, Copy, Debug)]
pub struct Operand<'a> {
    /// The elements; truth values are 0 and 1.
    pub data: &'a [f64],
    /// The shape.
    pub shape: &'a [usize],
}

/// What everybody who meets a primitive may ask of it.
pub trait Compound {
    /// The name that errors, labels and files use.
    fn name(&self) -> &'static str;

    /// The shape and dtype of each result.
    fn outputs(&self, inputs: &[Type]) -> Vec<Type>;

    /// The results as other ops, which every device has. `None` if there are no such ops.
    fn compose(&self, c: &mut dyn Compose, inputs: &[Value]) -> Option<Vec<Value>>;

    /// The results by definition, in f64, of inputs of these types. `None` if they are those of other ops.
    fn reference(&self, inputs: &[Operand<'_>], types: &[Type]) -> Option<Vec<Vec<f64>>>;

    /// Whether a kernel of its own is worth a launch with inputs like these; if not, it is composed wherever it can be.
    fn pays(&self, _inputs: &[Type]) -> bool {
        true
    }
}
