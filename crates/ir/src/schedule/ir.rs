//! What a backend is given: a list of loop nests and contractions over virtual buffers.
//!
//! There are two kinds of [`Launch`]:
//!
//! - a [`Loop`]: for every point of `outer`, sweeps over `inner`. Its body is straight-line code; [`Inst::Reduce`]
//!   combines a value over all of `inner`. Elementwise chains have no `inner`; softmax, norms and losses are several
//!   sweeps; pooling is a short `inner` over window positions.
//! - a [`Contract`]: `acc[b, m, n] = Σ_k A[b, m, k] · B[b, k, n]`, then an elementwise body on every `acc`. Matrix
//!   products and convolutions, whose operands are windows of the input.
//!
//! Every operand is read through an [`Access`], an affine map from loop coordinates to a buffer element with guards; so
//! permutes, slices, broadcasts, padding and sliding windows cost no launch of their own.

use std::{
    collections::{BTreeSet, HashSet},
    hash::{Hash, Hasher},
    mem,
};

use crate::{
    dtype::{Class, DType},
    error::{Error, ErrorKind},
    fragment::Fragment,
    op::{Conv, ReduceOp, primitive::Primitive, scan::Walk},
    op::{binary::BinaryOp, unary::UnaryOp},
    program::{Label, Program},
};

/// Index of a virtual buffer in [`Schedule::buffers`].
pub type BufId = usize;
/// Index of an instruction, and so of its value, in [`Body::insts`].
pub type Val = usize;

/// `offset + Σ_d coef[d] · i[d]` over the loop coordinates `i`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Linear {
    /// The constant part.
    pub offset: i64,
    /// One factor for each loop coordinate.
    pub coef: Vec<i64>,
}

impl Linear {
    /// The value at loop coordinates `i`.
    pub fn at(&self, i: &[usize]) -> i64 {
        self.offset + self.coef.iter().zip(i).map(|(c, i)| c * *i as i64).sum::<i64>()
    }

    /// Whether it does not change along loop coordinate `d`.
    pub fn ignores(&self, d: usize) -> bool {
        self.coef[d] == 0
    }
}

/// One guarded source axis of an [`Access`]: adds `stride * (at / div)` to the address, and makes the access invalid
/// unless `at >= 0`, `at % div == 0` and `at / div < bound`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Term {
    /// Position along the source axis, times `div`.
    pub at: Linear,
    /// Divisor, at least 1. More than 1 only in adjoints of strided windows.
    pub div: i64,
    /// Extent of the source axis.
    pub bound: i64,
    /// Elements between neighbours along the source axis.
    pub stride: i64,
}

/// Which element of a buffer a loop coordinate reads: `base + Σ_t stride_t · (at_t / div_t)`, or `fill` if a guard fails.
#[derive(Clone, Debug, PartialEq)]
pub struct Access {
    /// The unguarded part, in elements from the buffer's start.
    pub base: Linear,
    /// The guarded part.
    pub terms: Vec<Term>,
    /// The value where a guard fails.
    pub fill: f64,
}

impl Access {
    /// The element at loop coordinates `i`, or `None` where a guard fails.
    pub fn at(&self, i: &[usize]) -> Option<usize> {
        let mut address = self.base.at(i);
        for term in &self.terms {
            let at = term.at.at(i);
            if at < 0 || at % term.div != 0 || at / term.div >= term.bound {
                return None;
            }
            address += term.stride * (at / term.div);
        }
        Some(address as usize)
    }

    /// Whether neither address nor guards change along loop coordinate `d`.
    pub fn ignores(&self, d: usize) -> bool {
        self.base.ignores(d) && self.terms.iter().all(|t| t.at.ignores(d))
    }
}

impl Hash for Access {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.base, &self.terms, self.fill.to_bits()).hash(state);
    }
}

/// One axis of a [`Inst::Gather`]: adds `stride * index`. What an index outside reads is not a number, of integers the element at
/// `clamp(index, 0, bound - 1)`, and it is reported.
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct Indirect {
    /// The value (I32) that holds the position.
    pub index: Val,
    /// Elements between neighbours along the indexed axis.
    pub stride: i64,
    /// Extent of the indexed axis.
    pub bound: i64,
    /// Which of [`Body::checks`] a position outside is reported as.
    pub check: usize,
}

