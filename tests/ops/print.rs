//! Tensors as text, on every device.

use thalweg_graph::{DType, Tensor};
use thalweg_tests::{cpu, strict, test_gpu};

#[test]
fn display_reads_the_value() {
    for device in [strict(), cpu()] {
        let x = Tensor::from_slice(&device, &[1.0f32, -2.5, 3.25, 100.0], (2, 2));
        assert_eq!((&x + 0).to_string(), "tensor([[  1.0000,  -2.5000],\n        [  3.2500, 100.0000]])");
        assert_eq!(x.gt(0).to_string(), "tensor([[ true, false],\n        [ true,  true]])");
        assert_eq!(x.sum(..).to_string(), "tensor(101.7500)");
        assert_eq!(x.cast(DType::BF16).select(0, 0).to_string(), "tensor([ 1.0000, -2.5000], dtype=bf16)");
        assert_eq!(Tensor::zeros(&device, (0, 3)).to_string(), "tensor([], shape=[0, 3])");
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
