//! Whether what is written over a leaf's memory may be written there at once.
//!
//! A launch may write where it reads if every element is read by the point that writes it, and before. That is decided here from
//! addresses, over a finished schedule; an output for which it is not proved is computed in memory of its own and copied at the end.

use std::collections::BTreeSet;

use super::ir::{Access, BufId, Contract, Inst, Launch, LaunchKind, Linear, Loop, Place, Schedule};
use crate::{dtype::DType, program::Program, storage::Footprint};

/// The outputs that must not be written in place.
pub fn unproved(schedule: &Schedule, program: &Program) -> BTreeSet<usize> {
    let places: Vec<Option<Memory>> = (0..schedule.buffers.len()).map(|b| Memory::of(schedule, program, b)).collect();
    let leaves: Vec<(BufId, &Memory)> = (0..places.len())
        .filter(|b| matches!(schedule.buffers[*b].place, Place::Leaf(_)))
        .filter_map(|b| places[b].as_ref().map(|memory| (b, memory)))
        .collect();
    let mut found = BTreeSet::new();
    for (t, launch) in schedule.launches.iter().enumerate() {
        for (written, memory) in launch.work.writes().filter_map(|b| places[b].as_ref().map(|m| (b, m))) {
            let Some(output) = memory.output.filter(|output| !found.contains(output)) else { continue };
            for (leaf, old) in leaves.iter().filter(|(_, old)| old.footprint.overlaps(&memory.footprint)) {
                let read_later = || schedule.launches[t + 1..].iter().any(|l| l.work.reads().any(|b| b == *leaf));
                let read_here =
                    || launch.work.reads().any(|b| b == *leaf) && !memory.written_as_read(launch, written, *leaf, old);
                if read_here() || read_later() {
                    found.insert(output);
                }
            }
        }
    }
    found
}

/// Where a buffer is, if that is known: a leaf's or an output's footprint, or a window in one.
struct Memory {
    footprint: Footprint,
    /// The output that it is, or is a part of.
    output: Option<usize>,
}

impl Memory {
    fn of(schedule: &Schedule, program: &Program, buf: BufId) -> Option<Memory> {
        let spec = &schedule.buffers[buf];
        match spec.place {
            Place::Leaf(i) => Some(Memory { footprint: program.leaves[i].footprint, output: None }),
            Place::Output(i) => {
                let footprint = program.outputs[i].target?;
                Some(Memory { footprint, output: Some(i) })
            }
            Place::Window { of, offset } => {
                let Memory { footprint, output } = Memory::of(schedule, program, of)?;
                Some(Memory {
                    footprint: Footprint { offset: footprint.offset + offset, len: spec.len, ..footprint },
                    output,
                })
            }
            Place::Slot(_) | Place::Zeroed | Place::Walk { .. } => None,
        }
    }

    /// Whether a launch that writes this memory reads each element of a leaf's only at the point that writes over it, and before.
    fn written_as_read(&self, launch: &Launch, written: BufId, leaf: BufId, old: &Memory) -> bool {
        let same_size = |a: DType, b: DType| a.size_bytes() == b.size_bytes();
        if !same_size(self.footprint.dtype, old.footprint.dtype) {
            return false;
        }
        // Elements from the written buffer's start to the leaf's.
        let shift = old.footprint.offset as i64 - self.footprint.offset as i64;
        let (Some(written), Some(leaf)) = (launch.work.number(written), launch.work.number(leaf)) else { return false };
        match &launch.work.code.kind {
            LaunchKind::Loop(l) => in_loop(l, written, leaf, shift),
            LaunchKind::Contract(c) => in_contract(c, written, leaf, shift),
            LaunchKind::Whole(_) | LaunchKind::Repeat(_) => false,
        }
    }
}

fn in_loop(l: &Loop, written: BufId, leaf: BufId, shift: i64) -> bool {
    let levels = l.levels();
    let extents: Vec<usize> = l.outer.iter().chain(&l.inner).copied().collect();
    let last = levels.iter().filter(|level| !level.per_row).map(|level| level.sweep).max().unwrap_or(0);
    l.body.stores.iter().filter(|s| s.buf == written).all(|store| {
        let level = levels[store.value];
        l.body.insts.iter().enumerate().all(|(v, inst)| match inst {
            Inst::Load { buf, at } if *buf == leaf => {
                let when = if l.inner.is_empty() {
                    true
                } else if level.per_row {
                    // Every invocation of a row has read it before the reduction that the store waits for ends.
                    levels[v].per_row && level.sweep > 0
                } else {
                    // What a later sweep needs of an earlier one, it computes again.
                    !levels[v].per_row && level.sweep == last
                };
                when && same_element(at, &store.at, shift, &extents)
            }
            Inst::Gather { buf, .. } => *buf != leaf,
            _ => true,
        })
    })
}

fn in_contract(c: &Contract, written: BufId, leaf: BufId, shift: i64) -> bool {
    let extents: Vec<usize> = c.batch.iter().chain(&c.m).chain(&c.n).copied().collect();
    let operands = [&c.a, &c.b];
    operands.iter().all(|operand| !operand.body.reads().contains(&leaf))
        && c.body.stores.iter().filter(|s| s.buf == written).all(|store| {
            c.body.insts.iter().all(|inst| match inst {
                Inst::Load { buf, at } if *buf == leaf => same_element(at, &store.at, shift, &extents),
                Inst::Gather { buf, .. } => *buf != leaf,
                _ => true,
            })
        })
}

/// Whether a load is of the very element that a store writes, at all coordinates that vary.
fn same_element(load: &Access, store: &Linear, shift: i64, extents: &[usize]) -> bool {
    load.terms.is_empty()
        && load.base.offset + shift == store.offset
        && extents.iter().enumerate().all(|(d, extent)| {
            let coef = |form: &Linear| form.coef.get(d).copied().unwrap_or(0);
            *extent == 1 || coef(&load.base) == coef(store)
        })
}
