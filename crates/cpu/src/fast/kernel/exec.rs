//! Running the code of a loop over its loop nest, in parallel.
//!
//! How the nest is cut into tasks, and the order in which partial results are combined, follow from its extents alone; so
//! the bits of a result do not depend on the number of threads.

use std::ops::Range;

use rayon::prelude::*;

use super::{
    access::Region,
    code::{Kind, LoopCode},
    machine::{Bind, Machine},
    reduce::{Acc, WIDTH},
};

/// Lane-operations below which a task is not worth starting: some 20 µs.
pub const TASK: usize = 1 << 16;
/// The most tasks that a launch is cut into.
const TASKS: usize = 64;
/// Blocks of a row that share an accumulator.
const ROW_SEGMENT: usize = 32;
/// Steps of a column that share an accumulator.
const COLUMN_SEGMENT: usize = 32;

impl LoopCode {
    /// Lane-operations that it comes to.
    pub fn work(&self) -> usize {
        self.extents.iter().fold(self.weight, |work, n| work.saturating_mul(*n))
    }

    /// Runs it on a box of its outer coordinates (all of `inner`).
    pub fn execute(&self, bind: Bind<'_>, region: &Region) {
        let shape = Shape::new(self, region);
        if shape.items == 0 {
            return;
        }
        let cost = shape.lanes_per_item.saturating_mul(self.weight).saturating_mul(shape.units.max(1));
        if bind.shared
            && shape.items < 16
            && shape.units >= 2 * shape.segment
            && cost.saturating_mul(shape.items) > 2 * TASK
        {
            let mut machine = Machine::new(self, bind, *region);
            for item in 0..shape.items {
                machine.item(&shape, item, true);
            }
            return;
        }
        if !bind.shared {
            let mut machine = Machine::new(self, bind, *region);
            (0..shape.items).for_each(|item| machine.item(&shape, item, false));
            return;
        }
        let chunk = (TASK / cost.max(1)).max(shape.items.div_ceil(TASKS)).max(1);
        let tasks = shape.items.div_ceil(chunk);
        let task = |t: usize| {
            let mut machine = Machine::new(self, bind, *region);
            for item in t * chunk..((t + 1) * chunk).min(shape.items) {
                machine.item(&shape, item, false);
            }
        };
        if tasks > 1 {
            (0..tasks).into_par_iter().with_max_len(1).for_each(task);
        } else {
            (0..tasks).for_each(task);
        }
    }
}

/// How a loop nest is cut, on one box.
struct Shape {
    /// Rows, or blocks of rows.
    items: usize,
    /// Points of the coordinates in front of the lanes, in columns.
    rows: usize,
    /// Blocks of lanes in one go over the lane coordinates.
    blocks: usize,
    /// Lanes in all.
    lanes: usize,
    lanes_per_item: usize,
    /// Blocks of a row, or steps of a column.
    units: usize,
    segment: usize,
}

impl Shape {
    fn new(code: &LoopCode, region: &Region) -> Shape {
        let all = code.extents.len();
        let lanes = region.count(code.lanes.clone());
        let blocks = lanes.div_ceil(code.block);
        match code.kind {
            Kind::Rows => Shape {
                items: region.count(0..code.outer),
                rows: 1,
                blocks,
                lanes,
                lanes_per_item: lanes.min(code.block),
                units: region.count(code.outer..code.lanes.start) * blocks,
                segment: ROW_SEGMENT,
            },
            Kind::Columns => Shape {
                items: region.count(0..code.lanes.start) * blocks,
                rows: region.count(0..code.lanes.start),
                blocks,
                lanes,
                lanes_per_item: lanes.min(code.block),
                units: region.count(code.outer..all),
                segment: COLUMN_SEGMENT,
            },
        }
    }
}

