//! Quotients rounded down and remainders, by sign and dtype.

use thalweg_graph::{DType, Result, Tensor};
use thalweg_tests::{cpu, strict, test_gpu};

#[test]
fn remainders_have_the_sign_of_the_divisor() -> Result<()> {
    for device in [strict(), cpu(), test_gpu!()] {
        let a = Tensor::from_slice(&device, &[7i32, -7, 7, -7, 6, -6, 5], [7]);
        let b = Tensor::from_slice(&device, &[3i32, 3, -3, -3, -3, 3, 0], [7]);
        assert_eq!(a.floor_divide(&b).to_vec::<i32>()?, [2, -3, -3, 2, -2, -2, 0], "{device}");
        assert_eq!(a.remainder(&b).to_vec::<i32>()?, [1, 2, -2, -1, 0, 0, 0], "{device}");
        let (x, y) = (a.slice(0, ..6).cast(DType::F32), b.slice(0, ..6).cast(DType::F32));
        assert_eq!(x.floor_divide(&y).to_vec::<f32>()?, [2.0, -3.0, -3.0, 2.0, -2.0, -2.0], "{device}");
        assert_eq!(x.remainder(&y).to_vec::<f32>()?, [1.0, 2.0, -2.0, -1.0, 0.0, 0.0], "{device}");
        assert_eq!((&x * 0.25).frac().to_vec::<f32>()?, [0.75, -0.75, 0.75, -0.75, 0.5, -0.5], "{device}");
        let pieces: Vec<usize> = x.chunk(4, 0).iter().map(Tensor::count).collect();
        assert_eq!(pieces, [2, 2, 2]);
        let error = a.gt(0.0).remainder(b.gt(0.0)).to_vec::<bool>().unwrap_err().to_string();
        assert!(error.contains("fmod: dtype bool") && error.contains("division.rs"), "{error}");
    }
    Ok(())
}
