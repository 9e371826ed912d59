//! Functions of one element: methods and gradients, from the table in `thalweg_ir::op::unary`.

use thalweg_ir::unary_rows;

pub use thalweg_ir::op::unary::UnaryOp;

use crate::tensor::Tensor;

const FRAC_2_SQRT_PI: f64 = std::f64::consts::FRAC_2_SQRT_PI;

macro_rules! methods {
    ($($name:ident $variant:ident: $doc:literal, $wgsl:literal, $reference:expr, $vjp:expr;)*) => {
        /// The gradient of the input, from input `x`, output `y` and the output's gradient `g`.
        pub(crate) fn vjp(op: UnaryOp, x: &Tensor, y: &Tensor, g: &Tensor) -> Option<Tensor> {
            match op {
                $(UnaryOp::$variant => {
                    let f: fn(&Tensor, &Tensor, &Tensor) -> Option<Tensor> = $vjp;
                    f(x, y, g)
                })*
            }
        }

        /// # Functions of one element
        impl Tensor {
            $(
                #[doc = $doc]
                ///
                /// # Shapes
                /// `[..]` → the same
                /// # Errors
                /// A dtype that the function is not defined on.
                #[track_caller]
                pub fn $name(&self) -> Tensor {
                    self.unary(UnaryOp::$variant)
                }
            )*
        }
    };
}

unary_rows!(methods);
