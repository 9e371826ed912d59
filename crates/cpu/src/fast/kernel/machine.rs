//! Registers, and the execution of instructions on a block of lanes.

use std::{
    cell::RefCell,
    collections::VecDeque,
    ops::Range,
    sync::{Mutex, PoisonError},
};

use bytemuck::{cast_slice, cast_slice_mut};
use half::slice::HalfFloatSliceExt;
use pulp::Arch;
use thalweg_ir::{Class, DType};

use super::{
    access::{Coords, MAX_COORDS, Reach, Region, Valid, runs},
    alu,
    code::{Instr, LoopCode, Put, Src, What},
    random,
    reduce::Acc,
};
use crate::gemm::{LINE, View};

/// What a run binds to the code.
#[derive(Clone, Copy)]
pub struct Bind<'a> {
    /// The buffers, by [`thalweg_ir::schedule::ir::BufId`].
    pub views: &'a [View<'a>],
    /// The host's scalars.
    pub scalars: &'a [u32],
    /// Told of a position that is outside.
    pub outside: &'a Outside,
    /// Whether the device's other threads may take a part.
    pub shared: bool,
}

/// A position outside, if a launch met one.
#[derive(Debug, Default)]
pub struct Outside(Mutex<Option<Stray>>);

/// A position that is none of an axis.
#[derive(Clone, Copy, Debug)]
pub struct Stray {
    pub index: i32,
    pub bound: i64,
    /// Which of the body's checks.
    pub check: usize,
}

impl Outside {
    /// Keeps the first.
    fn report(&self, stray: Stray) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(stray);
    }

    /// What was reported.
    pub fn stray(&self) -> Option<Stray> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

thread_local! {
    /// Register blocks that this thread's last machine left behind.
    static SPARE: RefCell<Vec<Vec<u32>>> = const { RefCell::new(Vec::new()) };
}

/// A register.
#[derive(Default)]
struct Register<'a> {
    own: Vec<u32>,
    holds: Holds<'a>,
}

/// Where the words of a register are.
#[derive(Clone, Copy, Default)]
enum Holds<'a> {
    /// In its own block.
    #[default]
    Own,
    /// In a stretch of a buffer that nothing writes before they are read for the last time.
    Lent(&'a [u32]),
    /// In another register, which keeps them as long.
    Same(usize),
}

/// The state of one task.
pub struct Machine<'a> {
    pub code: &'a LoopCode,
    pub bind: Bind<'a>,
    pub region: Region,
    pub arch: Arch,
    /// The current point; lane coordinates are at the block's first lane.
    pub coords: Coords,
    /// Lanes of the current block.
    pub n: usize,
    registers: Vec<Register<'a>>,
    /// What the next block is going to read.
    ahead: VecDeque<(View<'a>, Range<usize>)>,
    pub accs: Vec<Acc>,
}