/// Where positions that are data are looked at, for the error of one that is outside.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// The method, nearest parameter and source position.
    pub label: Label,
    /// The axis that is indexed.
    pub axis: usize,
    /// The node of the program that looks there.
    pub node: usize,
}

impl Hash for Check {
    /// What looks there depends on nothing else.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.axis.hash(state);
    }
}

impl Check {
    /// It in another program of the same plan, which may come from elsewhere in the caller's code.
    pub fn of(&self, program: &Program) -> Check {
        let label = program.nodes.get(self.node).map_or(&self.label, |node| &node.label);
        Check { label: label.clone(), ..self.clone() }
    }

    /// The error of a position outside.
    pub fn error(&self, index: i64, extent: usize) -> Error {
        self.label.error(ErrorKind::Index { index, axis: self.axis, extent })
    }
}

/// One instruction of a body. The value's dtype stands beside it in [`Body::dtypes`].
///
/// Floats are computed in f32 whatever their dtype; a value is rounded to a 16-bit dtype by [`Inst::Cast`] and by a store.
#[derive(Clone, Debug, PartialEq)]
pub enum Inst {
    /// An element of a buffer.
    Load {
        /// Which buffer.
        buf: BufId,
        /// Which element.
        at: Access,
    },
    /// An element whose position along one axis is a computed value.
    Gather {
        /// Which buffer.
        buf: BufId,
        /// The part of the address that the loop coordinates give.
        at: Access,
        /// The part that values give.
        index: Indirect,
    },
    /// Bool: whether a position (I32) is one of the axis. If not, it is reported.
    Within {
        /// The value that holds it.
        index: Val,
        /// Extent of the axis.
        bound: i64,
        /// Which of [`Body::checks`] it is reported as.
        check: usize,
    },
    /// Bool: whether every guard of the access holds ([`Access::at`] is not `None`). Only the terms matter.
    InBounds(Access),
    /// A number fixed in the plan.
    Const(f64),
    /// Number `i` of the host's scalars of this run ([`Schedule::scalars`]).
    Scalar(usize),
    /// The value of an affine form of the loop coordinates, as the value's dtype.
    Index(Linear),
    /// A Philox word, U32: see [`crate::Op::Random`]. `at` is the element number.
    Random {
        /// Element number within the tensor.
        at: Linear,
        /// Values of key low, key high, op, draw (all U32 scalars).
        stream: [Val; 4],
    },
    /// A function of one value.
    Unary(UnaryOp, Val),
    /// A function of two values of the same dtype class.
    Binary(BinaryOp, Val, Val),
    /// The second where the first (Bool) holds, else the third.
    Select(Val, Val, Val),
    /// To the value's dtype.
    Cast(Val),
    /// The combination over all of `inner`. Constant along `inner`.
    Reduce(ReduceOp, Val),
    /// The sum of products, in the body of a [`Contract`].
    Acc,
}

impl Hash for Inst {
    fn hash<H: Hasher>(&self, state: &mut H) {
        mem::discriminant(self).hash(state);
        match self {
            Inst::Load { buf, at } => (buf, at).hash(state),
            Inst::Gather { buf, at, index } => (buf, at, index).hash(state),
            Inst::Within { index, bound, check } => (index, bound, check).hash(state),
            Inst::InBounds(at) => at.hash(state),
            Inst::Const(value) => value.to_bits().hash(state),
            Inst::Scalar(slot) => slot.hash(state),
            Inst::Index(at) => at.hash(state),
            Inst::Random { at, stream } => (at, stream).hash(state),
            Inst::Unary(op, a) => (op, a).hash(state),
            Inst::Binary(op, a, b) => (op, a, b).hash(state),
            Inst::Select(c, a, b) => (c, a, b).hash(state),
            Inst::Cast(a) => a.hash(state),
            Inst::Reduce(op, a) => (op, a).hash(state),
            Inst::Acc => {}
        }
    }
}

impl Inst {
    /// The values it reads.
    pub fn operands(&self) -> Vec<Val> {
        match self {
            Inst::Load { .. } | Inst::InBounds(_) | Inst::Const(_) | Inst::Scalar(_) | Inst::Index(_) | Inst::Acc => {
                vec![]
            }
            Inst::Gather { index, .. } => vec![index.index],
            Inst::Within { index, .. } => vec![*index],
            Inst::Random { stream, .. } => stream.to_vec(),
            Inst::Unary(_, a) | Inst::Cast(a) | Inst::Reduce(_, a) => vec![*a],
            Inst::Binary(_, a, b) => vec![*a, *b],
            Inst::Select(c, a, b) => vec![*c, *a, *b],
        }
    }

