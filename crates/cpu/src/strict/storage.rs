//! Bytes in memory, and values in them.

use std::sync::{
    Arc, Mutex, MutexGuard,
    atomic::{AtomicU64, Ordering},
};

use half::{bf16, f16};
use thalweg_ir::{
    DType, Error, ErrorKind, Result,
    storage::{Region, StorageObject},
};

/// A buffer. Counted in its device's bytes while it lives.
pub(super) struct Bytes {
    bytes: Mutex<Vec<u8>>,
    size: usize,
    device_bytes: Arc<AtomicU64>,
}

impl Bytes {
    pub fn new(bytes: Vec<u8>, device_bytes: Arc<AtomicU64>) -> Bytes {
        let size = bytes.len();
        device_bytes.fetch_add(size as u64, Ordering::Relaxed);
        Bytes { bytes: Mutex::new(bytes), size, device_bytes }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.bytes.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub fn read(&self, start: usize, len: usize) -> Result<Vec<u8>> {
        match self.lock().get(start..start + len) {
            Some(bytes) => Ok(bytes.to_vec()),
            None => Err(outside(start, len, self.size)),
        }
    }

    pub fn write(&self, start: usize, bytes: &[u8]) -> Result<()> {
        match self.lock().get_mut(start..start + bytes.len()) {
            Some(to) => to.copy_from_slice(bytes),
            None => return Err(outside(start, bytes.len(), self.size)),
        }
        Ok(())
    }
}

impl Drop for Bytes {
    fn drop(&mut self) {
        self.device_bytes.fetch_sub(self.size as u64, Ordering::Relaxed);
    }
}

impl StorageObject for Bytes {
    fn size_bytes(&self) -> usize {
        self.size
    }
}

fn outside(start: usize, len: usize, size: usize) -> Error {
    Error::new("storage", ErrorKind::Device(format!("bytes {start}..{} of a buffer of {size}", start + len)))
}

/// The buffer of a region, which must be this device's own.
pub(super) fn bytes_of(region: &Region) -> Result<&Bytes> {
    let foreign = || Error::new("storage", ErrorKind::Device("the buffer belongs to another kind of device".into()));
    region.storage.downcast::<Bytes>().ok_or_else(foreign)
}

/// The values of a region.
pub(super) fn load(region: &Region) -> Result<Vec<f64>> {
    let size = region.dtype.size_bytes();
    let bytes = bytes_of(region)?.read(region.offset * size, region.len * size)?;
    Ok(decode(region.dtype, &bytes))
}

/// Writes values to a region of the strict executor, rounded to its dtype.
///
/// # Errors
/// A region of another device, or one that ends behind its buffer.
pub fn store(region: &Region, values: &[f64]) -> Result<()> {
    bytes_of(region)?.write(region.offset * region.dtype.size_bytes(), &encode(region.dtype, values))
}

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
