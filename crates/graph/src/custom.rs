//! Ops of a user's own: a kernel in WGSL, a reference, and a gradient.

use std::{array, fmt, panic::Location, sync::Arc};

use thalweg_ir::{
    DType, ErrorKind, Op, Operand, Primitive,
    custom::{Custom, CustomKernel},
    shape::Type,
};

use crate::{
    rule,
    tensor::{Rule, Tensor},
};

/// An op that Thalweg does not have. [`Tensor::custom`] records it; GPUs run the kernel, CPUs the reference, and the strict CPU
/// holds the one against the other.
///
/// The kernel is not fused with others: its inputs are in buffers when it starts. Where ops that exist will do, compose them;
/// they have gradients, and are fused. An op with several results is a [`MultiOp`].
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

/// An op with `N` results that are computed together, each with a shape and dtype of its own; the rest is as for [`CustomOp`].
/// [`Tensor::custom_multi`] records it. Results that nobody asks for have no memory.
///
/// ```
/// # use thalweg_graph::{DType, MultiOp, Operand, Tensor};
/// /// The largest element of each row, and where it is.
/// #[derive(Debug)]
/// struct Largest;
///
/// impl MultiOp<2> for Largest {
///     fn name(&self) -> &'static str {
///         "largest"
///     }
///     fn results(&self, inputs: &[(&[usize], DType)]) -> Result<[(Vec<usize>, DType); 2], String> {
///         match inputs {
///             [([rows, columns], DType::F32)] if *columns > 0 => Ok([(vec![*rows], DType::F32), (vec![*rows], DType::I32)]),
///             _ => Err("one f32 matrix with columns is wanted".into()),
///         }
///     }
///     fn wgsl(&self) -> String {
///         "fn custom_multi(row: u32) {
///             let n = in0_dim(1u);
///             var at = 0u;
///             for (var c = 1u; c < n; c++) { if in0(row * n + c) > in0(row * n + at) { at = c; } }
///             set0(row, in0(row * n + at));
///             set1(row, i32(at));
///         }".into()
///     }
///     fn reference(&self, inputs: &[Operand<'_>], [values, places]: [&mut [f64]; 2]) {
///         let rows = inputs[0].data.chunks(inputs[0].shape[1]);
///         for ((row, value), place) in rows.zip(values).zip(places) {
///             let at = (1..row.len()).fold(0, |at, c| if row[c] > row[at] { c } else { at });
///             (*value, *place) = (row[at], at as f64);
///         }
///     }
///     fn vjp(&self, inputs: &[Tensor], [_, place]: &[Tensor; 2], [g, _]: &[Tensor; 2]) -> Option<Vec<Option<Tensor>>> {
///         Some(vec![Some(place.one_hot(inputs[0].shape()[1]) * g.unsqueeze(1))])
///     }
/// }
///
/// # fn example(x: &Tensor) {
/// let [value, place] = x.custom_multi(Largest, &[]);
/// # }
/// ```
pub trait MultiOp<const N: usize>: fmt::Debug + Send + Sync + 'static {
    /// Its name, in errors and labels.
    fn name(&self) -> &'static str;

    /// The shape and dtype of each result for inputs of these shapes and dtypes, or why there are none.
    ///
    /// # Errors
    /// What is wrong with the inputs; it becomes the error of all results, at the caller's position.
    fn results(&self, inputs: &[(&[usize], DType)]) -> Result<[(Vec<usize>, DType); N], String>;

    /// WGSL with a function `custom_multi(i: u32)`, which is called once for every `i` below the number of elements of the largest
    /// result, in any order. It gives element `j` of the first result by `set0(j, value)`, of the second by `set1(j, value)`, ..;
    /// every element is to be set by one call.
    ///
    /// Inputs and their extents it reads as the text of a [`CustomOp`] does; those of results are `out0_dim(d)`, `out0_len()`, ..
    fn wgsl(&self) -> String;

    /// The results in f64, for the CPU. They are rounded to their dtypes afterwards.
    fn reference(&self, inputs: &[Operand<'_>], results: [&mut [f64]; N]);

    /// The gradient of each input from those of all results, as tensor ops; `None` for an input through which none passes. A result
    /// that nothing flows into has a gradient of zeros.
    fn vjp(&self, _inputs: &[Tensor], _results: &[Tensor; N], _grads: &[Tensor; N]) -> Option<Vec<Option<Tensor>>> {
        None
    }

    /// As [`CustomOp::parameters`].
    fn parameters(&self) -> Vec<f64> {
        Vec::new()
    }
}

/// An op with one result as one with several.
#[derive(Debug)]
struct Single<C>(C);

/// What its kernel reads and writes beside the inputs, by the names that it knows.
const SINGLE: &str = "
fn out_dim(d: u32) -> u32 { return out0_dim(d); }
fn out_len() -> u32 { return out0_len(); }
fn custom_multi(i: u32) { set0(i, custom(i)); }";

impl<C: CustomOp> MultiOp<1> for Single<C> {
    fn name(&self) -> &'static str {
        self.0.name()
    }
    fn results(&self, inputs: &[(&[usize], DType)]) -> Result<[(Vec<usize>, DType); 1], String> {
        self.0.result(inputs).map(|result| [result])
    }
    fn wgsl(&self) -> String {
        self.0.wgsl() + SINGLE
    }
    fn reference(&self, inputs: &[Operand<'_>], [result]: [&mut [f64]; 1]) {
        self.0.reference(inputs, result);
    }
    fn vjp(&self, inputs: &[Tensor], [y]: &[Tensor; 1], [g]: &[Tensor; 1]) -> Option<Vec<Option<Tensor>>> {
        self.0.vjp(inputs, y, g)
    }
    fn parameters(&self) -> Vec<f64> {
        self.0.parameters()
    }
}

/// What a backend sees of one.
#[derive(Debug)]
struct Kernel<C, const N: usize>(Arc<C>);

impl<const N: usize, C: MultiOp<N>> CustomKernel for Kernel<C, N> {
    fn name(&self) -> &'static str {
        self.0.name()
    }
    fn wgsl(&self) -> String {
        self.0.wgsl()
    }
    fn reference(&self, inputs: &[Operand<'_>], results: &mut [Vec<f64>]) {
        let mut results = results.iter_mut();
        self.0.reference(inputs, array::from_fn(|_| results.next().map_or(&mut [][..], |result| &mut result[..])));
    }
    fn parameters(&self) -> Vec<f64> {
        self.0.parameters()
    }
}

/// # Ops of your own
impl Tensor {
    /// The result of an op of the caller's own, with this tensor as its first input and `others` as the rest.
    ///
    /// # Errors
    /// What [`CustomOp::result`] says; inputs on different devices.
    #[track_caller]
    #[doc(alias("custom_op", "Function"))]
    pub fn custom<C: CustomOp>(&self, op: C, others: &[&Tensor]) -> Tensor {
        let [y] = self.custom_multi(Single(op), others);
        y
    }

    /// The results of an op of the caller's own that has several, with this tensor as its first input and `others` as the rest.
    ///
    /// # Errors
    /// Carried by every result: what [`MultiOp::results`] says; inputs on different devices; a dtype that the device does not have.
    #[track_caller]
    #[doc(alias("custom_op", "Function"))]
    pub fn custom_multi<const N: usize, C: MultiOp<N>>(&self, op: C, others: &[&Tensor]) -> [Tensor; N] {
        const { assert!(N > 0, "an op has a result") };
        let inputs: Vec<Tensor> = std::iter::once(self).chain(others.iter().copied()).cloned().collect();
        let all = |failed: &Tensor| array::from_fn(|_| failed.clone());
        if let Some(failed) = inputs.iter().find(|t| t.check().is_err()) {
            return all(failed);
        }
        let known: Vec<(&[usize], DType)> = inputs.iter().map(|t| (t.shape(), t.dtype())).collect();
        let types = match op.results(&known) {
            Ok(results) => results.map(|(shape, dtype)| Type { shape, dtype }),
            Err(problem) => {
                let inputs: Vec<String> = known.iter().map(|(shape, dtype)| format!("{dtype} {shape:?}")).collect();
                let problem = format!("of {}: {problem}", inputs.join(", "));
                return all(&self.fail(op.name(), ErrorKind::Invalid(problem)));
            }
        };
        let (name, op) = (op.name(), Arc::new(op));
        let custom = Custom::new(Arc::new(Kernel(op.clone())), std::any::type_name::<C>(), types.to_vec());
        let of = types.clone();
        let rule = Rule::joint(name, N, move |y, gs| {
            let results: [Tensor; N] = array::from_fn(|k| y.sibling(k, of[k].clone()));
            let grads = array::from_fn(|k| gs[k].clone().unwrap_or_else(|| results[k].zeros_like()));
            let inputs = y.inputs();
            let grads = op.vjp(&inputs, &results, &grads);
            let grads =
                grads.ok_or_else(|| ErrorKind::Gradient(format!("'{name}' has no gradient: no vjp is given")))?;
            rule::fitted(name, grads, &inputs)
        });
        let (part, Type { shape, dtype }) = (Op::Part(Primitive::Custom(custom).into(), 0), types[0].clone());
        let first = Tensor::ruled(part, inputs.into(), shape, dtype, self.device(), rule, Location::caller());
        if first.check().is_err() {
            return all(&first);
        }
        let results = array::from_fn(|k| if k == 0 { first.clone() } else { first.sibling(k, types[k].clone()) });
        match results.iter().find(|result| result.check().is_err()) {
            Some(failed) => all(failed),
            None => results,
        }
    }
}