    /// The same, to be changed.
    pub fn operands_mut(&mut self) -> Vec<&mut Val> {
        match self {
            Inst::Load { .. } | Inst::InBounds(_) | Inst::Const(_) | Inst::Scalar(_) | Inst::Index(_) | Inst::Acc => {
                vec![]
            }
            Inst::Gather { index, .. } => vec![&mut index.index],
            Inst::Within { index, .. } => vec![index],
            Inst::Random { stream, .. } => stream.iter_mut().collect(),
            Inst::Unary(_, a) | Inst::Cast(a) | Inst::Reduce(_, a) => vec![a],
            Inst::Binary(_, a, b) => vec![a, b],
            Inst::Select(c, a, b) => vec![c, a, b],
        }
    }

    /// Whether what it takes from the coordinates themselves does not change along loop coordinate `d`.
    pub fn ignores(&self, d: usize) -> bool {
        match self {
            Inst::Load { at, .. } | Inst::Gather { at, .. } | Inst::InBounds(at) => at.ignores(d),
            Inst::Index(at) | Inst::Random { at, .. } => at.ignores(d),
            _ => true,
        }
    }
}

/// A value written to a buffer.
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct Store {
    /// Where to; the store rounds to the buffer's dtype.
    pub buf: BufId,
    /// Which element. Every coordinate that the value varies along has its own element.
    pub at: Linear,
    /// What.
    pub value: Val,
}

/// Straight-line code in evaluation order.
#[derive(Clone, Debug, PartialEq, Default, Hash)]
pub struct Body {
    /// The instructions.
    pub insts: Vec<Inst>,
    /// The dtype of each instruction's value.
    pub dtypes: Vec<DType>,
    /// The results.
    pub stores: Vec<Store>,
    /// What looks at positions that are data.
    pub checks: Vec<Check>,
}

impl Body {
    /// The arithmetic class of a value.
    pub fn class(&self, v: Val) -> Class {
        self.dtypes[v].class()
    }

    /// The buffers read by loads and gathers, each once, in order of appearance.
    pub fn reads(&self) -> Vec<BufId> {
        let mut reads = Vec::new();
        for inst in &self.insts {
            if let Inst::Load { buf, .. } | Inst::Gather { buf, .. } = inst
                && !reads.contains(buf)
            {
                reads.push(*buf);
            }
        }
        reads
    }

    /// Every place that names a buffer.
    fn buffers_mut(&mut self) -> impl Iterator<Item = &mut BufId> {
        let read = self.insts.iter_mut().filter_map(|inst| match inst {
            Inst::Load { buf, .. } | Inst::Gather { buf, .. } => Some(buf),
            _ => None,
        });
        read.chain(self.stores.iter_mut().map(|store| &mut store.buf))
    }
}

/// For every point of `outer`, sweeps over `inner`. Loop coordinates are `outer ++ inner`.
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct Loop {
    /// Extents of the independent coordinates.
    pub outer: Vec<usize>,
    /// Extents of the reduced coordinates; empty when nothing is reduced.
    pub inner: Vec<usize>,
    /// The code.
    pub body: Body,
}

/// Where in a [`Loop`] a value lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    /// Whether it is one number per point of `outer`.
    pub per_row: bool,
    /// The sweep in which it can first be computed; a per-row value of sweep `s` is known before sweep `s` starts.
    pub sweep: usize,
}

impl Loop {
    /// The level of each value. A store or an `Inst::Reduce` of a per-element value happens in that value's sweep;
    /// per-element values of earlier sweeps that it needs are computed again.
    pub fn levels(&self) -> Vec<Level> {
        let inner = self.outer.len()..self.outer.len() + self.inner.len();
        let mut levels: Vec<Level> = Vec::with_capacity(self.body.insts.len());
        for inst in &self.body.insts {
            let operands = inst.operands();
            let sweep = operands.iter().map(|v| levels[*v].sweep).max().unwrap_or(0);
            let per_row = inner.clone().all(|d| inst.ignores(d)) && operands.iter().all(|v| levels[*v].per_row);
            levels.push(match inst {
                Inst::Reduce(..) => Level { per_row: true, sweep: sweep + 1 },
                _ => Level { per_row, sweep },
            });
        }
        levels
    }