impl<'a> Machine<'a> {
    pub fn new(code: &'a LoopCode, bind: Bind<'a>, region: Region) -> Machine<'a> {
        let mut spare = SPARE.with(|s| std::mem::take(&mut *s.borrow_mut()));
        let registers =
            (0..code.registers).map(|_| Register { own: spare.pop().unwrap_or_default(), holds: Holds::Own }).collect();
        SPARE.with(|s| *s.borrow_mut() = spare);
        let mut machine = Machine {
            code,
            bind,
            region,
            arch: Arch::new(),
            coords: region.lo,
            n: 1,
            registers,
            ahead: VecDeque::new(),
            accs: Vec::new(),
        };
        machine.run(&code.prologue);
        machine
    }

    /// A second machine at the same row, for a part of a sweep.
    pub fn fork(&self) -> Machine<'a> {
        let mut machine = Machine::new(self.code, self.bind, self.region);
        machine.coords = self.coords;
        machine.n = self.n;
        for (to, from) in machine.registers.iter_mut().zip(&self.registers) {
            to.own.clear();
            to.own.extend_from_slice(&from.own);
            to.holds = from.holds;
        }
        machine
    }

    /// The words of a register.
    #[inline]
    pub fn get(&self, src: Src) -> &[u32] {
        let mut register = &self.registers[src.reg];
        loop {
            match register.holds {
                Holds::Own => return &register.own,
                Holds::Lent(words) => return words,
                Holds::Same(reg) => register = &self.registers[reg],
            }
        }
    }

    /// Makes a register hold `n` words, or one if it is uniform, that `write` fills.
    #[inline]
    pub fn set(&mut self, dst: Src, write: impl FnOnce(&Machine<'a>, &mut [u32])) {
        let mut own = std::mem::take(&mut self.registers[dst.reg].own);
        let n = if dst.uniform { 1 } else { self.n };
        if own.len() != n {
            own.resize(n, 0);
        }
        write(self, &mut own);
        let register = &mut self.registers[dst.reg];
        register.own = own;
        register.holds = Holds::Own;
    }

    /// Executes straight-line code on the current block.
    pub fn run(&mut self, code: &'a [Instr]) {
        let arch = self.arch;
        for Instr { what, dst } in code {
            let dst = *dst;
            match what {
                What::Load { .. } => self.load(dst, what),
                What::Gather { .. } => self.gather(dst, what),
                What::Within { index, bound, check } => self.within(dst, *index, *bound, *check),
                What::InBounds(at) => self.set(dst, |m, y| {
                    let lanes = if dst.uniform { 0..0 } else { m.code.lanes.clone() };
                    inside(at, (&m.region, &lanes, &m.coords), y);
                }),
                What::Word(word) => self.set(dst, |_, y| y.fill(*word)),
                What::Scalar(i) => self.set(dst, |m, y| y.fill(m.bind.scalars[*i])),
                What::Index { at, step, class } => self.set(dst, |m, y| {
                    m.runs(y, |coords, y| {
                        let first = at.at(coords);
                        match class {
                            Class::Float => {
                                for (j, y) in cast_slice_mut::<u32, f32>(y).iter_mut().enumerate() {
                                    *y = (first + step * j as i64) as f32;
                                }
                            }
                            _ => {
                                for (j, y) in y.iter_mut().enumerate() {
                                    *y = (first + step * j as i64) as u32;
                                }
                            }
                        }
                    })
                }),
                What::Random { at, step, stream } => self.set(dst, |m, y| {
                    let stream = stream.map(|s| m.get(s)[0]);
                    m.runs(y, |coords, y| random::words(arch, stream, at.at(coords), *step, y))
                }),
                What::Unary(op, class, a) => self.set(dst, |m, y| alu::unary(arch, *op, *class, m.get(*a), y)),
                What::Binary(op, class, a, b) => {
                    self.set(dst, |m, y| alu::binary(arch, *op, *class, m.get(*a), m.get(*b), y))
                }
                What::Pair(pair, [a, b, c]) => {
                    self.set(dst, |m, y| pair.apply(arch, m.get(*a), m.get(*b), m.get(*c), y))
                }
                // What all lanes choose is there already.
                What::Select(c, a, b) if c.uniform && !a.uniform && !b.uniform => {
                    let chosen = if self.get(*c)[0] != 0 { a } else { b };
                    self.registers[dst.reg].holds = Holds::Same(chosen.reg);
                }
                What::Select(c, a, b) => self.set(dst, |m, y| alu::select(arch, m.get(*c), m.get(*a), m.get(*b), y)),
                What::Cast(from, to, a) => self.set(dst, |m, y| alu::cast(arch, *from, *to, m.get(*a), y)),
                What::Splat(a) => self.set(dst, |m, y| y.fill(m.get(*a)[0])),
            }
            if !dst.uniform {
                self.fetch();
            }
        }
    }

    /// Asks for a part of what the next block is going to read: while this one is computed, not all at once before it.
    fn fetch(&mut self) {
        let mut lines = self.code.lines;
        while lines > 0
            && let Some((view, words)) = self.ahead.front_mut()
        {
            let part = words.len().min(lines * LINE);
            view.fetch(words.start, part);
            words.start += part;
            lines -= part.div_ceil(LINE);
            if words.start == words.end {
                self.ahead.pop_front();
            }
        }
    }

    /// Calls `fill` for each run of lanes of a block, or for its one lane.
    #[inline]
    fn runs(&self, y: &mut [u32], mut fill: impl FnMut(&Coords, &mut [u32])) {
        if y.len() == 1 {
            return fill(&self.coords, y);
        }
        runs(&self.region, &self.code.lanes, &self.coords, y.len(), |coords, lane, len| {
            fill(coords, &mut y[lane..lane + len]);
        });
    }

    /// Whether `n` lanes of the current block are neighbours.
    #[inline]
    fn lies_so(&self, at: &Reach, n: usize) -> bool {
        let whole = self.code.lanes.clone().last().is_none_or(|d| n <= self.region.hi[d] - self.coords[d]);
        whole && (n == 1 || at.unguarded_step() == Some(1))
    }

    fn load(&mut self, dst: Src, what: &What) {
        let What::Load { buf, dtype, at, fill, written } = what else { unreachable!("only loads come here") };
        let (view, dtype, fill) = (self.bind.views[*buf], *dtype, *fill);
        let n = if dst.uniform { 1 } else { self.n };
        let stays = || !written.iter().any(|written| self.bind.views[*written].overlaps(&view));
        if dtype.size_bytes() == 4 && self.lies_so(at, n) && stays() {
            // The elements lie as a block already.
            if let Some(address) = at.point(&self.coords) {
                if view.is_large() {
                    let next = address as usize + n;
                    self.ahead.push_back((view, next..next + n));
                }
                self.registers[dst.reg].holds = Holds::Lent(view.slice(address as usize, n));
                return;
            }
        }
        self.set(dst, |m, y| {
            let lanes = if dst.uniform { 0..0 } else { m.code.lanes.clone() };
            fill_lanes(at, &view, dtype, (&m.region, &lanes, &m.coords), fill, y);
        });
    }

    fn gather(&mut self, dst: Src, what: &What) {
        let What::Gather { buf, dtype, at, fill, index, along, stride, bound, check } = what else {
            unreachable!("only gathers come here");
        };
        let view = self.bind.views[*buf];
        let mut outside = None;
        self.set(dst, |m, y| {
            let index = cast_slice::<u32, i32>(m.get(*index));
            // The element at an address, moved by the position of a lane; floats outside are no numbers.
            let word = |address: i64, lane: usize, outside: &mut Option<i32>| {
                let i = index[if index.len() == 1 { 0 } else { lane }];
                let within = i >= 0 && i64::from(i) < *bound;
                if !within {
                    *outside = outside.or(Some(i));
                }
                if !within && (dtype.is_float() || *bound == 0) {
                    return f32::NAN.to_bits();
                }
                get_word(&view, *dtype, address + i64::from(i).clamp(0, *bound - 1) * stride)
            };
            let lanes = if dst.uniform { 0..0 } else { m.code.lanes.clone() };
            if at.irregular() {
                return runs(&m.region, &lanes, &m.coords, y.len(), |coords, lane, len| {
                    let mut coords = *coords;
                    for lane in lane..lane + len {
                        y[lane] = at.point(&coords).map_or(*fill, |a| word(a, lane, &mut outside));
                        coords[lanes.end.saturating_sub(1)] += 1;
                    }
                });
            }
            at.walk(&m.region, &lanes, &m.coords, y.len(), |start, len, mut valid| {
                let y = &mut y[start..start + len];
                if valid.count < len {
                    y.fill(*fill);
                }
                if valid.count == 0 {
                    return;
                }
                let i = i64::from(index[if index.len() == 1 { 0 } else { start }]);
                if !along && i >= 0 && i < *bound {
                    valid.address += i * stride;
                    return copy_run(&view, *dtype, valid, y);
                }
                for t in 0..valid.count {
                    let lane = valid.first + t * valid.every;
                    y[lane] = word(valid.address + valid.step * t as i64, start + lane, &mut outside);
                }
            });
        });
        self.report(outside, *bound, *check);
    }

    fn report(&self, outside: Option<i32>, bound: i64, check: usize) {
        if let Some(index) = outside {
            self.bind.outside.report(Stray { index, bound, check });
        }
    }

    /// Whether each position is one of an axis.
    fn within(&mut self, dst: Src, index: Src, bound: i64, check: usize) {
        let mut outside = None;
        self.set(dst, |m, y| {
            let index = cast_slice::<u32, i32>(m.get(index));
            for (lane, y) in y.iter_mut().enumerate() {
                let i = index[if index.len() == 1 { 0 } else { lane }];
                let within = i >= 0 && i64::from(i) < bound;
                if !within {
                    outside = outside.or(Some(i));
                }
                *y = u32::from(within);
            }
        });
        self.report(outside, bound, check);
    }

    /// Writes a value of the current block.
    pub fn put(&self, put: &Put) {
        let view = self.bind.views[put.buf];
        let src = self.get(put.src);
        let Some(last) = self.code.lanes.clone().last() else {
            if put.ignored.iter().all(|d| self.coords[*d] == 0) {
                put_run(&view, put.dtype, put.at.at(&self.coords), 0, src);
            }
            return;
        };
        if put.ignored.is_empty() && put.step != 0 && !put.src.uniform && put.dtype.size_bytes() == 4 {
            if self.lies_so(&put.reach, self.n) {
                return view.put(put.at.at(&self.coords) as usize, src);
            }
            return put.reach.walk_rows(
                &self.region,
                &self.code.lanes,
                &self.coords,
                self.n,
                |lane, len, rows, valid, next| {
                    let src = &src[lane..lane + rows * len];
                    if valid.step == 1 {
                        for (row, src) in src.chunks_exact(len).enumerate() {
                            view.put((valid.address + next * row as i64) as usize, src);
                        }
                    } else {
                        view.scatter_rows(valid.address as usize, next as isize, valid.step as isize, len, src);
                    }
                },
            );
        }
        runs(&self.region, &self.code.lanes, &self.coords, self.n, |coords, lane, len| {
            if put.ignored.iter().any(|d| coords[*d] != 0) {
                return;
            }
            let address = put.at.at(coords);
            if put.step == 0 {
                // All lanes of the run are this one element.
                if coords[last] == 0 {
                    put_run(&view, put.dtype, address, 0, &src[if put.src.uniform { 0..1 } else { lane..lane + 1 }]);
                }
            } else if put.src.uniform {
                const PART: usize = 64;
                let word = [src[0]; PART];
                for start in (0..len).step_by(PART) {
                    let part = PART.min(len - start);
                    put_run(&view, put.dtype, address + put.step * start as i64, put.step, &word[..part]);
                }
            } else {
                put_run(&view, put.dtype, address, put.step, &src[lane..lane + len]);
            }
        });
    }
}

