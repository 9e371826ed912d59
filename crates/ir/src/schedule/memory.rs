//! Where intermediate values live: slots of an activation pool, shared by values whose lifetimes do not overlap.
//!
//! All lifetimes are known, so the largest values get their slots first, and smaller ones lie where those are not: greedy by size, as in
//! Pisarchyk & Lee 2020, arXiv:2001.03288, §4.

use std::{cmp::Reverse, collections::BTreeMap};

use super::ir::{Access, BufId, BufIds, BufferSpec, Inst, Launch, LaunchKind, Linear, Place};

/// Stands for "no place yet".
pub const TEMPORARY: Place = Place::Slot(usize::MAX);

/// Gives every buffer for which `is_temporary` holds a slot; returns the bytes of each slot.
pub fn plan(buffers: &mut [BufferSpec], launches: &[Launch], is_temporary: impl Fn(BufId) -> bool) -> Vec<usize> {
    let mut values = values(buffers, launches, is_temporary);
    let peak = peak(&values, launches.len());
    values.sort_by_key(|value| (Reverse(value.bytes), value.first));
    let mut slots: Vec<Slot> = Vec::new();
    // Slots that are free when most memory is in use: the only ones for a value that lives then.
    let mut free_then: Vec<usize> = Vec::new();
    for value in &values {
        let is_free = |slot: &usize| slots[*slot].is_free(value);
        // The last slot is the smallest.
        let found = match value.lives(peak) {
            true => free_then.iter().rev().copied().find(is_free),
            false => (0..slots.len()).rev().find(is_free),
        };
        let slot = found.unwrap_or_else(|| {
            slots.push(Slot { bytes: value.bytes, taken: BTreeMap::new() });
            free_then.push(slots.len() - 1);
            slots.len() - 1
        });
        slots[slot].taken.insert(value.first, value.last);
        if value.lives(peak) {
            free_then.retain(|free| *free != slot);
        }
        value.buffers.iter().for_each(|buf| buffers[*buf].place = Place::Slot(slot));
    }
    slots.into_iter().map(|slot| slot.bytes).collect()
}

/// Memory for some time.
struct Value {
    bytes: usize,
    /// The launch that writes it, and the last one that reads it.
    first: usize,
    last: usize,
    /// Buffers that lie there, one after the other.
    buffers: Vec<BufId>,
}

impl Value {
    /// Whether it must be there while a launch runs.
    fn lives(&self, launch: usize) -> bool {
        (self.first..=self.last).contains(&launch)
    }
}

struct Slot {
    bytes: usize,
    /// First and last launches of what lies there.
    taken: BTreeMap<usize, usize>,
}

impl Slot {
    fn is_free(&self, value: &Value) -> bool {
        self.taken.range(..=value.last).next_back().is_none_or(|(_, last)| *last < value.first)
    }
}

/// The values of all temporary buffers. An elementwise launch may write over an input that it reads for the last time, element by
/// element: that is one value.
fn values(buffers: &[BufferSpec], launches: &[Launch], is_temporary: impl Fn(BufId) -> bool) -> Vec<Value> {
    let mut last_use = vec![0usize; buffers.len()];
    for (t, launch) in launches.iter().enumerate() {
        launch.work.reads().chain(launch.work.writes()).for_each(|b| last_use[b] = t);
    }
    let mut values: Vec<Value> = Vec::new();
    let mut value_of: Vec<Option<usize>> = vec![None; buffers.len()];
    for (t, launch) in launches.iter().enumerate() {
        let dies = |b: &BufId| last_use[*b] == t && value_of[*b].is_some() && reads_in_place(launch, *b);
        let mut reusable: BufIds = launch.work.reads().filter(dies).collect();
        for written in launch.work.writes() {
            if !is_temporary(written) || value_of[written].is_some() {
                continue;
            }
            let bytes = size(&buffers[written]);
            // Elements of another size would lie elsewhere, in the way of elements still to be read.
            let alike = |b: &BufId| {
                buffers[*b].dtype.size_bytes() == buffers[written].dtype.size_bytes() && size(&buffers[*b]) == bytes
            };
            let inherited = reusable.iter().position(alike).and_then(|i| value_of[reusable.swap_remove(i)]);
            let value = inherited.unwrap_or_else(|| {
                values.push(Value { bytes, first: t, last: t, buffers: Vec::new() });
                values.len() - 1
            });
            values[value].last = last_use[written];
            values[value].buffers.push(written);
            value_of[written] = Some(value);
        }
    }
    values
}

/// The launch during which most memory is in use.
fn peak(values: &[Value], launches: usize) -> usize {
    let mut change = vec![0i64; launches + 1];
    for value in values {
        change[value.first] += value.bytes as i64;
        change[value.last + 1] -= value.bytes as i64;
    }
    let live = change.iter().scan(0, |live, change| {
        *live += change;
        Some(*live)
    });
    live.enumerate().max_by_key(|(t, live)| (*live, Reverse(*t))).map_or(0, |(t, _)| t)
}

fn size(buffer: &BufferSpec) -> usize {
    buffer.len * buffer.dtype.size_bytes()
}

/// Whether a launch reads a buffer only at the element that it writes in the same place of every store.
fn reads_in_place(launch: &Launch, buf: BufId) -> bool {
    let LaunchKind::Loop(l) = &launch.work.code.kind else { return false };
    let (Some(first), Some(buf)) = (l.body.stores.first(), launch.work.number(buf)) else { return false };
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
