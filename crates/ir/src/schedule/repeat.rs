//! A recorded step in a schedule: it is planned once, in buffers that lie elsewhere at every step.
//!
//! ```text
//! copy  start ──────▶ carries[0],  constants ──▶ as they are multiplied by
//! times 0 … T-1:      carries[t], xs[t], constants ──▶ carries[t+1], ys[t]
//! copy  carries[T] ──▶ end
//! ```

use super::{
    ir::{
        Access, Array, Body, BufId, BufferSpec, Inst, Launch, LaunchKind, Linear, Loop, Operand, Place, Read, Repeat,
        Schedule, Store, Whole,
    },
    memory::TEMPORARY,
};
use crate::{
    dtype::DType,
    op::scan::{Part, Scan, Walk, row},
    program::NodeId,
    shape::{count, strides},
};

/// Which results of a step somebody needs: every carry, and each `y` that is asked for.
pub fn wanted(scan: &Scan, whole: &Whole) -> Vec<bool> {
    let ys = scan.step.outputs.len() - scan.carries;
    let rows = (0..ys).map(|y| whole.outputs[scan.number(Part::Row(y))].is_some());
    (0..scan.carries).map(|_| true).chain(rows).collect()
}

/// The launches of a scan whose step has this schedule. All are known by what the scan is.
pub fn launches(
    scan: &Scan,
    whole: Whole,
    (label, members): (&str, &[NodeId]),
    body: Schedule,
    specs: &mut Vec<BufferSpec>,
    laid_out: bool,
) -> Vec<Launch> {
    let carried: Vec<Carried> = (0..scan.carries).map(|c| Carried::of(scan, &whole, c, specs)).collect();
    let launch = |kind: LaunchKind| Launch { kind, label: label.to_string(), members: members.to_vec() };
    let copied = |from: (BufId, usize), to: (BufId, usize), carried: &Carried| {
        launch(copy(from, to, carried.len, carried.dtype))
    };
    let before = carried.iter().zip(&whole.inputs).map(|(c, start)| copied((start.buf, 0), (c.buf, c.read.start), c));
    let mut all: Vec<Launch> = before.collect();
    let ends = carried
        .iter()
        .zip(&whole.outputs)
        .filter_map(|(c, end)| end.as_ref().map(|end| copied((c.buf, c.read.at(scan.steps)), (end.buf, 0), c)));
    let after: Vec<Launch> = ends.collect();

    let slots: Vec<BufId> = body.slots.iter().map(|bytes| temporary(specs, bytes.div_ceil(4), DType::U32)).collect();
    let rows: Vec<&Array> = whole.outputs[scan.number(Part::Row(0))..].iter().flatten().collect();
    let mut of: Vec<BufId> = Vec::with_capacity(body.buffers.len());
    for spec in &body.buffers {
        let (dtype, len) = (spec.dtype, spec.len);
        let walked = |buf: BufId, walk: Walk, specs: &mut Vec<BufferSpec>| {
            push(specs, BufferSpec { dtype, len, place: Place::Walk { of: buf, walk } })
        };
        of.push(match spec.place {
            Place::Leaf(i) if i < scan.carries => walked(carried[i].buf, carried[i].read, specs),
            Place::Leaf(i) if i < scan.carries + scan.sequences => {
                walked(whole.inputs[i].buf, scan.along(row(len)), specs)
            }
            Place::Leaf(i) => whole.inputs[i].buf,
            Place::Output(o) if o < scan.carries => walked(carried[o].buf, carried[o].write, specs),
            Place::Output(o) => walked(rows[o - scan.carries].buf, scan.along(row(len)), specs),
            Place::Slot(slot) => {
                push(specs, BufferSpec { dtype, len, place: Place::Window { of: slots[slot], offset: 0 } })
            }
            Place::Zeroed => push(specs, spec.clone()),
            // What it is in is known below.
            Place::Window { .. } | Place::Walk { .. } => push(specs, spec.clone()),
        });
    }
    for (inner, outer) in body.buffers.iter().zip(&of) {
        match inner.place {
            Place::Window { of: holder, offset } => specs[*outer].place = within(specs, of[holder], offset),
            Place::Walk { of: holder, walk } => specs[*outer].place = Place::Walk { of: of[holder], walk },
            _ => {}
        }
    }
    let mut launches = body.launches;
    for launch in &mut launches {
        launch.kind.buffers_mut().into_iter().for_each(|buf| *buf = of[*buf]);
        launch.members = members.to_vec();
        // They come from no node of the program that is run.
        launch.checks_mut().iter_mut().for_each(|check| check.node = usize::MAX);
    }
    let mut scratch: Vec<BufId> = carried.iter().filter(|c| c.read.period > 0).map(|c| c.buf).chain(slots).collect();
    if laid_out {
        let constants: Vec<BufId> = whole.inputs[scan.carries + scan.sequences..].iter().map(|of| of.buf).collect();
        for (buf, kind) in lay_out(&mut launches, &constants, specs) {
            scratch.push(buf);
            all.push(launch(kind));
        }
    }
    all.push(launch(LaunchKind::Repeat(Repeat { times: scan.steps, launches, whole, scratch })));
    all.extend(after);
    all
}

