//! Memory that comes back: buffers return to their device's pool with the last handle, so that steady training allocates
//! nothing.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use thalweg_ir::{Error, ErrorKind, storage::StorageObject};

use crate::gemm::{Memory, View};

/// Sizes are rounded up to whole cache lines.
const LINE: usize = 64;
/// Free memory kept even when little is in use.
const KEPT: usize = 64 << 20;

/// Free blocks by size, and counts of bytes.
pub struct Pool {
    free: Mutex<Free>,
    /// Bytes held, in use or free.
    bytes: AtomicU64,
    /// Most bytes that may be held, if known.
    capacity: Option<u64>,
    none: Memory,
}

#[derive(Default)]
struct Free {
    blocks: BTreeMap<usize, Vec<Memory>>,
    bytes: usize,
    in_use: usize,
    most_in_use: usize,
}

impl Pool {
    /// An empty pool.
    pub fn new(capacity: Option<u64>) -> Option<Arc<Pool>> {
        let none = Memory::zeroed(0)?;
        Some(Arc::new(Pool { free: Mutex::default(), bytes: AtomicU64::new(0), capacity, none }))
    }

    fn lock(&self) -> MutexGuard<'_, Free> {
        self.free.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Bytes held now, in use or free.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// A view of nothing.
    pub fn empty(&self) -> View<'_> {
        self.none.view()
    }

    /// A block of at least this size with anything in it.
    ///
    /// # Errors
    /// [`ErrorKind::Memory`] when the system has none, or when the device's capacity is known and would be passed.
    pub fn take(&self, bytes: usize) -> Result<Memory, Error> {
        let bytes = bytes.div_ceil(LINE).checked_mul(LINE).ok_or_else(|| exhausted(bytes))?;
        let mut free = self.lock();
        let fit = free.blocks.range(bytes..=bytes + bytes / 8).next().map(|(size, _)| *size);
        let reused = fit.and_then(|size| {
            let blocks = free.blocks.get_mut(&size)?;
            let block = blocks.pop();
            if blocks.is_empty() {
                free.blocks.remove(&size);
            }
            block
        });
        let block = match reused {
            Some(block) => {
                free.bytes -= block.bytes();
                block
            }
            None => {
                let fits = |held: u64| self.capacity.is_none_or(|c| held.saturating_add(bytes as u64) <= c);
                if !fits(self.bytes()) {
                    // What is free may be of the wrong sizes.
                    self.bytes.fetch_sub(free.bytes as u64, Ordering::Relaxed);
                    free.blocks.clear();
                    free.bytes = 0;
                }
                if !fits(self.bytes()) {
                    return Err(exhausted(bytes));
                }
                let block = Memory::zeroed(bytes).ok_or_else(|| exhausted(bytes))?;
                self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
                block
            }
        };
        free.in_use += block.bytes();
        free.most_in_use = free.most_in_use.max(free.in_use);
        Ok(block)
    }

    /// Takes a block back.
    pub fn give(&self, block: Memory) {
        let mut free = self.lock();
        free.in_use -= block.bytes();
        if free.bytes + block.bytes() > free.most_in_use + KEPT {
            // Sizes that changed for good would pile up for ever.
            self.bytes.fetch_sub(block.bytes() as u64, Ordering::Relaxed);
            return;
        }
        free.bytes += block.bytes();
        free.blocks.entry(block.bytes()).or_default().push(block);
    }

    /// A block for the length of a launch.
    pub fn scratch(&self, bytes: usize) -> Result<Scratch<'_>, Error> {
        Ok(Scratch { block: Some(self.take(bytes)?), pool: self })
    }
}

/// No memory for so many bytes.
pub fn exhausted(bytes: usize) -> Error {
    let problem = format!("no memory for {bytes} more bytes");
    Error::new("allocate", ErrorKind::Memory(problem))
}

/// A block that goes back to its pool.
pub struct Scratch<'a> {
    block: Option<Memory>,
    pool: &'a Pool,
}

impl Scratch<'_> {
    /// All of it.
    pub fn view(&self) -> View<'_> {
        self.block.as_ref().map_or_else(|| self.pool.empty(), Memory::view)
    }
}

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        self.block.take().into_iter().for_each(|block| self.pool.give(block));
    }
}

/// A buffer of the fast executor.
pub struct Buffer {
    block: Option<Memory>,
    bytes: usize,
    pool: Arc<Pool>,
}

impl Buffer {
    /// A buffer with anything in it.
    ///
    /// # Errors
    /// [`ErrorKind::Memory`].
    pub fn new(pool: &Arc<Pool>, bytes: usize) -> Result<Buffer, Error> {
        Ok(Buffer { block: Some(pool.take(bytes)?), bytes, pool: pool.clone() })
    }

    /// All of it.
    pub fn view(&self) -> View<'_> {
        self.block.as_ref().map_or_else(|| self.pool.empty(), Memory::view).bytes_at(0, self.bytes)
    }
}

impl StorageObject for Buffer {
    fn size_bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.block.take().into_iter().for_each(|block| self.pool.give(block));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_used_again() -> Result<(), Error> {
        let pool = Pool::new(Some(1 << 20)).ok_or_else(|| exhausted(0))?;
        let first = Buffer::new(&pool, 1000)?;
        drop(first);
        let held = pool.bytes();
        let again = Buffer::new(&pool, 1000)?;
        assert_eq!(pool.bytes(), held);
        assert!(Buffer::new(&pool, 2 << 20).is_err());
        drop(again);
        // What is free makes room.
        assert_eq!(Buffer::new(&pool, 1 << 20)?.size_bytes(), 1 << 20);
        Ok(())
    }
}
