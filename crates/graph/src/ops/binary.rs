//! Functions of two elements: methods and gradients, from the table in `thalweg_ir::op::binary`.

use thalweg_ir::binary_rows;

pub use thalweg_ir::op::binary::BinaryOp;

use crate::{operators::IntoTensor, tensor::Tensor};

macro_rules! methods {
    ($($name:ident $variant:ident: $doc:literal, $wgsl:literal, $reference:expr, $vjp:expr;)*) => {
        /// The gradients of both inputs, from inputs `a`, `b`, output `y` and the output's gradient `g`.
        pub(crate) fn vjp(op: BinaryOp, a: &Tensor, b: &Tensor, y: &Tensor, g: &Tensor) -> [Option<Tensor>; 2] {
            match op {
                $(BinaryOp::$variant => {
                    let f: fn(&Tensor, &Tensor, &Tensor, &Tensor) -> [Option<Tensor>; 2] = $vjp;
                    f(a, b, y, g)
                })*
            }
        }

        /// # Functions of two elements
        impl Tensor {
            $(
                #[doc = $doc]
                ///
                /// # Shapes
                /// `[..]`, `[..]` that broadcast (aligned at the last axis, extents equal or 1) → what they broadcast to
                /// # Errors
                /// Shapes that do not broadcast; a dtype that the function is not defined on.
                #[track_caller]
                pub fn $name(&self, other: impl IntoTensor) -> Tensor {
                    self.binary(BinaryOp::$variant, &other.into_tensor(self))
                }
            )*
        }
    };
}

binary_rows!(methods);