    /// Points of `outer`.
    pub fn rows(&self) -> usize {
        self.outer.iter().product()
    }

    /// Points of `inner` for each row.
    pub fn cols(&self) -> usize {
        self.inner.iter().product()
    }
}

/// One side of a contraction.
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct Operand {
    /// Which buffer.
    pub buf: BufId,
    /// Which element: over `batch ++ m ++ k` for the left side, `batch ++ k ++ n` for the right.
    pub at: Access,
    /// Casts applied to the element, in order (say, to f16: the value is rounded before the product).
    pub casts: Vec<DType>,
}

/// What a contraction is in the graph, for labels and for backends that have a kernel of their own for it.
#[derive(Clone, Debug, PartialEq, Hash)]
pub enum ContractKind {
    /// [`crate::Op::Matmul`].
    Matmul,
    /// [`crate::Op::Conv`]: left is the weight, right the windows; `batch = [groups]`, `m = [O/g]`, `n = [B, S..]`,
    /// `k = [C/g, K..]`.
    Conv(Conv),
    /// [`crate::Op::ConvInput`]: left is the weight, right the gradient; `batch = [groups]`, `m = [C/g]`, `n = [B, L..]`,
    /// `k = [O/g, K..]`.
    ConvInput(Conv),
    /// [`crate::Op::ConvWeight`]: left is the gradient, right the windows; `batch = [groups]`, `m = [O/g]`,
    /// `n = [C/g, K..]`, `k = [B, S..]`.
    ConvWeight(Conv),
}

/// `acc[b, m, n] = Σ_k A[b, m, k] · B[b, k, n]`, accumulated in f32, and `body` on each. The body's loop coordinates are
/// `batch ++ m ++ n`; it has no `Inst::Reduce`.
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct Contract {
    /// What it is in the graph.
    pub kind: ContractKind,
    /// Extents of the coordinates that both sides share with the output.
    pub batch: Vec<usize>,
    /// Extents of the left side's own coordinates.
    pub m: Vec<usize>,
    /// Extents of the right side's own coordinates.
    pub n: Vec<usize>,
    /// Extents of the summed coordinates.
    pub k: Vec<usize>,
    /// The left side.
    pub a: Operand,
    /// The right side.
    pub b: Operand,
    /// What is done with each sum, and where it goes.
    pub body: Body,
}

/// A whole buffer, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Which buffer.
    pub buf: BufId,
    /// Its extents.
    pub shape: Vec<usize>,
}

/// A primitive on whole buffers.
#[derive(Clone, Debug, PartialEq)]
pub struct Whole {
    /// What it computes.
    pub op: Primitive,
    /// What it reads.
    pub inputs: Vec<Array>,
    /// Its results; none where nobody asks for one.
    pub outputs: Vec<Option<Array>>,
}

impl Whole {
    /// Every buffer it names.
    fn arrays_mut(&mut self) -> impl Iterator<Item = &mut Array> {
        self.inputs.iter_mut().chain(self.outputs.iter_mut().flatten())
    }
}

/// A recorded step, so many times: launches over buffers some of which lie elsewhere every time.
#[derive(Clone, Debug, PartialEq)]
pub struct Repeat {
    /// How many times.
    pub times: usize,
    /// A step.
    pub launches: Vec<Launch>,
    /// What all steps together read and write.
    pub whole: Whole,
    /// What they need beside, of which nothing is wanted behind them.
    pub scratch: Vec<BufId>,
}

/// Work that a backend starts at once.
#[expect(clippy::large_enum_variant, reason = "there are tens of launches in a plan, and they are read, not moved")]
#[derive(Clone, Debug, PartialEq)]
pub enum LaunchKind {
    /// A loop nest.
    Loop(Loop),
    /// A contraction.
    Contract(Contract),
    /// A primitive.
    Whole(Whole),
    /// A recorded step, walked over.
    Repeat(Repeat),
}

