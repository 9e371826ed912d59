//! Reductions.

/// How a reduction combines elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReduceOp {
    /// Sum, accumulated in f32; of an empty set 0.
    Sum,
    /// Product; of an empty set 1.
    Prod,
    /// Largest element; NaN if there is one.
    Max,
    /// Smallest element; NaN if there is one.
    Min,
    /// Row-major position, within the reduced axes, of the first largest element, as I32.
    ArgMax,
    /// Row-major position, within the reduced axes, of the first smallest element, as I32.
    ArgMin,
}

impl ReduceOp {
    /// The name that errors, labels and files use.
    pub fn name(self) -> &'static str {
        match self {
            ReduceOp::Sum => "sum",
            ReduceOp::Prod => "prod",
            ReduceOp::Max => "max",
            ReduceOp::Min => "min",
            ReduceOp::ArgMax => "argmax",
            ReduceOp::ArgMin => "argmin",
        }
    }
}
