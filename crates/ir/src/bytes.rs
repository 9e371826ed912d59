//! Elements in memory: little-endian, 2, 4 or 8 bytes by dtype.

use half::{bf16, f16};

use crate::DType;

/// Elements as their bytes say.
pub fn decode(dtype: DType, bytes: &[u8]) -> Vec<f64> {
    let (halves, words) = (bytes.as_chunks::<2>().0.iter(), bytes.as_chunks::<4>().0.iter());
    match dtype {
        DType::F16 => halves.map(|b| f16::from_le_bytes(*b).to_f64()).collect(),
        DType::BF16 => halves.map(|b| bf16::from_le_bytes(*b).to_f64()).collect(),
        DType::F32 => words.map(|b| f64::from(f32::from_le_bytes(*b))).collect(),
        DType::I32 => words.map(|b| f64::from(i32::from_le_bytes(*b))).collect(),
        DType::U32 | DType::Bool => words.map(|b| f64::from(u32::from_le_bytes(*b))).collect(),
        DType::F64 => bytes.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
    }
}

/// The bytes of values rounded to a dtype.
pub fn encode(dtype: DType, values: &[f64]) -> Vec<u8> {
    let values = values.iter().map(|x| dtype.round(*x));
    match dtype {
        DType::F16 => values.flat_map(|x| f16::from_f64(x).to_le_bytes()).collect(),
        DType::BF16 => values.flat_map(|x| bf16::from_f64(x).to_le_bytes()).collect(),
        DType::F32 => values.flat_map(|x| (x as f32).to_le_bytes()).collect(),
        DType::I32 => values.flat_map(|x| (x as i32).to_le_bytes()).collect(),
        DType::U32 | DType::Bool => values.flat_map(|x| (x as u32).to_le_bytes()).collect(),
        DType::F64 => values.flat_map(|x| x.to_le_bytes()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dtype_comes_back() {
        use DType::*;
        for (dtype, values) in [
            (F32, vec![1.5, -0.0, f64::INFINITY]),
            (F16, vec![1.5, 65504.0, -2.0]),
            (BF16, vec![1.5, 2f64.powi(100)]),
            (I32, vec![-1.0, f64::from(i32::MIN)]),
            (U32, vec![f64::from(u32::MAX)]),
            (Bool, vec![0.0, 1.0]),
            (F64, vec![0.1]),
        ] {
            assert_eq!(decode(dtype, &encode(dtype, &values)), values, "{dtype}");
        }
        assert_eq!(decode(Bool, &encode(Bool, &[7.0])), [1.0]);
    }
}
