//! Bad input gives errors that name the op, the shapes, and the file and line of the call.

use thalweg_device::DeviceExt;
use thalweg_graph::{DType, Device, ErrorKind, Tensor};
use thalweg_tests::{cpu, strict, test_gpu};

fn ones(shape: &[usize]) -> Tensor {
    Tensor::ones(&strict(), shape)
}

/// Holds an error's text against what it must say, the caller's line included.
#[track_caller]
fn says(tensor: &Tensor, line: u32, parts: &[&str]) {
    let error = tensor.to_vec::<f32>().expect_err("an error");
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "'{text}' does not say '{part}'");
    }
    let place = format!("messages.rs:{line}:");
    assert!(text.contains(&place), "'{text}' does not say '{place}'");
}

#[test]
fn shapes_that_do_not_fit() {
    let (a, b) = (ones(&[2, 3]), ones(&[4, 5]));
    says(&(&a + &b), line!(), &["add", "[2, 3]", "[4, 5]", "do not broadcast"]);
    says(&a.matmul(&b), line!(), &["matmul", "[2, 3]", "[4, 5]", "3 columns against 4 rows"]);
    says(&a.reshape([4]), line!(), &["reshape", "[2, 3]", "[4]"]);
    says(&a.broadcast_to(&[2, 4]), line!(), &["broadcast_to", "[2, 3]", "[2, 4]"]);
    says(&a.concat_with(std::slice::from_ref(&b), 0), line!(), &["concat", "[2, 3]", "[4, 5]"]);
    let small = ones(&[1, 1, 2, 2]).conv2d(&ones(&[1, 1, 3, 3]), &Default::default());
    says(&small, line!() - 1, &["conv", "larger than the padded"]);
    says(&a.sum(2), line!(), &["sum", "axis 2", "[2, 3]"]);
    says(&Tensor::from_slice(&strict(), &[1.0f32; 5], [2, 3]), line!(), &["from_slice", "5 elements", "[2, 3]"]);
}

#[test]
fn dtypes_that_do_not_fit() {
    let ids = Tensor::from_slice(&strict(), &[1i32, 2], [2]);
    says(&ids.exp(), line!(), &["exp", "i32"]);
    says(&ones(&[2]).where_(1.0, 0.0), line!(), &["where", "f32", "no condition"]);
    says(&ids.mean(0), line!(), &["mean", "i32", "cast to a float first"]);
    says(&ones(&[2]).gather(0, &ones(&[1])), line!(), &["gather", "f32", "use i32"]);
    let x = Tensor::from_slice(&cpu(), &[1.0f64], [1]);
    says(&x, line!() - 1, &["f64", "does not exist"]);
}

#[test]
fn positions_out_of_range() {
    let x = ones(&[3, 4]);
    says(&x.select(1, 4), line!(), &["select", "index 4", "axis 1", "extent 4"]);
    says(&x.narrow(0, 2, 2), line!(), &["narrow", "index 3", "axis 0", "extent 3"]);
}

#[test]
fn an_index_from_data_out_of_range() {
    for device in [strict(), cpu(), test_gpu!()] {
        let x = Tensor::ones(&device, [3, 4]);
        let index = Tensor::from_slice(&device, &[0i32, 7], [2]);
        let picked = x.index_select(0, &index);
        // A GPU clamps, and tells at the latest when it is asked to finish.
        let error = picked.to_vec::<f32>().err().or_else(|| device.synchronize().err());
        let text = error.unwrap_or_else(|| panic!("{device} said nothing")).to_string();
        assert!(text.contains("out of range"), "{device}: '{text}'");
    }
}

#[test]
fn an_error_travels_to_whatever_needs_the_value() {
    let bad = ones(&[2, 3]).matmul(&ones(&[4, 5]));
    let later = ((bad.exp() + 1.0).sum(0) * 2.0).reshape([7, 7]);
    assert!(later.shape().is_empty());
    for error in [later.to_vec::<f32>().err(), later.item().err(), later.backward().err(), later.eval().err()] {
        let error = error.expect("the first error");
        assert_eq!(error.op(), "matmul");
        assert!(matches!(error.kind(), ErrorKind::Shapes { .. }));
    }
}

#[test]
fn the_gradient_of_something_untracked() {
    let error = ones(&[2]).sum(..).backward().expect_err("an error");
    assert!(error.to_string().contains(".track()"), "{error}");
    let error = ones(&[2]).track().backward().expect_err("an error");
    assert!(error.to_string().contains("scalar"), "{error}");
    let error = Tensor::from_slice(&strict(), &[1i32], [1]).track().eval().expect_err("an error");
    assert!(error.to_string().contains("only floats"), "{error}");
}

#[test]
fn devices_do_not_mix_and_names_must_match() {
    let sum = ones(&[2]) + Tensor::ones(&strict(), [2]);
    assert!(sum.to_vec::<f32>().expect_err("an error").to_string().contains("different devices"));
    let error = Device::named("no such adapter").expect_err("an error").to_string();
    assert!(error.contains("no device matches 'no such adapter'") && error.contains("cpu"), "{error}");
}

#[test]
fn a_dtype_cannot_be_read_as_another() {
    let error = ones(&[2]).to_vec::<i32>().expect_err("an error").to_string();
    assert!(error.contains("f32") && error.contains("cast first"), "{error}");
    assert_eq!(ones(&[2]).cast(DType::F16).to_vec::<f32>().ok(), Some(vec![1.0, 1.0]));
}
