//! Where the buffers of a plan are in a run.

use thalweg_ir::{
    Error, ErrorKind, Result,
    program::{Bindings, Program},
    schedule::ir::{BufId, Place},
    storage::{Region, Storage},
};

use super::{
    super::{inner::Inner, pool::GpuBuffer, shared::Shared, step::Bound, transfer::foreign},
    Plan,
};

impl Plan {
    /// Finds every buffer of this run; makes outputs that were not given.
    pub(super) fn bind(
        &mut self,
        inner: &Inner,
        shared: &mut Shared,
        program: &Program,
        bindings: &Bindings,
    ) -> Result<Vec<Option<Storage>>> {
        let context = &inner.context;
        shared.grow(inner, &self.slot_bytes)?;
        let mut made: Vec<Option<Storage>> = vec![None; program.outputs.len()];
        for (spec, cleared) in self.buffers.iter().zip(&self.cleared) {
            if let Place::Output(i) = spec.place
                && bindings.targets[i].is_none()
                && made[i].is_none()
            {
                let size = spec.len * spec.dtype.size_bytes();
                let label = program.nodes[program.outputs[i].node].label.to_string();
                made[i] = Some(Storage::new(match cleared {
                    true => inner.transfers.zeros(context, &inner.pool, size, &label)?,
                    false => inner.pool.take(context, size, &label)?,
                }));
            }
        }
        self.bound.clear();
        for (i, spec) in self.buffers.iter().enumerate() {
            let (holder, start_in_holder) = match spec.place {
                Place::Window { of, offset } => (of, offset),
                // Where it is at each step is found there.
                Place::Walk { of, .. } => {
                    self.bound.push(self.bound[of].clone());
                    continue;
                }
                _ => (i, 0),
            };
            let each = spec.dtype.size_bytes();
            let (buffer, offset) = match self.buffers[holder].place {
                Place::Leaf(i) => (gpu(&bindings.leaves[i].storage)?, bindings.leaves[i].offset),
                Place::Output(i) => match (&bindings.targets[i], &made[i]) {
                    (Some(region), _) => (gpu(&region.storage)?, region.offset),
                    (None, Some(storage)) => (gpu(storage)?, 0),
                    (None, None) => return Err(broken("an output has no memory")),
                },
                Place::Slot(i) => (&*shared.slots[self.slot_order[i]], 0),
                Place::Zeroed => match &self.zeroed[holder] {
                    Some(buffer) => (&**buffer, 0),
                    None => return Err(broken("a zeroed buffer has no memory")),
                },
                Place::Window { .. } | Place::Walk { .. } => return Err(broken("a window lies in a window")),
            };
            let start = ((offset + start_in_holder) * each) as u64;
            let capacity = buffer.capacity();
            if !(offset + start_in_holder).is_multiple_of(4) {
                return Err(broken("a region does not start at a multiple of four elements"));
            }
            if start + (spec.len * each) as u64 > capacity {
                return Err(broken("a region is longer than its buffer"));
            }
            self.bound.push(Bound::of(&buffer.buffer, buffer.id, start, spec, capacity, context.alignment));
        }
        // Behind the buffers: scratch, if any kernel has some.
        if let Some(scratch) = self.scratch {
            let slot = &shared.slots[scratch];
            let (buffer, size) = (slot.buffer.clone(), slot.capacity());
            self.bound.push(Bound { buffer, id: slot.id, offset: 0, size, remainder: 0, start: 0, capacity: size });
        }
        Ok(made)
    }

    /// The region of an output.
    pub(super) fn region(&self, buf: BufId, bindings: &Bindings, made: &[Option<Storage>]) -> Result<Region> {
        let spec = &self.buffers[buf];
        let (holder, start) = match spec.place {
            Place::Window { of, offset } => (of, offset),
            _ => (buf, 0),
        };
        let (storage, offset) = match self.buffers[holder].place {
            Place::Leaf(i) => (bindings.leaves[i].storage.clone(), bindings.leaves[i].offset),
            Place::Output(i) => match (&bindings.targets[i], &made[i]) {
                (Some(region), _) => (region.storage.clone(), region.offset),
                (None, Some(storage)) => (storage.clone(), 0),
                (None, None) => return Err(broken("an output has no memory")),
            },
            _ => return Err(broken("an output lies in the plan's own memory")),
        };
        Ok(Region { storage, offset: offset + start, len: spec.len, dtype: spec.dtype })
    }
}

fn gpu(storage: &Storage) -> Result<&GpuBuffer> {
    storage.downcast::<GpuBuffer>().ok_or_else(foreign)
}

/// A schedule that breaks its contract: a bug of ours, but no reason to panic in a user's training run.
fn broken(problem: &str) -> Error {
    Error::new("run", ErrorKind::Device(format!("internal: {problem}")))
}
