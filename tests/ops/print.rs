//! Tensors as text, on every device.

use serde_json::Value;
use thalweg_graph::{DType, Param, Tensor, shape::count};
use thalweg_tests::{cpu, strict, test_gpu};

/// Texts that PyTorch printed; `printed/make.py` made them.
#[test]
fn tensors_print_as_pytorch_prints_them() {
    let device = strict();
    let rows: Vec<Value> = serde_json::from_str(include_str!("printed/printed.json")).unwrap();
    assert!(rows.len() > 50);
    for row in &rows {
        let shape: Vec<usize> = serde_json::from_value(row["shape"].clone()).unwrap();
        let number = |value: &Value| value.as_f64().unwrap_or_else(|| value.as_str().unwrap().parse().unwrap());
        let values: Vec<f64> = match &row["values"] {
            Value::Array(values) => values.iter().map(number).collect(),
            _ => (0..count(&shape)).map(|i| number(&row["start"]) + i as f64 * number(&row["step"])).collect(),
        };
        let name = row["dtype"].as_str().unwrap();
        let all = [DType::F32, DType::F64, DType::F16, DType::BF16, DType::I32, DType::U32, DType::Bool];
        let dtype = all.into_iter().find(|dtype| dtype.to_string() == name).unwrap();
        let x = Tensor::from_slice(&device, &values, shape).cast(dtype);
        assert_eq!(x.to_string(), row["text"].as_str().unwrap(), "{row}");
    }
}

#[test]
fn what_is_tracked_says_so() {
    let param = Param::new(Tensor::from_slice(&cpu(), &[0.5f32, 1.0], 2)).unwrap();
    assert_eq!(param.tensor().to_string(), "tensor([0.5000, 1.0000], requires_grad=True)");
    assert_eq!((param.tensor() * 2.0).to_string(), "tensor([1., 2.], grad_fn=<mul>)");
    assert_eq!((param.tensor() * 2.0).detach().to_string(), "tensor([1., 2.])");
    param.freeze(true);
    assert_eq!(param.tensor().to_string(), "tensor([0.5000, 1.0000])");
}

#[test]
fn display_reads_the_value() {
    for device in [strict(), cpu()] {
        let x = Tensor::from_slice(&device, &[1.0f32, -2.5, 3.25, 100.0], (2, 2));
        assert_eq!((&x + 0).to_string(), "tensor([[  1.0000,  -2.5000],\n        [  3.2500, 100.0000]])");
        assert_eq!(x.gt(0).to_string(), "tensor([[ True, False],\n        [ True,  True]])");
        assert_eq!(x.sum(..).to_string(), "tensor(101.7500)");
        assert_eq!(x.cast(DType::BF16).select(0, 0).to_string(), "tensor([ 1.0000, -2.5000], dtype=bf16)");
        assert_eq!(Tensor::zeros(&device, (0, 3)).to_string(), "tensor([], size=(0, 3))");
        assert_eq!(Tensor::zeros(&device, 0).to_string(), "tensor([])");
        let view = Tensor::arange(&device, 6).reshape((2, 3)).t();
        assert_eq!(view.to_string(), "tensor([[0, 3],\n        [1, 4],\n        [2, 5]])");
    }
}

#[test]
fn a_gpu_prints_the_same_and_its_name() {
    let device = test_gpu!();
    let halves = Tensor::from_slice(&device, &[0.5f32, -1.0, 2.0], 3);
    for dtype in [DType::F32, DType::F16, DType::BF16] {
        let text = (halves.cast(dtype) * 2).to_string();
        assert!(text.starts_with("tensor([ 1., -2.,  4.]"), "{text}");
        assert!(text.contains(&format!("device='{}'", device.properties().name)), "{text}");
        assert_eq!(text.contains("dtype="), dtype != DType::F32, "{text}");
    }
}

#[test]
fn what_fails_is_printed() {
    let text = Tensor::ones(&cpu(), (2, 3)).matmul(&Tensor::ones(&cpu(), (2, 3))).to_string();
    assert!(text.starts_with("tensor(error: matmul: shapes [2, 3] and [2, 3] do not multiply"), "{text}");
}

#[test]
fn debug_computes_nothing() {
    let x = Tensor::ones(&cpu(), (2, 3));
    let y = &x + 1;
    assert_eq!(format!("{y:?}"), "Tensor(add f32[2, 3], not evaluated)");
    assert!(!y.is_evaluated());
    y.eval().expect("a value");
    assert_eq!(format!("{y:?}"), "Tensor(add f32[2, 3] = [2.0, 2.0, 2.0, 2.0, 2.0, 2.0])");
    let long = Tensor::from_slice(&cpu(), &[0i32; 9], 9);
    assert_eq!(format!("{long:?}"), "Tensor(leaf i32[9])");
}
