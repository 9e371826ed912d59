//! Where intermediate values live: slots of an activation pool, shared by values whose lifetimes do not overlap.

use super::ir::{Access, BufId, BufferSpec, Inst, Launch, LaunchKind, Linear, Place};

/// Stands for "no place yet".
pub const TEMPORARY: Place = Place::Slot(usize::MAX);

/// Gives every buffer for which `is_temporary` holds a slot; returns the bytes of each slot.
pub fn plan(buffers: &mut [BufferSpec], launches: &[Launch], is_temporary: impl Fn(BufId) -> bool) -> Vec<usize> {
    let mut last_use = vec![0usize; buffers.len()];
    for (t, launch) in launches.iter().enumerate() {
        launch.reads().into_iter().chain(launch.writes()).for_each(|b| last_use[b] = t);
    }
    let mut slots: Vec<usize> = Vec::new();
    let mut free: Vec<usize> = Vec::new();
    let mut slot_of: Vec<Option<usize>> = vec![None; buffers.len()];
    for (t, launch) in launches.iter().enumerate() {
        let reads = launch.reads();
        let dying: Vec<BufId> = reads.iter().copied().filter(|b| last_use[*b] == t && slot_of[*b].is_some()).collect();
        // An elementwise launch may write over an input that it reads for the last time, element by element.
        let mut reusable: Vec<BufId> = dying.iter().copied().filter(|b| reads_in_place(launch, *b)).collect();
        for written in launch.writes() {
            if !is_temporary(written) || slot_of[written].is_some() {
                continue;
            }
            let bytes = size(&buffers[written]);
            // Elements of another size would lie elsewhere, in the way of elements still to be read.
            let alike = |b: &BufId| buffers[*b].dtype.size_bytes() == buffers[written].dtype.size_bytes();
            let inherited = reusable.iter().position(|b| alike(b) && size(&buffers[*b]) == bytes);
            let slot = match inherited.map(|i| reusable.swap_remove(i)) {
                Some(input) => slot_of[input].take().unwrap_or_else(|| unreachable!("a dying input has a slot")),
                None => take(&mut free, &mut slots, bytes),
            };
            slot_of[written] = Some(slot);
            buffers[written].place = Place::Slot(slot);
        }
        for buf in dying.into_iter().chain(launch.writes().into_iter().filter(|b| last_use[*b] == t)) {
            free.extend(slot_of[buf].take());
        }
    }
    slots
}

fn size(buffer: &BufferSpec) -> usize {
    buffer.len * buffer.dtype.size_bytes()
}

/// The free slot that fits best; else the largest one, grown; else a new one.
fn take(free: &mut Vec<usize>, slots: &mut Vec<usize>, bytes: usize) -> usize {
    let fitting = (0..free.len()).filter(|i| slots[free[*i]] >= bytes).min_by_key(|i| slots[free[*i]]);
    let largest = || (0..free.len()).max_by_key(|i| slots[free[*i]]);
    match fitting.or_else(largest) {
        Some(i) => {
            let slot = free.swap_remove(i);
            slots[slot] = slots[slot].max(bytes);
            slot
        }
        None => {
            slots.push(bytes);
            slots.len() - 1
        }
    }
}

/// Whether a launch reads a buffer only at the element that it writes in the same place of every store.
fn reads_in_place(launch: &Launch, buf: BufId) -> bool {
    let LaunchKind::Loop(l) = &launch.kind else { return false };
    let Some(first) = l.body.stores.first() else { return false };
    let same_place = |at: &Access| at.terms.is_empty() && same(&at.base, &first.at, &l.outer);
    l.inner.is_empty()
        && l.body.stores.iter().all(|s| same(&s.at, &first.at, &l.outer))
        && l.body.insts.iter().all(|inst| match inst {
            Inst::Load { buf: read, at } => *read != buf || same_place(at),
            Inst::Gather { buf: read, .. } => *read != buf,
            _ => true,
        })
}

/// Whether two forms agree on every coordinate that varies.
fn same(a: &Linear, b: &Linear, extents: &[usize]) -> bool {
    a.offset == b.offset && (0..extents.len()).all(|d| extents[d] == 1 || a.coef[d] == b.coef[d])
}