impl Drop for Machine<'_> {
    fn drop(&mut self) {
        SPARE.with(|s| s.borrow_mut().extend(self.registers.drain(..).map(|r| r.own)));
    }
}

/// The lanes of a block, by a guarded access.
#[inline]
pub fn fill_lanes(
    at: &Reach,
    view: &View<'_>,
    dtype: DType,
    (region, lanes, coords): (&Region, &Range<usize>, &Coords),
    fill: u32,
    y: &mut [u32],
) {
    if at.irregular() {
        return runs(region, lanes, coords, y.len(), |coords, lane, len| {
            let mut coords: [usize; MAX_COORDS] = *coords;
            for y in &mut y[lane..lane + len] {
                *y = at.point(&coords).map_or(fill, |a| get_word(view, dtype, a));
                coords[lanes.end.saturating_sub(1)] += 1;
            }
        });
    }
    at.walk_rows(region, lanes, coords, y.len(), |lane, len, rows, valid, next| {
        let y = &mut y[lane..lane + rows * len];
        if valid.count < len {
            y.fill(fill);
        }
        if valid.count == 0 {
            return;
        }
        if dtype.size_bytes() == 4 && valid.step >= 1 && next >= 0 {
            return copy_rows(view, valid, next as usize, len, y);
        }
        for (row, y) in y.chunks_exact_mut(len).enumerate() {
            let address = valid.address + next * row as i64;
            copy_run(view, dtype, Valid { address, ..valid }, y);
        }
    });
}

