//! From a [`Loop`] to its code: what is computed when, and in which register.

use std::ops::Range;

use smallvec::{SmallVec, smallvec};
use thalweg_ir::{
    Class, DType, ReduceOp,
    op::{binary::BinaryOp, unary::UnaryOp},
    schedule::{
        ir::{Access, BufId, Inst, Level, Loop, Store, Val},
        transform::{Ones, merge},
    },
};

use super::{
    access::{MAX_COORDS, Reach, Sparse},
    alu,
    code::{Instr, Kind, LoopCode, Put, Reduction, Src, Sweep, What},
    lanes::{BLOCK, ROW, bits, kind, suffix, varies},
    pair::Pair,
};
use crate::gemm::LINE;

/// Lanes of a block of a transpose: few enough for their cache lines and pages to stay while the rows go by.
const TRANSPOSED: usize = 64;
/// Steps of a column from which blocks are as long as rows may be.
const LONG_COLUMN: usize = 1024;

/// How a loop is to be compiled.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Groups of outer coordinates that must not be merged with each other; empty for one group.
    pub groups: Vec<usize>,
}

impl LoopCode {
    /// Compiles a loop. `dtype_of` gives the element type of each buffer. `Err` is a reason why it cannot be done.
    pub fn new(l: &Loop, options: &Options, dtype_of: &dyn Fn(BufId) -> DType) -> Result<LoopCode, String> {
        let mut l = l.clone();
        let extents: Vec<usize> = l.outer.iter().chain(&l.inner).copied().collect();
        for inst in &mut l.body.insts {
            if let Inst::Load { at, .. } | Inst::Gather { at, .. } = inst {
                at.drop_guards(&extents);
            }
        }
        let mut groups: Vec<Vec<usize>> = Vec::new();
        let mut rest = l.outer.as_slice();
        for len in &options.groups {
            let (head, tail) = rest.split_at(*len);
            groups.push(head.to_vec());
            rest = tail;
        }
        groups.push(rest.to_vec());
        groups.push(l.inner.clone());
        merge(&mut groups.iter_mut().collect::<Vec<_>>(), l.body.forms_mut(), Ones::Dropped);
        l.inner = groups.pop().unwrap_or_default();
        l.outer = groups.concat();
        // The last coordinate is kept for `shift_loads`.
        if l.outer.len() + l.inner.len() >= MAX_COORDS {
            return Err(format!("a loop nest of {} coordinates", l.outer.len() + l.inner.len()));
        }
        if l.body.dtypes.contains(&DType::F64) {
            return Err("f64 is for the strict CPU executor".into());
        }
        let mut code = Builder::new(&l, dtype_of).build();
        code.groups = groups;
        Ok(code)
    }
}

/// Two operations in one: what is done, and its three operands.
#[derive(Clone, Copy, Debug)]
struct Paired {
    pair: Pair,
    operands: [Val; 3],
}

struct Builder<'a> {
    l: &'a Loop,
    dtype_of: &'a dyn Fn(BufId) -> DType,
    kind: Kind,
    lanes: Range<usize>,
    single: bool,
    levels: Vec<Level>,
    /// For each value the coordinates it changes along, as bits.
    varies: Vec<u32>,
    /// The values that are computed in one go with the only operand that needs them.
    pairs: Vec<Option<Paired>>,
    /// For each sum of products which nothing else reads, their factors.
    products: Vec<Option<[Val; 2]>>,
    /// The values that are computed where they are read: in one go with another.
    within: Vec<bool>,
    /// For each store the sweep in which it happens; none at the end of a row.
    store_sweeps: Vec<Option<usize>>,
    /// The register of each value, while it has one.
    at: Vec<Option<usize>>,
    free: Vec<usize>,
    registers: usize,
}

