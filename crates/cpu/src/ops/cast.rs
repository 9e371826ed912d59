//! Conversion between dtypes.

use thalweg_ir::{Class, DType};

/// Float to float rounds to nearest even; float to integer truncates, saturates at the ends of its range and takes NaN to
/// 0; integer to integer wraps; anything to bool is `x ≠ 0`.
pub fn cast(from: DType, to: DType, x: &[f64]) -> Vec<f64> {
    let one = |x: f64| match (from.class(), to.class()) {
        (Class::Float, Class::Int) => f64::from(x as i32),
        (Class::Float, Class::Uint) => f64::from(x as u32),
        _ => to.round(x),
    };
    x.iter().map(|x| one(*x)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncates_saturates_and_wraps() {
        assert_eq!(cast(DType::F32, DType::I32, &[-1.9, 1.9, 3e9, f64::NAN]), [-1.0, 1.0, f64::from(i32::MAX), 0.0]);
        assert_eq!(cast(DType::F32, DType::U32, &[-1.9, 5e9]), [0.0, f64::from(u32::MAX)]);
        assert_eq!(cast(DType::I32, DType::U32, &[-1.0]), [f64::from(u32::MAX)]);
        assert_eq!(cast(DType::F32, DType::Bool, &[0.5, 0.0]), [1.0, 0.0]);
    }
}