/// Copies many runs of one shape, `next` elements apart.
#[inline]
fn copy_rows(view: &View<'_>, valid: Valid, next: usize, len: usize, y: &mut [u32]) {
    let Valid { first, count, every, address, step } = valid;
    let (step, rows) = (step as usize, y.len() / len);
    let span = step * (count - 1) + 1;
    let x = view.slice::<u32>(address as usize, next * (rows - 1) + span);
    for (row, y) in y.chunks_exact_mut(len).enumerate() {
        let x = &x[row * next..row * next + span];
        match (every, step) {
            (1, 1) if count < 64 => copy_short(x, &mut y[first..first + count]),
            (1, 1) => y[first..first + count].copy_from_slice(x),
            (1, 2) => gather_every::<2>(x, &mut y[first..first + count]),
            (1, 4) => gather_every::<4>(x, &mut y[first..first + count]),
            _ => {
                let y = y[first..].chunks_mut(every);
                y.zip(x.chunks(step)).for_each(|(y, x)| y[0] = x[0]);
            }
        }
    }
}

/// Whether each lane of a block is inside a guarded access.
fn inside(at: &Reach, (region, lanes, coords): (&Region, &Range<usize>, &Coords), y: &mut [u32]) {
    if at.irregular() {
        return runs(region, lanes, coords, y.len(), |coords, lane, len| {
            let mut coords: [usize; MAX_COORDS] = *coords;
            for y in &mut y[lane..lane + len] {
                *y = u32::from(at.point(&coords).is_some());
                coords[lanes.end.saturating_sub(1)] += 1;
            }
        });
    }
    y.fill(0);
    at.walk(region, lanes, coords, y.len(), |lane, len, valid| {
        let run = y[lane..lane + len].iter_mut().skip(valid.first);
        run.step_by(valid.every).take(valid.count).for_each(|y| *y = 1);
    });
}

