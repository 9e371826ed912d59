//! Bytes in memory, and values in them.

use std::sync::{
    Arc, Mutex, MutexGuard,
    atomic::{AtomicU64, Ordering},
};

use thalweg_ir::{
    Error, ErrorKind, Result,
    bytes::{decode, encode},
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
