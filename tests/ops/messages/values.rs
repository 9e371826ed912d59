//! What reads, writes and differentiates values, and cannot.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use thalweg_graph::{
    DType, Param, Precision, Tensor,
    functional::{grad, hvp, jvp, vjp},
};
use thalweg_tests::strict;

use super::{ones, refuses, says};

#[test]
fn reading_what_is_not_there() {
    let x = ones(&[2, 3]);
    refuses(x.item(), line!(), &["item", "[2, 3]", "has 6 elements; item() reads one"]);
    refuses(x.dims::<3>(), line!(), &["dims", "[2, 3]", "has 2 axes, not 3"]);
    refuses(x.to_vec::<bool>(), line!(), &["to_vec", "f32", "cannot be read as bool; cast first"]);
    let later = x.read_async::<i32>().expect("a read");
    let mut context = Context::from_waker(Waker::noop());
    let Poll::Ready(read) = pin!(later).poll(&mut context) else { panic!("the strict executor reads at once") };
    refuses(read, line!() - 3, &["read_async", "f32", "cannot be read as i32"]);
    let text = "quad".parse::<Precision>().expect_err("an error").to_string();
    assert!(text.contains("'quad' is no precision; there are f32, mixed-f16"), "{text}");
    refuses(thalweg_cpu::FastCpu::with_threads(1 << 40), line!(), &["cpu", "1099511627776 threads are more than 1024"]);
}

#[test]
fn writing_what_does_not_fit() {
    let param = Param::new(ones(&[2, 3])).expect("a parameter");
    refuses(param.set(&ones(&[3, 2])), line!(), &["set", "[2, 3]", "[3, 2]", "differ"]);
    let half = Tensor::ones(&strict(), [2, 3]).cast(DType::F16);
    refuses(param.set(&half), line!(), &["set", "dtypes f32 and f16"]);
    refuses(Param::new(Tensor::arange(&strict(), 3)), line!(), &["param", "i32", "no gradient; use a State"]);
}

#[test]
fn no_tensors_to_join() {
    let none: [&Tensor; 0] = [];
    says(&Tensor::concat(none, 0), line!(), &["concat", "no tensors given"]);
    says(&Tensor::stack(none, 0), line!(), &["stack", "no tensors given"]);
    let (a, b) = (ones(&[2]), ones(&[3]));
    says(&Tensor::stack([&a, &b], 0), line!(), &["concat", "[1, 2]", "[1, 3]"]);
    says(&Tensor::stack([&a], 2), line!(), &["stack", "axis 2", "2 axes"]);
    // Such a tensor has a device to ask for, on which nothing can be put.
    let (nothing, sum) = (Tensor::concat(none, 0), none.into_iter().sum::<Tensor>());
    refuses(sum.eval(), line!(), &["sum", "no tensors given"]);
    says(&(&nothing + &a), line!() - 2, &["concat"]);
    says(&(&a + &nothing), line!() - 3, &["concat"]);
    says(&Tensor::zeros(nothing.device(), [2]), line!(), &["a tensor made of no tensors"]);
    refuses(nothing.backward(), line!() - 5, &["concat", "no tensors given"]);
}

#[test]
fn derivatives_that_are_none() {
    let x = ones(&[2, 3]).track();
    refuses(x.sum(0).backward(), line!(), &["backward", "[3]", "scalar"]);
    refuses(x.backward_from(&ones(&[3])), line!(), &["backward", "[2, 3]", "[3]", "upstream gradient"]);
    let square = |x: &[Tensor]| x[0].square();
    let one = [ones(&[2])];
    refuses(vjp(square, &one, &ones(&[3])), line!(), &["vjp", "[2]", "[3]", "upstream gradient"]);
    refuses(grad(square, &one), line!(), &["grad", "[2]", "is no scalar; sum it, or use vjp()"]);
    refuses(jvp(square, &[], &[]), line!(), &["jvp", "no arguments to differentiate by"]);
    refuses(hvp(square, &[], &[]), line!(), &["hvp", "no arguments to differentiate by"]);
    refuses(jvp(square, &one, &[]), line!(), &["jvp", "one vector for each argument"]);
    refuses(hvp(|x| x[0].sum(..), &one, &[ones(&[3])]), line!(), &["hvp", "[2]", "[3]", "shaped as its argument"]);
}