impl Machine<'_> {
    /// One row, or one block of rows.
    fn item(&mut self, shape: &Shape, item: usize, parallel: bool) {
        let code = self.code;
        match code.kind {
            Kind::Rows => self.region.decode(0..code.outer, item, &mut self.coords),
            Kind::Columns => {
                let (row, block) = if code.down {
                    (item % shape.rows, item / shape.rows)
                } else {
                    (item / shape.blocks, item % shape.blocks)
                };
                self.region.decode(0..code.lanes.start, row, &mut self.coords);
                self.block(shape, block);
            }
        }
        for (s, sweep) in code.sweeps.iter().enumerate() {
            self.rewind();
            self.run(&sweep.before);
            if !sweep.reductions.is_empty() || !sweep.puts.is_empty() {
                self.sweep(shape, s, parallel);
            }
        }
        self.rewind();
        for put in &code.puts {
            self.put(put);
        }
    }

    /// Back to the start of `inner`.
    fn rewind(&mut self) {
        let code = self.code;
        for d in code.outer..code.extents.len() {
            self.coords[d] = self.region.lo[d];
        }
        if code.kind == Kind::Rows {
            self.n = 1;
        }
    }

    /// Moves to a block of lanes; gives the position of its first lane.
    fn block(&mut self, shape: &Shape, block: usize) -> usize {
        let first = block * self.code.block;
        self.region.decode(self.code.lanes.clone(), first, &mut self.coords);
        self.n = self.code.block.min(shape.lanes - first);
        first
    }

    /// One sweep, by segments that each have accumulators of their own.
    fn sweep(&mut self, shape: &Shape, s: usize, parallel: bool) {
        let reductions = &self.code.sweeps[s].reductions;
        let segments = shape.units.div_ceil(shape.segment).max(1);
        let units = |segment: usize| segment * shape.segment..((segment + 1) * shape.segment).min(shape.units);
        let arch = self.arch;
        let join = |total: &mut Vec<Acc>, part: &[Acc]| {
            for ((total, part), r) in total.iter_mut().zip(part).zip(reductions) {
                total.join(arch, r.op, r.class, part);
            }
        };
        let mut total: Vec<Acc>;
        if parallel && segments > 1 {
            let here = &*self;
            let parts: Vec<Vec<Acc>> = (0..segments)
                .into_par_iter()
                .map(|segment| {
                    let mut machine = here.fork();
                    machine.segment(shape, s, units(segment));
                    std::mem::take(&mut machine.accs)
                })
                .collect();
            let mut parts = parts.into_iter();
            total = parts.next().unwrap_or_default();
            parts.for_each(|part| join(&mut total, &part));
        } else {
            self.segment(shape, s, units(0));
            total = std::mem::take(&mut self.accs);
            for segment in 1..segments {
                self.segment(shape, s, units(segment));
                let part = std::mem::take(&mut self.accs);
                join(&mut total, &part);
                self.accs = part;
            }
        }
        for (acc, r) in total.iter_mut().zip(reductions) {
            if self.code.kind == Kind::Rows {
                acc.fold_lanes(arch, r.op, r.class);
            }
            let result = acc.finish(r.op);
            // A position that nothing has taken is that of the first element.
            self.set(r.dst, |_, y| {
                for (y, x) in y.iter_mut().zip(result) {
                    *y = if acc.position.is_empty() || *x != u32::MAX { *x } else { 0 };
                }
            });
        }
        self.accs = total;
    }

    /// Blocks of a row, or steps of a column, into fresh accumulators.
    fn segment(&mut self, shape: &Shape, s: usize, units: Range<usize>) {
        let code = self.code;
        let sweep = &code.sweeps[s];
        let (row, arch) = (code.kind == Kind::Rows, self.arch);
        let mut accs = std::mem::take(&mut self.accs);
        accs.resize_with(sweep.reductions.len(), Acc::default);
        for (acc, r) in accs.iter_mut().zip(&sweep.reductions) {
            let lanes = if row {
                WIDTH
            } else if r.src.uniform {
                1
            } else {
                self.n
            };
            acc.reset(r.op, r.class, lanes);
        }
        let all = code.extents.len();
        if !row {
            self.region.decode(code.outer..all, units.start, &mut self.coords);
        }
        for unit in units {
            let position = if row {
                let (mid, block) = (unit / shape.blocks, unit % shape.blocks);
                self.region.decode(code.outer..code.lanes.start, mid, &mut self.coords);
                mid * shape.lanes + self.block(shape, block)
            } else {
                unit
            };
            self.run(&sweep.code);
            for (acc, r) in accs.iter_mut().zip(&sweep.reductions) {
                match r.times {
                    Some(times) => acc.add_products(arch, self.get(r.src), self.get(times)),
                    None => acc.take(arch, r.op, r.class, self.get(r.src), position, row),
                }
            }
            for put in &sweep.puts {
                self.put(put);
            }
            if !row {
                self.advance(code.outer..all);
            }
        }
        self.accs = accs;
    }

    /// The next point of a box of coordinates.
    fn advance(&mut self, coords: Range<usize>) {
        for d in coords.rev() {
            self.coords[d] += 1;
            if self.coords[d] < self.region.hi[d] {
                return;
            }
            self.coords[d] = self.region.lo[d];
        }
    }
}