impl<'a> Builder<'a> {
    fn new(l: &'a Loop, dtype_of: &'a dyn Fn(BufId) -> DType) -> Builder<'a> {
        let kind = kind(l);
        let (outer, all) = (l.outer.len(), l.outer.len() + l.inner.len());
        let extents: Vec<usize> = l.outer.iter().chain(&l.inner).copied().collect();
        let lanes = match kind {
            Kind::Rows if l.cols() <= ROW => outer..all,
            Kind::Rows => suffix(outer..all, &extents),
            Kind::Columns => suffix(0..outer, &extents),
        };
        let single = match kind {
            Kind::Rows => l.cols() <= ROW,
            Kind::Columns => l.cols() == 1,
        };
        let varies = varies(l);
        let values = l.body.insts.len();
        let mut builder = Builder {
            l,
            dtype_of,
            kind,
            lanes,
            single,
            levels: l.levels(),
            varies,
            pairs: vec![None; values],
            products: vec![None; values],
            within: vec![false; values],
            store_sweeps: Vec::new(),
            at: vec![None; values],
            free: Vec::new(),
            registers: 0,
        };
        builder.find_pairs();
        builder
    }

    /// Finds the values that are computed together with an operand which nothing else reads.
    fn find_pairs(&mut self) {
        let body = &self.l.body;
        let mut uses = vec![0; body.insts.len()];
        body.insts
            .iter()
            .flat_map(Inst::operands)
            .chain(body.stores.iter().map(|s| s.value))
            .for_each(|v| uses[v] += 1);
        for v in 0..body.insts.len() {
            if let Inst::Reduce(ReduceOp::Sum, t) = body.insts[v]
                && let Inst::Binary(BinaryOp::Mul, a, b) = body.insts[t]
                && body.class(t) == Class::Float
                && uses[t] == 1
                && self.pairs[t].is_none()
                && !self.levels[t].per_row
                && !self.is_uniform(a)
                && !self.is_uniform(b)
            {
                self.products[v] = Some([a, b]);
                self.within[t] = true;
            }
            let Inst::Binary(second, x, y) = body.insts[v] else { continue };
            // Within a row it is computed where it is read; what is one for a row, before the sweep that can have it.
            let (of, per_row) = (self.levels[v], |t: Val| self.levels[t].per_row);
            let together = |t: Val| if of.per_row { self.levels[t] == of } else { !per_row(t) };
            let alone = |t: Val| uses[t] == 1 && self.pairs[t].is_none() && together(t);
            let paired = |t: Val, c: Val, turned: bool| {
                let Inst::Binary(first, a, b) = body.insts[t] else { return None };
                let floats = [a, t].iter().all(|v| body.class(*v) == Class::Float);
                if !floats || !alone(t) || self.is_uniform(t) || self.is_uniform(v) {
                    return None;
                }
                // The first has all lanes.
                let turns = matches!(first, BinaryOp::Add | BinaryOp::Mul);
                let (a, b) = if self.is_uniform(a) && turns { (b, a) } else { (a, b) };
                let pair = Pair::new(first, second, turned).filter(|_| !self.is_uniform(a))?;
                Some((t, Paired { pair, operands: [a, b, c] }))
            };
            if let Some((t, pair)) = paired(x, y, false).or_else(|| paired(y, x, true)) {
                self.pairs[v] = Some(pair);
                self.within[t] = true;
            }
        }
    }

    /// The values whose registers the code of a value reads.
    fn reads(&self, v: Val) -> SmallVec<[Val; 4]> {
        let operands = match self.pairs[v] {
            Some(pair) => SmallVec::from(&pair.operands[..]),
            None => self.l.body.insts[v].operands(),
        };
        operands.into_iter().flat_map(|x| self.behind(x)).collect()
    }

    /// What a reduction takes.
    fn terms(&self, reduction: Val) -> SmallVec<[Val; 4]> {
        match self.products[reduction] {
            Some(factors) => SmallVec::from(&factors[..]),
            None => self.l.body.insts[reduction].operands(),
        }
    }

    /// A value, and what it may be another name of: all lanes of a block choose the same.
    fn behind(&self, v: Val) -> SmallVec<[Val; 4]> {
        match self.l.body.insts[v] {
            Inst::Select(c, x, y) if self.is_uniform(c) && !self.is_uniform(x) && !self.is_uniform(y) => {
                [x, y].into_iter().flat_map(|x| self.behind(x)).chain([v]).collect()
            }
            _ => smallvec![v],
        }
    }

    /// The buffers that are written before a value is read for the last time.
    fn written(&self, v: Val) -> Vec<BufId> {
        let stores = self.l.body.stores.iter().zip(&self.store_sweeps).enumerate();
        let last = self.store_sweeps.iter().flatten().max();
        // A sweep's code is over before the last sweep writes, and what is one for a row is read in the next block too.
        let early = |sweep: &Option<usize>| sweep.is_some() && (sweep.as_ref() < last || self.levels[v].per_row);
        // It may be what a store writes, and others are written in front of that.
        let turn = |(i, (_, sweep)): (usize, (&Store, &Option<usize>))| (sweep.unwrap_or(usize::MAX), i);
        let read = stores.clone().filter(|(_, (store, _))| self.behind(store.value).contains(&v)).map(turn).max();
        let before = |store| read.is_some_and(|read| turn(store) < read);
        stores.filter(|(i, (s, sweep))| early(sweep) || before((*i, (*s, *sweep)))).map(|(_, (s, _))| s.buf).collect()
    }

    /// Whether one lane stands for all.
    fn is_uniform(&self, v: Val) -> bool {
        self.varies[v] & bits(self.lanes.clone()) == 0
    }

    fn build(mut self) -> LoopCode {
        let l = self.l;
        let extents: Vec<usize> = l.outer.iter().chain(&l.inner).copied().collect();
        let outer = l.outer.len();
        let inner_bits = bits(outer..extents.len());
        let is_reduce = |v: Val| matches!(l.body.insts[v], Inst::Reduce(..));

        // What is stored in a sweep, and what at the end of a row.
        let store_sweep = |s: &Store| {
            let along_inner = (outer..extents.len()).any(|d| !s.at.ignores(d) && extents[d] > 1);
            (along_inner || !self.levels[s.value].per_row).then_some(self.levels[s.value].sweep)
        };
        let store_sweeps: Vec<Option<usize>> = l.body.stores.iter().map(store_sweep).collect();
        self.store_sweeps = store_sweeps.clone();
        let last_level = self.levels.iter().map(|l| l.sweep).max().unwrap_or(0);

        // The values of each section: 0 is the prologue, then `before` and `code` of each sweep.
        let mut sections: Vec<Vec<Val>> = vec![Vec::new(); 1 + 2 * (last_level + 1)];
        let mut needed = vec![false; l.body.insts.len()];
        for store in &l.body.stores {
            mark(l, store.value, &mut needed);
        }
        let mut once = vec![false; l.body.insts.len()];
        for v in 0..l.body.insts.len() {
            let level = self.levels[v];
            if !needed[v] || is_reduce(v) || !level.per_row || self.within[v] {
                continue;
            }
            let section = if self.varies[v] == 0 && level.sweep == 0 { 0 } else { 1 + 2 * level.sweep };
            sections[section].push(v);
            once[v] = true;
        }
        for s in 0..=last_level {
            let mut wanted = vec![false; l.body.insts.len()];
            for v in 0..l.body.insts.len() {
                if let Inst::Reduce(_, x) = l.body.insts[v]
                    && needed[v]
                    && self.levels[x].sweep == s
                {
                    wanted[x] = true;
                }
            }
            for (store, sweep) in l.body.stores.iter().zip(&store_sweeps) {
                if *sweep == Some(s) {
                    wanted[store.value] = true;
                }
            }
            for v in (0..l.body.insts.len()).rev() {
                if wanted[v] && !is_reduce(v) {
                    for x in l.body.insts[v].operands() {
                        wanted[x] = true;
                    }
                }
            }
            for v in 0..l.body.insts.len() {
                if wanted[v] && !once[v] && !is_reduce(v) && !self.within[v] {
                    sections[2 + 2 * s].push(v);
                    once[v] = self.single;
                }
            }
        }

        // The last section that reads each value; values that live across blocks keep their register.
        let mut last_use = vec![0usize; l.body.insts.len()];
        let forever = usize::MAX;
        for (i, section) in sections.iter().enumerate() {
            for v in section {
                for x in self.reads(*v) {
                    last_use[x] = last_use[x].max(i);
                }
            }
        }
        for v in 0..l.body.insts.len() {
            if let Inst::Reduce(_, x) = l.body.insts[v] {
                let sweep = self.levels[x].sweep;
                for x in self.terms(v).into_iter().flat_map(|x| self.behind(x)) {
                    last_use[x] = last_use[x].max(2 + 2 * sweep);
                }
            }
            // In place updates read before they write, so what is stored lives until all loads are done.
            let stored = l.body.stores.iter().any(|s| s.value == v);
            if stored || sections[0].contains(&v) || (!self.single && self.levels[v].per_row) {
                self.behind(v).into_iter().for_each(|v| last_use[v] = forever);
            }
        }

        let mut compiled = LoopCode {
            kind: self.kind,
            outer,
            lanes: self.lanes.clone(),
            block: 0,
            down: false,
            prologue: Vec::new(),
            sweeps: Vec::new(),
            puts: Vec::new(),
            registers: 0,
            lines: 0,
            weight: 1,
            groups: Vec::new(),
            extents,
        };
        let lane_count: usize = self.lanes.clone().map(|d| compiled.extents[d]).product();
        compiled.down = self.transposes();
        compiled.block = match self.kind {
            _ if compiled.down => lane_count.min(TRANSPOSED),
            Kind::Rows if self.single => lane_count,
            // Long columns: whole rows of the matrix, so that memory is read in order.
            Kind::Columns if l.cols() >= LONG_COLUMN => lane_count.min(ROW),
            _ => lane_count.min(BLOCK),
        }
        .max(1);
        compiled.prologue = self.emit(&sections, 0, &last_use);
        for s in 0..=last_level {
            let before = self.emit(&sections, 1 + 2 * s, &last_use);
            let mut code = self.emit(&sections, 2 + 2 * s, &last_use);
            let mut reductions = Vec::new();
            for v in 0..l.body.insts.len() {
                if let Inst::Reduce(op, x) = l.body.insts[v]
                    && needed[v]
                    && self.levels[x].sweep == s
                {
                    let factors = self.products[v].map(|factors| factors.map(|x| self.src(x)));
                    let mut src = factors.map_or_else(|| self.src(x), |[src, _]| src);
                    if self.kind == Kind::Rows && src.uniform {
                        // One lane stands for all; a sum over lanes needs them.
                        let dst = Src { reg: self.fresh(), uniform: false };
                        code.push(Instr { what: What::Splat(src), dst });
                        src = dst;
                    }
                    let reg = self.fresh();
                    self.at[v] = Some(reg);
                    let times = factors.map(|[_, times]| times);
                    reductions.push(Reduction { op, class: l.body.class(x), src, times, dst: self.src(v) });
                }
            }
            let mut puts = Vec::new();
            for (store, sweep) in l.body.stores.iter().zip(&store_sweeps) {
                if *sweep == Some(s) {
                    puts.push(self.put(store, &compiled.extents, 0));
                }
            }
            self.release(2 + 2 * s, &last_use);
            compiled.sweeps.push(Sweep { before, code, reductions, puts });
        }
        for (store, sweep) in l.body.stores.iter().zip(&store_sweeps) {
            if sweep.is_none() {
                compiled.puts.push(self.put(store, &compiled.extents, inner_bits));
            }
        }
        compiled.registers = self.registers;
        compiled.lines = compiled.sweeps.iter().map(|sweep| lines(sweep, compiled.block)).max().unwrap_or(0);
        compiled.weight = compiled.sweeps.iter().flat_map(|s| s.before.iter().chain(&s.code)).map(weight).sum();
        compiled.weight +=
            compiled.puts.len() + compiled.sweeps.iter().map(|s| s.puts.len() + s.reductions.len()).sum::<usize>();
        compiled
    }

    /// Whether an elementwise loop reads a matrix across its rows.
    fn transposes(&self) -> bool {
        if self.kind == Kind::Rows || self.l.cols() != 1 || self.lanes.len() != 1 || self.lanes.start == 0 {
            return false;
        }
        let (row, lane) = (self.lanes.start - 1, self.lanes.start);
        self.l.body.insts.iter().any(|inst| match inst {
            Inst::Load { at, .. } => at.base.coef[row].abs() == 1 && at.base.coef[lane].abs() >= TRANSPOSED as i64,
            _ => false,
        })
    }

    /// A register that nothing uses.
    fn fresh(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.registers += 1;
            self.registers - 1
        })
    }

    /// Frees the registers of values last used in this section, and of those that each sweep computes again.
    fn release(&mut self, section: usize, last_use: &[usize]) {
        for v in 0..self.at.len() {
            let recomputed = !self.single && !self.levels[v].per_row;
            if (recomputed || last_use[v] <= section)
                && let Some(reg) = self.at[v].take()
            {
                self.free.push(reg);
            }
        }
    }

    fn src(&self, v: Val) -> Src {
        let uniform = self.is_uniform(v);
        let reg = self.at[v].unwrap_or_else(|| unreachable!("value {v} is used before it is computed"));
        Src { reg, uniform }
    }

    /// The code of one section. Registers are freed as soon as their value is dead.
    fn emit(&mut self, sections: &[Vec<Val>], section: usize, last_use: &[usize]) -> Vec<Instr> {
        let values = &sections[section];
        let mut code = Vec::with_capacity(values.len());
        for (i, v) in values.iter().enumerate() {
            let inst = &self.l.body.insts[*v];
            let operands = self.reads(*v);
            let reg = self.fresh();
            self.at[*v] = Some(reg);
            let what = self.what(*v, inst);
            code.push(Instr { what, dst: self.src(*v) });
            for x in operands {
                let later_here = values[i + 1..].iter().any(|w| self.reads(*w).contains(&x));
                let reduced = (0..self.l.body.insts.len())
                    .filter(|v| matches!(self.l.body.insts[*v], Inst::Reduce(..)))
                    .any(|v| self.terms(v).into_iter().any(|term| self.behind(term).contains(&x)));
                if !later_here
                    && !reduced
                    && last_use[x] <= section
                    && let Some(reg) = self.at[x].take()
                {
                    self.free.push(reg);
                }
            }
        }
        code
    }

    fn what(&self, v: Val, inst: &Inst) -> What {
        let l = self.l;
        let last = self.lanes.clone().last();
        let step = |s: &Sparse| last.map_or(0, |d| s.factor(d));
        let dtype = l.body.dtypes[v];
        if let Some(Paired { pair, operands }) = self.pairs[v] {
            return What::Pair(pair, operands.map(|v| self.src(v)));
        }
        match inst {
            Inst::Load { buf, at } => What::Load {
                buf: *buf,
                dtype: (self.dtype_of)(*buf),
                at: Reach::new(at, last),
                fill: alu::word(dtype, at.fill),
                written: self.written(v),
            },
            Inst::Gather { buf, at, index } => What::Gather {
                buf: *buf,
                dtype: (self.dtype_of)(*buf),
                at: Reach::new(at, last),
                fill: alu::word(dtype, at.fill),
                index: self.src(index.index),
                along: last.is_some_and(|d| self.varies[index.index] >> d & 1 == 1),
                stride: index.stride,
                bound: index.bound,
                check: index.check,
            },
            Inst::Within { index, bound, check } => {
                What::Within { index: self.src(*index), bound: *bound, check: *check }
            }
            Inst::InBounds(at) => What::InBounds(Reach::new(at, last)),
            Inst::Const(x) => What::Word(alu::word(dtype, *x)),
            Inst::Scalar(i) => What::Scalar(*i),
            Inst::Index(at) => {
                let at = Sparse::new(at);
                What::Index { step: step(&at), at, class: dtype.class() }
            }
            Inst::Random { at, stream } => {
                let at = Sparse::new(at);
                What::Random { step: step(&at), at, stream: stream.map(|v| self.src(v)) }
            }
            Inst::Unary(op, x) => What::Unary(*op, l.body.class(*x), self.src(*x)),
            Inst::Binary(op, x, y) => What::Binary(*op, l.body.class(*x), self.src(*x), self.src(*y)),
            Inst::Select(c, x, y) => What::Select(self.src(*c), self.src(*x), self.src(*y)),
            Inst::Cast(x) => What::Cast(l.body.class(*x), dtype, self.src(*x)),
            Inst::Reduce(..) | Inst::Acc => unreachable!("neither is an instruction of a block"),
        }
    }

    fn put(&self, store: &Store, extents: &[usize], skip: u32) -> Put {
        let at = Sparse::new(&store.at);
        let ignored = (0..extents.len())
            .filter(|d| store.at.ignores(*d) && extents[*d] > 1 && skip >> d & 1 == 0)
            .filter(|d| Some(*d) != self.lanes.clone().last())
            .collect();
        Put {
            buf: store.buf,
            dtype: (self.dtype_of)(store.buf),
            step: self.lanes.clone().last().map_or(0, |d| at.factor(d)),
            reach: Reach::new(
                &Access { base: store.at.clone(), terms: Vec::new(), fill: 0.0 },
                self.lanes.clone().last(),
            ),
            at,
            src: self.src(store.value),
            ignored,
        }
    }
}