impl LaunchKind {
    /// The buffers it reads.
    pub fn reads(&self) -> BTreeSet<BufId> {
        match self {
            LaunchKind::Loop(l) => l.body.reads().into_iter().collect(),
            LaunchKind::Contract(c) => c.body.reads().into_iter().chain([c.a.buf, c.b.buf]).collect(),
            LaunchKind::Whole(whole) | LaunchKind::Repeat(Repeat { whole, .. }) => {
                whole.inputs.iter().map(|array| array.buf).collect()
            }
        }
    }

    /// The buffers it writes.
    pub fn writes(&self) -> BTreeSet<BufId> {
        match self {
            LaunchKind::Loop(l) => l.body.stores.iter().map(|s| s.buf).collect(),
            LaunchKind::Whole(whole) => whole.outputs.iter().flatten().map(|array| array.buf).collect(),
            LaunchKind::Repeat(Repeat { whole, scratch, .. }) => {
                whole.outputs.iter().flatten().map(|array| array.buf).chain(scratch.iter().copied()).collect()
            }
            LaunchKind::Contract(c) => c.body.stores.iter().map(|s| s.buf).collect(),
        }
    }
}

impl LaunchKind {
    /// What it is called.
    pub fn name(&self) -> &'static str {
        match self {
            LaunchKind::Loop(_) => "loop",
            LaunchKind::Contract(_) => "contract",
            LaunchKind::Whole(w) => w.op.name(),
            LaunchKind::Repeat(r) => r.whole.op.name(),
        }
    }

    /// The code, if it has some.
    pub fn body(&self) -> Option<&Body> {
        match self {
            LaunchKind::Loop(Loop { body, .. }) | LaunchKind::Contract(Contract { body, .. }) => Some(body),
            LaunchKind::Whole(_) | LaunchKind::Repeat(_) => None,
        }
    }

    /// Instructions.
    pub fn size(&self) -> usize {
        self.body().map_or(0, |body| body.insts.len())
    }

    /// The code, to be changed.
    pub fn body_mut(&mut self) -> Option<&mut Body> {
        match self {
            LaunchKind::Loop(Loop { body, .. }) | LaunchKind::Contract(Contract { body, .. }) => Some(body),
            LaunchKind::Whole(_) | LaunchKind::Repeat(_) => None,
        }
    }

    /// Every buffer it names.
    pub fn buffers(&self) -> Vec<BufId> {
        self.clone().buffers_mut().into_iter().map(|buf| *buf).collect()
    }

    /// It with buffers and host scalars numbered in order of appearance, and which of them those are.
    pub fn anywhere(&self) -> (LaunchKind, Vec<BufId>, Vec<usize>) {
        let number = |of: &mut usize, known: &mut Vec<usize>| {
            let at = known.iter().position(|k| k == of).unwrap_or(known.len());
            if at == known.len() {
                known.push(*of);
            }
            *of = at;
        };
        let (mut kind, mut buffers, mut scalars) = (self.clone(), Vec::new(), Vec::new());
        kind.buffers_mut().into_iter().for_each(|buf| number(buf, &mut buffers));
        for inst in kind.body_mut().into_iter().flat_map(|body| &mut body.insts) {
            if let Inst::Scalar(slot) = inst {
                number(slot, &mut scalars);
            }
        }
        (kind, buffers, scalars)
    }

    /// Every place that names a buffer.
    pub fn buffers_mut(&mut self) -> Vec<&mut BufId> {
        let (operands, body) = match self {
            LaunchKind::Loop(l) => (vec![], Some(&mut l.body)),
            LaunchKind::Contract(c) => (vec![&mut c.a.buf, &mut c.b.buf], Some(&mut c.body)),
            LaunchKind::Whole(whole) => (whole.arrays_mut().map(|array| &mut array.buf).collect(), None),
            LaunchKind::Repeat(Repeat { launches, whole, scratch, .. }) => {
                let inner = launches.iter_mut().flat_map(|launch| launch.kind.buffers_mut());
                let outer = whole.arrays_mut().map(|array| &mut array.buf);
                (inner.chain(outer).chain(scratch).collect(), None)
            }
        };
        operands.into_iter().chain(body.into_iter().flat_map(Body::buffers_mut)).collect()
    }
}

/// One launch.
#[derive(Clone, Debug, PartialEq)]
pub struct Launch {
    /// What to do.
    pub kind: LaunchKind,
    /// Ops, nearest parameter path and source position, for error messages.
    pub label: String,
    /// The nodes of the program that it computes, first the one that it is known by.
    pub members: Vec<usize>,
}