/// One element as a word of its class.
#[inline]
fn get_word(view: &View<'_>, dtype: DType, address: i64) -> u32 {
    let at = address as usize;
    match dtype {
        DType::F16 => view.slice::<half::f16>(at, 1)[0].to_f32().to_bits(),
        DType::BF16 => view.slice::<half::bf16>(at, 1)[0].to_f32().to_bits(),
        _ => view.slice::<u32>(at, 1)[0],
    }
}

/// Copies the valid lanes of a run.
#[inline]
pub fn copy_run(view: &View<'_>, dtype: DType, valid: Valid, y: &mut [u32]) {
    let Valid { first, count, every, address, step } = valid;
    if count == 0 {
        return;
    }
    if step == 0 {
        let word = get_word(view, dtype, address);
        y[first..].iter_mut().step_by(every).take(count).for_each(|y| *y = word);
        return;
    }
    if step == 1 && every == 1 {
        let y = &mut y[first..first + count];
        let at = address as usize;
        match dtype {
            DType::F16 => view.slice::<half::f16>(at, count).convert_to_f32_slice(cast_slice_mut(y)),
            DType::BF16 => view.slice::<half::bf16>(at, count).convert_to_f32_slice(cast_slice_mut(y)),
            _ => y.copy_from_slice(view.slice(at, count)),
        }
        return;
    }
    if every == 1 && step > 1 && dtype.size_bytes() == 4 {
        let (step, y) = (step as usize, &mut y[first..first + count]);
        let x = view.slice::<u32>(address as usize, step * (count - 1) + 1);
        // Known strides become shuffles.
        return match step {
            2 => gather_every::<2>(x, y),
            3 => gather_every::<3>(x, y),
            4 => gather_every::<4>(x, y),
            _ => y.iter_mut().zip(x.chunks(step)).for_each(|(y, x)| *y = x[0]),
        };
    }
    // The stretch of the buffer that the run lies in.
    let span = step.unsigned_abs() as usize * (count - 1) + 1;
    let start = if step > 0 { address } else { address + step * (count as i64 - 1) } as usize;
    let at = |t: usize| if step > 0 { step as usize * t } else { span - 1 - step.unsigned_abs() as usize * t };
    let y = y[first..].iter_mut().step_by(every).take(count).enumerate();
    match dtype {
        DType::F16 => {
            let x = view.slice::<half::f16>(start, span);
            y.for_each(|(t, y)| *y = x[at(t)].to_f32().to_bits());
        }
        DType::BF16 => {
            let x = view.slice::<half::bf16>(start, span);
            y.for_each(|(t, y)| *y = x[at(t)].to_f32().to_bits());
        }
        _ => {
            let x = view.slice::<u32>(start, span);
            y.for_each(|(t, y)| *y = x[at(t)]);
        }
    }
}

/// A copy of a few words, without a call.
#[inline(always)]
fn copy_short(x: &[u32], y: &mut [u32]) {
    let ((xs, x_rest), (ys, y_rest)) = (x.as_chunks::<8>(), y.as_chunks_mut::<8>());
    ys.iter_mut().zip(xs).for_each(|(y, x)| *y = *x);
    y_rest.iter_mut().zip(x_rest).for_each(|(y, x)| *y = *x);
}

/// `y[t] = x[t · N]`.
fn gather_every<const N: usize>(x: &[u32], y: &mut [u32]) {
    let (parts, rest) = x.as_chunks::<N>();
    y.iter_mut().zip(parts).for_each(|(y, x)| *y = x[0]);
    if let (Some(y), Some(x)) = (y.get_mut(parts.len()), rest.first()) {
        *y = *x;
    }
}

/// Writes words, rounded to the buffer's dtype, at `address + t · step`.
#[inline]
fn put_run(view: &View<'_>, dtype: DType, address: i64, step: i64, src: &[u32]) {
    let at = address as usize;
    let n = src.len();
    match dtype {
        DType::F16 if step == 1 => view.slice_mut::<half::f16>(at, n).convert_from_f32_slice(cast_slice(src)),
        DType::BF16 if step == 1 => view.slice_mut::<half::bf16>(at, n).convert_from_f32_slice(cast_slice(src)),
        _ if step == 1 => view.put(at, src),
        DType::F32 | DType::I32 | DType::U32 | DType::Bool => view.scatter_rows(at, 0, step as isize, n, src),
        _ => {
            for (t, word) in src.iter().enumerate() {
                let at = (address + step * t as i64) as usize;
                match dtype {
                    DType::F16 => view.slice_mut(at, 1)[0] = half::f16::from_f32(f32::from_bits(*word)),
                    _ => view.slice_mut(at, 1)[0] = half::bf16::from_f32(f32::from_bits(*word)),
                }
            }
        }
    }
}