/// Marks a value and what it is computed from.
fn mark(l: &Loop, v: Val, needed: &mut [bool]) {
    needed[v] = true;
    for w in (0..=v).rev() {
        if needed[w] {
            for x in l.body.insts[w].operands() {
                needed[x] = true;
            }
        }
    }
}

/// Cache lines that a sweep reads of a block for each of its instructions.
fn lines(sweep: &Sweep, block: usize) -> usize {
    let wide = sweep.before.iter().chain(&sweep.code).filter(|instr| !instr.dst.uniform);
    let loads = wide.clone().filter(|instr| matches!(instr.what, What::Load { .. }));
    (loads.count() * block.div_ceil(LINE)).div_ceil(wide.count().max(1))
}

/// About how many plain operations an instruction is worth.
fn weight(instr: &Instr) -> usize {
    use UnaryOp::*;
    match &instr.what {
        _ if instr.dst.uniform => 0,
        What::Unary(
            Neg | Abs | Sign | Relu | Sqrt | Rsqrt | Recip | Floor | Ceil | Trunc | Round | Not | IsNan | IsInf,
            ..,
        ) => 1,
        What::Unary(Exp | Exp2 | Expm1 | Log | Log2 | Log1p | Tanh | Sigmoid | Erf | Erfc, ..) => 8,
        What::Unary(..) => 64,
        What::Binary(BinaryOp::Pow | BinaryOp::Atan2 | BinaryOp::Fmod, ..) => 64,
        What::Random { .. } => 16,
        What::Gather { .. } => 8,
        What::Pair(..) => 2,
        _ => 1,
    }
}