impl Launch {
    /// What looks at positions that are data.
    pub fn checks(&self) -> &[Check] {
        self.kind.body().map_or(&[], |body| &body.checks)
    }

    /// The same, to be changed.
    pub fn checks_mut(&mut self) -> &mut [Check] {
        self.kind.body_mut().map_or(&mut [], |body| &mut body.checks)
    }

    /// Whether it looks at positions that are data.
    pub fn looks(&self) -> bool {
        match &self.kind {
            LaunchKind::Whole(Whole { op: Primitive::Scan(scan), .. }) => {
                scan.step.program::<Fragment>().is_some_and(Fragment::looks)
            }
            LaunchKind::Repeat(repeat) => repeat.launches.iter().any(Launch::looks),
            _ => !self.checks().is_empty(),
        }
    }

    /// The buffers it reads, each once, operands first.
    pub fn reads(&self) -> Vec<BufId> {
        let first = match &self.kind {
            LaunchKind::Loop(_) => vec![],
            LaunchKind::Contract(c) => vec![c.a.buf, c.b.buf],
            LaunchKind::Whole(whole) | LaunchKind::Repeat(Repeat { whole, .. }) => {
                whole.inputs.iter().map(|array| array.buf).collect()
            }
        };
        let mut reads = Vec::new();
        for buf in first.into_iter().chain(self.kind.body().into_iter().flat_map(Body::reads)) {
            if !reads.contains(&buf) {
                reads.push(buf);
            }
        }
        reads
    }

    /// The buffers it writes, each once.
    pub fn writes(&self) -> Vec<BufId> {
        match &self.kind {
            LaunchKind::Loop(Loop { body, .. }) | LaunchKind::Contract(Contract { body, .. }) => {
                body.stores.iter().map(|s| s.buf).collect()
            }
            kind => kind.writes().into_iter().collect(),
        }
    }
}

/// Where a virtual buffer lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// Leaf `i` of the program: a region given at each run.
    Leaf(usize),
    /// Output `i` of the program: a region given or made at each run. It may be the region of a leaf (an update in place);
    /// the memory pass has checked that no launch reads the old value after the new one is written, except element by
    /// element in the launch that writes it.
    Output(usize),
    /// At the start of slot `i` of the activation pool.
    Slot(usize),
    /// At `offset` elements into another buffer.
    Window {
        /// The buffer that holds it. Never itself a window.
        of: BufId,
        /// Elements from its start.
        offset: usize,
    },
    /// In another buffer, in a [`Repeat`]: elsewhere at every step.
    Walk {
        /// The buffer that holds it.
        of: BufId,
        /// Where in it.
        walk: Walk,
    },
    /// A buffer of the plan's own that starts as zeros and that nothing else ever writes: packed gradients, whose padding
    /// must stay zero.
    Zeroed,
}

/// A virtual buffer: dense, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct BufferSpec {
    /// Element type.
    pub dtype: DType,
    /// Elements.
    pub len: usize,
    /// Where it lives.
    pub place: Place,
}

/// A graph, grouped, ordered and laid out in memory.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Schedule {
    /// The virtual buffers.
    pub buffers: Vec<BufferSpec>,
    /// The launches in execution order.
    pub launches: Vec<Launch>,
    /// Bytes of each slot of the activation pool.
    pub slots: Vec<usize>,
    /// For each output of the program the buffer that holds it. An output that is a leaf is that leaf's buffer.
    pub outputs: Vec<BufId>,
    /// How many host scalars a run brings; each is 32 bits, f32, i32 or u32 by the dtype of its [`Inst::Scalar`].
    pub scalars: usize,
}

impl Schedule {
    /// Whether a buffer must start as zeros, since no launch writes its every element: between the parts of a pack lies nothing.
    pub fn starts_at_zero(&self) -> Vec<bool> {
        let written: HashSet<BufId> = self.launches.iter().flat_map(|l| l.writes()).collect();
        let mut zero: Vec<bool> = (0..self.buffers.len()).map(|buf| !written.contains(&buf)).collect();
        for spec in &self.buffers {
            if let Place::Window { of, .. } = spec.place {
                zero[of] = true;
            }
        }
        zero
    }
}
