//! Memory that the plans of a device share.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use thalweg_ir::{
    Result,
    schedule::ir::{BufferSpec, Place},
};

use super::{inner::Inner, pool::GpuBuffer};

/// The identity of a zeroed buffer: bytes, and what lies where in it.
type ZeroedKey = (usize, Vec<(usize, usize)>);

/// What the plans of a device share.
#[derive(Default)]
pub(crate) struct Shared {
    /// The activation pool, largest first: as large as the most demanding plan needs.
    pub slots: Vec<Arc<GpuBuffer>>,
    /// Buffers whose padding is zero and stays so, for plans that lay out the same things in them.
    zeroed: HashMap<ZeroedKey, Weak<GpuBuffer>>,
}

impl Shared {
    /// Makes the activation pool large enough for slots of so many bytes, largest first.
    pub fn grow(&mut self, inner: &Inner, slot_bytes: &[usize]) -> Result<()> {
        for (i, size) in slot_bytes.iter().enumerate() {
            if self.slots.get(i).is_some_and(|slot| slot.capacity() >= *size as u64) {
                continue;
            }
            // The old one goes back first, so that the pool may give it to something else.
            let slot = Arc::new(inner.pool.take(&inner.context, *size, &"activations")?);
            if i < self.slots.len() { self.slots[i] = slot } else { self.slots.push(slot) }
        }
        Ok(())
    }

    /// The zeroed buffers of a plan, shared with those that lay out the same in them.
    pub fn zeroed(&mut self, inner: &Inner, buffers: &[BufferSpec]) -> Result<Vec<Option<Arc<GpuBuffer>>>> {
        let mut zeroed = vec![None; buffers.len()];
        for (i, spec) in buffers.iter().enumerate() {
            if spec.place != Place::Zeroed {
                continue;
            }
            let windows = buffers.iter().filter_map(|b| match b.place {
                Place::Window { of, offset } if of == i => Some((offset, b.len)),
                _ => None,
            });
            let size = spec.len * spec.dtype.size_bytes();
            let key: ZeroedKey = (size, windows.collect());
            let known = self.zeroed.get(&key).and_then(Weak::upgrade);
            // One plan may have several of the same layout.
            let taken = |b: &Arc<GpuBuffer>| zeroed.iter().flatten().any(|z: &Arc<GpuBuffer>| Arc::ptr_eq(z, b));
            zeroed[i] = Some(match known.filter(|b| !taken(b)) {
                Some(buffer) => buffer,
                None => {
                    let made = inner.transfers.zeros(&inner.context, &inner.pool, size, &"packed gradients")?;
                    let made = Arc::new(made);
                    self.zeroed.insert(key, Arc::downgrade(&made));
                    made
                }
            });
        }
        Ok(zeroed)
    }
}