/// Has contractions read constants from copies: in F32, what is next to one another in the order in which it is read. Gives the copies.
fn lay_out(launches: &mut [Launch], constants: &[BufId], specs: &mut Vec<BufferSpec>) -> Vec<(BufId, LaunchKind)> {
    let mut known: Vec<(Operand, Vec<usize>, BufId)> = Vec::new();
    let mut copies = Vec::new();
    for launch in launches {
        let LaunchKind::Contract(c) = &mut launch.kind else { continue };
        let [left, right] = c.extents();
        for (operand, extents) in [(&mut c.a, left), (&mut c.b, right)] {
            let Some(Read { buf: from, dtype, at, casts }) = operand.read() else { continue };
            let next = extents.iter().zip(&at.base.coef).rev().find(|(extent, _)| **extent > 1);
            let plain = dtype == DType::F32 && casts.is_empty();
            let as_read = plain && next.is_none_or(|(_, step)| *step == 1);
            // Windows, and what is repeated, are larger than what they are of.
            let once = at.terms.is_empty() && count(&extents) <= specs[from].len;
            if as_read || !once || !constants.contains(&from) {
                continue;
            }
            let found = known.iter().find(|(of, along, _)| (of, along) == (&*operand, &extents)).map(|known| known.2);
            let buf = found.unwrap_or_else(|| {
                let to = temporary(specs, count(&extents), DType::F32);
                copies.push((to, LaunchKind::Loop(dense(operand.clone(), &extents, to))));
                known.push((operand.clone(), extents.clone(), to));
                to
            });
            let base = Linear { offset: 0, coef: strides(&extents).into_iter().map(|s| s as i64).collect() };
            *operand = Operand::load(buf, DType::F32, Access { base, terms: vec![], fill: 0.0 });
        }
    }
    copies
}

/// Elements of an operand, rounded as it says, in the order in which it is read.
fn dense(operand: Operand, extents: &[usize], to: BufId) -> Loop {
    let Operand { mut body } = if operand.dtype() == DType::F32 { operand } else { operand.cast(DType::F32) };
    let at = Linear { offset: 0, coef: strides(extents).into_iter().map(|s| s as i64).collect() };
    body.stores.push(Store { buf: to, at, value: body.insts.len() - 1 });
    Loop { outer: extents.to_vec(), inner: vec![], body }
}

/// Where a carry is kept.
struct Carried {
    buf: BufId,
    dtype: DType,
    /// Elements.
    len: usize,
    read: Walk,
    write: Walk,
}

impl Carried {
    /// In the result that has all of them, if somebody asks for it; else two go round.
    fn of(scan: &Scan, whole: &Whole, c: usize, specs: &mut Vec<BufferSpec>) -> Carried {
        let carry = &scan.step.outputs[c];
        let (len, dtype) = (carry.count(), carry.dtype);
        let kept = whole.outputs[scan.number(Part::Before(c))].as_ref();
        let buf = kept.map_or_else(|| temporary(specs, 2 * row(len), dtype), |array| array.buf);
        let [read, write] = scan.carried(row(len), kept.is_some());
        Carried { buf, dtype, len, read, write }
    }
}

fn push(specs: &mut Vec<BufferSpec>, spec: BufferSpec) -> BufId {
    specs.push(spec);
    specs.len() - 1
}

fn temporary(specs: &mut Vec<BufferSpec>, len: usize, dtype: DType) -> BufId {
    push(specs, BufferSpec { dtype, len, place: TEMPORARY })
}

/// A window of a buffer, which may be one itself, or walk.
fn within(specs: &[BufferSpec], holder: BufId, offset: usize) -> Place {
    match specs[holder].place {
        Place::Window { of, offset: start } => Place::Window { of, offset: start + offset },
        Place::Walk { of, walk } => Place::Walk { of, walk: Walk { start: walk.start + offset, ..walk } },
        _ => Place::Window { of: holder, offset },
    }
}

/// Elements from one place to another.
fn copy(from: (BufId, usize), to: (BufId, usize), len: usize, dtype: DType) -> LaunchKind {
    let at = |offset: usize| Linear::new(offset as i64, &[1]);
    let load = Inst::Load { buf: from.0, at: Access { base: at(from.1), terms: vec![], fill: 0.0 } };
    let store = Store { buf: to.0, at: at(to.1), value: 0 };
    let body = Body { insts: vec![load], dtypes: vec![dtype], stores: vec![store], checks: vec![] };
    LaunchKind::Loop(Loop { outer: vec![len], inner: vec![], body })
}
