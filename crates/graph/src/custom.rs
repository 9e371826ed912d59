//! Ops of a user's own: a kernel in WGSL, a reference, and a gradient.

use std::{fmt, panic::Location, sync::Arc};

use thalweg_ir::custom::{Custom, CustomKernel, Operand};

use thalweg_ir::{DType, ErrorKind, Op, Primitive, shape::Type};

use crate::{
    rule,
    tensor::{Rule, Tensor},
};

/// An op that Thalweg does not have. [`Tensor::custom`] records it; GPUs run the kernel, CPUs the reference, and the strict CPU
/// holds the one against the other.
///
/// The kernel is not fused with others: its inputs are in buffers when it starts. Where ops that exist will do, compose them;
/// they have gradients, and are fused.
pub trait CustomOp: fmt::Debug + Send + Sync + 'static {
    /// Its name, in errors and labels.
    fn name(&self) -> &'static str;

    /// The shape and dtype of the result for inputs of these shapes and dtypes, or why there is none.
    ///
    /// # Errors
    /// What is wrong with the inputs; it becomes the error of the tensor, at the caller's position.
    fn result(&self, inputs: &[(&[usize], DType)]) -> Result<(Vec<usize>, DType), String>;

    /// WGSL with a function `custom(i: u32)` that returns element `i` of the result, row-major: `f32`, `i32`, `u32` or `bool`.
    ///
    /// It may call `in0(j)`, `in1(j)`, .. for an element of an input, `in0_dim(d)`, .. and `out_dim(d)` for extents and `out_len()`
    /// for the number of elements. Shapes need not be in the text: one text is compiled once.
    fn wgsl(&self) -> String;

    /// The result in f64, into `result`, for the CPU. It is rounded to the dtype afterwards.
    fn reference(&self, inputs: &[Operand<'_>], result: &mut [f64]);

    /// The gradient of each input from that of the result, as tensor ops; `None` for an input through which none passes. An op
    /// without a gradient, which is the default, is an error in `backward`.
    fn vjp(&self, _inputs: &[Tensor], _result: &Tensor, _grad: &Tensor) -> Option<Vec<Option<Tensor>>> {
        None
    }

    /// Everything in `self` that [`CustomOp::wgsl`] or [`CustomOp::reference`] depends on. Two ops of one type with equal numbers
    /// share plans.
    fn parameters(&self) -> Vec<f64> {
        Vec::new()
    }
}

/// What a backend sees of one.
#[derive(Debug)]
struct Kernel<C>(Arc<C>);

impl<C: CustomOp> CustomKernel for Kernel<C> {
    fn name(&self) -> &'static str {
        self.0.name()
    }
    fn wgsl(&self) -> String {
        self.0.wgsl()
    }
    fn reference(&self, inputs: &[Operand<'_>], results: &mut [Vec<f64>]) {
        results.iter_mut().for_each(|result| self.0.reference(inputs, result));
    }
    fn parameters(&self) -> Vec<f64> {
        self.0.parameters()
    }
}

impl Tensor {
    /// The result of an op of the caller's own, with this tensor as its first input and `others` as the rest.
    ///
    /// # Errors
    /// What [`CustomOp::result`] says; inputs on different devices.
    #[track_caller]
    pub fn custom<C: CustomOp>(&self, op: C, others: &[&Tensor]) -> Tensor {
        let inputs: Vec<Tensor> = std::iter::once(self).chain(others.iter().copied()).cloned().collect();
        if let Some(failed) = inputs.iter().find(|t| t.check().is_err()) {
            return failed.clone();
        }
        let known: Vec<(&[usize], DType)> = inputs.iter().map(|t| (t.shape(), t.dtype())).collect();
        let (shape, dtype) = match op.result(&known) {
            Ok(result) => result,
            Err(problem) => {
                let shapes: Vec<&[usize]> = known.iter().map(|(shape, _)| *shape).collect();
                return self.fail(op.name(), ErrorKind::Invalid(format!("shapes {shapes:?}: {problem}")));
            }
        };
        let (name, op) = (op.name(), Arc::new(op));
        let of = op.clone();
        let rule = Rule::new(name, move |inputs, y, g| {
            let none =
                || ErrorKind::Gradient(format!("'{name}' has no gradient: its CustomOp::vjp is not implemented"));
            let grads = of.vjp(inputs, y, g).ok_or_else(none)?;
            rule::check(name, &grads, inputs)?;
            Ok(grads)
        });
        let output = Type { shape: shape.clone(), dtype };
        let custom = Custom::new(Arc::new(Kernel(op)), std::any::type_name::<C>(), vec![output]);
        let custom = Op::Part(Primitive::Custom(custom), 0);
        Tensor::ruled(custom, inputs, shape, dtype, self.device(), rule, Location::caller())
    }
}
