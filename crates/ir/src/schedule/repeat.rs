//! A recorded step in a schedule: it is planned once, in buffers that lie elsewhere at every step.
//!
//! ```text
//! copy  start ──────▶ carries[0],  constants ──▶ as they are multiplied by
//! times 0 … T-1:      carries[t], xs[t], constants ──▶ carries[t+1], ys[t]
//! copy  carries[T] ──▶ end
//! ```

use super::{
    ir::{
        Access, Array, Body, BufId, BufferSpec, Contract, ContractKind, Inst, Launch, LaunchKind, Linear, Loop,
        Operand, Place, Read, Repeat, Schedule, Store, Title, Whole, Work,
    },
    memory::TEMPORARY,
};
use crate::{
    dtype::DType,
    op::scan::{Part, Scan, Walk, row},
    program::NodeId,
    shape::count,
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
    (title, members): (&Title, &[NodeId]),
    body: Schedule,
    specs: &mut Vec<BufferSpec>,
    laid_out: bool,
) -> Vec<Launch> {
    let carried: Vec<Carried> = (0..scan.carries).map(|c| Carried::of(scan, &whole, c, specs)).collect();
    let launch = |kind: LaunchKind| Launch { work: Work::new(kind), title: title.clone(), members: members.to_vec() };
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
    // What walks in the step already is walked there.
    let own = body.buffers.iter().zip(&of).filter(|(inner, _)| !matches!(inner.place, Place::Walk { .. }));
    let walking = own.map(|(_, outer)| *outer).filter(|buf| matches!(specs[*buf].place, Place::Walk { .. })).collect();
    let mut launches = body.launches;
    for launch in &mut launches {
        let mut kind = launch.work.kind();
        // Two of its constants may be one.
        kind.buffers_mut().into_iter().for_each(|buf| *buf = of[*buf]);
        launch.work = Work::new(kind);
        launch.members = members.to_vec();
        // They come from no node of the program that is run.
        launch.work.checks_mut().iter_mut().for_each(|check| check.node = usize::MAX);
    }
    let mut scratch: Vec<BufId> = carried.iter().filter(|c| c.read.period > 0).map(|c| c.buf).chain(slots).collect();
    if laid_out {
        let constants: Vec<BufId> = whole.inputs[scan.carries + scan.sequences..].iter().map(|of| of.buf).collect();
        for (buf, kind) in lay_out(&mut launches, &constants, specs) {
            scratch.push(buf);
            all.push(launch(kind));
        }
    }
    all.push(launch(LaunchKind::Repeat(Repeat { times: scan.steps, launches, walking, whole, scratch })));
    all.extend(after);
    all
}

/// Has contractions read constants from copies: in F32, what is next to one another in the order in which it is read. Gives the copies.
fn lay_out(launches: &mut [Launch], constants: &[BufId], specs: &mut Vec<BufferSpec>) -> Vec<(BufId, LaunchKind)> {
    let mut known: Vec<(Operand, Layout, BufId)> = Vec::new();
    let mut copies = Vec::new();
    for launch in launches {
        let LaunchKind::Contract(mut c) = launch.work.kind() else { continue };
        let is_constant = |operand: &Operand| operand.read().is_some_and(|read| constants.contains(&read.buf));
        let panels = if is_constant(&c.b) { in_panels(&c) } else { None };
        let is_in_panels = panels.is_some();
        c = panels.unwrap_or(c);
        let layouts = [Layout::as_listed(&c.extents()[0]), Layout::of_right(&c, is_in_panels)];
        for (operand, layout) in [&mut c.a, &mut c.b].into_iter().zip(layouts) {
            let Some(Read { buf: from, dtype, at, casts }) = operand.read() else { continue };
            let plain = dtype == DType::F32 && casts.is_empty();
            let as_read = plain && layout.holds(&at.base, is_in_panels);
            // Windows, and what is repeated, are larger than what they are of.
            let once = at.terms.is_empty() && count(&layout.extents) <= specs[from].len;
            if as_read || !once || !constants.contains(&from) {
                continue;
            }
            let found = known.iter().find(|(of, to, _)| (of, to) == (&*operand, &layout)).map(|known| known.2);
            let buf = found.unwrap_or_else(|| {
                let to = temporary(specs, count(&layout.extents), DType::F32);
                copies.push((to, LaunchKind::Loop(layout.copy(operand.clone(), to))));
                known.push((operand.clone(), layout.clone(), to));
                to
            });
            let at = Access { base: layout.at.clone(), terms: vec![], fill: 0.0 };
            *operand = Operand::load(buf, DType::F32, at);
        }
        launch.work = Work::new(LaunchKind::Contract(c));
    }
    copies
}

/// Rows of results up to which a large right side is read as often as it is multiplied by.
const FEW_ROWS: usize = 64;
/// Elements of a right side that no cache near a core holds.
const LARGE: usize = 1 << 18;
/// Columns of a panel, the best first: a few vectors.
const PANELS: [usize; 6] = [64, 96, 48, 80, 128, 112];

/// A product of few rows with a large matrix in panels of columns, each of which lies in one stretch: it is read in the order in which it
/// lies, where rows of all columns would be far apart.
fn in_panels(c: &Contract) -> Option<Contract> {
    let worth = c.kind == ContractKind::Matmul
        && c.n.len() == 1
        && count(&c.m) <= FEW_ROWS
        && count(&c.n) * count(&c.k) >= LARGE;
    if worth { PANELS.iter().find_map(|columns| c.in_panels(*columns)) } else { None }
}

/// How the elements of an operand lie in its copy.
#[derive(Clone, PartialEq)]
struct Layout {
    /// Of the operand's coordinates.
    extents: Vec<usize>,
    at: Linear,
}

impl Layout {
    /// Row-major.
    fn as_listed(extents: &[usize]) -> Layout {
        Layout::in_order(extents, &(0..extents.len()).collect::<Vec<_>>())
    }

    /// Of the right side: row-major, or panel by panel.
    fn of_right(c: &Contract, in_panels: bool) -> Layout {
        let [_, extents] = c.extents();
        if !in_panels {
            return Layout::as_listed(&extents);
        }
        let (b, k, all) = (c.batch.len(), c.k.len(), extents.len());
        let order: Vec<usize> = (0..b).chain(b + k..all - 1).chain(b..b + k).chain([all - 1]).collect();
        Layout::in_order(&extents, &order)
    }

    /// With these coordinates from the outermost to the innermost.
    fn in_order(extents: &[usize], order: &[usize]) -> Layout {
        let mut at = Linear::zero(extents.len());
        let mut step = 1;
        for d in order.iter().rev() {
            at.coef[*d] = step;
            step *= extents[*d] as i64;
        }
        Layout { extents: extents.to_vec(), at }
    }

    /// Whether elements that are read so lie well already: all of them, or else those next to one another.
    fn holds(&self, read: &Linear, entirely: bool) -> bool {
        let mut steps = self.extents.iter().zip(&read.coef).zip(&self.at.coef).filter(|((extent, _), _)| **extent > 1);
        match entirely {
            true => steps.all(|((_, step), wanted)| step == wanted),
            false => steps.next_back().is_none_or(|((_, step), _)| *step == 1),
        }
    }

    /// Elements of an operand, rounded as it says, as they lie here.
    fn copy(&self, operand: Operand, to: BufId) -> Loop {
        let Operand { mut body } = if operand.dtype() == DType::F32 { operand } else { operand.cast(DType::F32) };
        body.stores.push(Store { buf: to, at: self.at.clone(), value: body.insts.len() - 1 });
        Loop { outer: self.extents.clone(), inner: vec![], body }
    }
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
