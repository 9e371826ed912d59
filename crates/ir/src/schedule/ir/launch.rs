//! What a launch does: a loop nest, a contraction, a primitive, or a recorded step many times.

use std::collections::BTreeSet;

use super::{Access, Body, BufId, BufIds, Check, Inst};
use crate::{
    dtype::DType,
    fragment::Fragment,
    op::{Conv, primitive::Primitive},
};

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

/// One side of a contraction: code for each of its elements, the last value of which it is. Mostly that is an element of a buffer
/// ([`Operand::read`]).
///
/// Loop coordinates are `batch ++ m ++ k` for the left side, `batch ++ k ++ n` for the right. It stores nothing and reduces nothing;
/// positions that it looks at are among the checks of [`Contract::body`].
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct Operand {
    /// The code.
    pub body: Body,
}

/// An operand that is a float of a buffer, 0 where a guard fails.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Read<'a> {
    /// Which buffer.
    pub buf: BufId,
    /// What its elements are.
    pub dtype: DType,
    /// Which element.
    pub at: &'a Access,
    /// Casts applied to the element, in order (say, to f16: the value is rounded before the product).
    pub casts: &'a [DType],
}

impl Operand {
    /// Elements of a buffer of this dtype.
    pub fn load(buf: BufId, dtype: DType, at: Access) -> Operand {
        Operand { body: Body { insts: vec![Inst::Load { buf, at }], dtypes: vec![dtype], ..Body::default() } }
    }

    /// It, cast.
    pub fn cast(mut self, to: DType) -> Operand {
        self.body.insts.push(Inst::Cast(self.body.insts.len() - 1));
        self.body.dtypes.push(to);
        self
    }

    /// The dtype of its elements.
    pub fn dtype(&self) -> DType {
        self.body.dtypes[self.body.dtypes.len() - 1]
    }

    /// What it reads, if it does nothing beside but cast.
    pub fn read(&self) -> Option<Read<'_>> {
        let [Inst::Load { buf, at }, casts @ ..] = &self.body.insts[..] else { return None };
        let in_order = casts.iter().enumerate().all(|(before, inst)| *inst == Inst::Cast(before));
        let (dtype, casts) = self.body.dtypes.split_first()?;
        // What is no float has other bits, and a guard's 0 stays 0 when it is cast.
        let floats = self.body.dtypes.iter().all(|dtype| dtype.is_float()) && at.fill == 0.0;
        (in_order && floats).then_some(Read { buf: *buf, dtype: *dtype, at, casts })
    }
}

/// What a contraction is in the graph, for labels and for backends that have a kernel of their own for it.
#[derive(Clone, Debug, PartialEq, Hash)]
pub enum ContractKind {
    /// [`crate::Op::Matmul`].
    Matmul,
    /// [`crate::Op::Conv`]: left is the weight, right the windows; `batch = [groups]`, `m = [O/g]`, `n = [B, S..]`,
    /// `k = [C/g, K..]`.
    Conv(Box<Conv>),
    /// [`crate::Op::ConvInput`]: left is the weight, right the gradient; `batch = [groups]`, `m = [C/g]`, `n = [B, L..]`,
    /// `k = [O/g, K..]`.
    ConvInput(Box<Conv>),
    /// [`crate::Op::ConvWeight`]: left is the gradient, right the windows; `batch = [groups]`, `m = [O/g]`,
    /// `n = [C/g, K..]`, `k = [B, S..]`.
    ConvWeight(Box<Conv>),
}

/// `acc[b, m, n] = Σ_k A[b, m, k] · B[b, k, n]`, accumulated in f32, and `body` on each. The body's loop coordinates are
/// `batch ++ m ++ n`; it has no `Inst::Reduce`.
///
/// ```text
/// buffers ── code of A ─┐
///                       ├─ Σ products ── body ── buffers
/// buffers ── code of B ─┘                 └ buffers
/// ```
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

impl Contract {
    /// Its code: that of both sides, and what is done with each sum.
    pub fn bodies(&self) -> [&Body; 3] {
        [&self.a.body, &self.b.body, &self.body]
    }

    /// The same, to be changed.
    pub fn bodies_mut(&mut self) -> [&mut Body; 3] {
        [&mut self.a.body, &mut self.b.body, &mut self.body]
    }

    /// Extents of the coordinates of both sides.
    pub fn extents(&self) -> [Vec<usize>; 2] {
        [[&self.batch[..], &self.m, &self.k].concat(), [&self.batch[..], &self.k, &self.n].concat()]
    }
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
            LaunchKind::Contract(c) => c.bodies().into_iter().flat_map(Body::reads).collect(),
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

    /// The code of results, if it has some.
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

    /// All of its code, to be changed: a contraction's operands have some too.
    pub fn bodies_mut(&mut self) -> Vec<&mut Body> {
        match self {
            LaunchKind::Loop(l) => vec![&mut l.body],
            LaunchKind::Contract(c) => c.bodies_mut().into(),
            LaunchKind::Whole(_) | LaunchKind::Repeat(_) => vec![],
        }
    }

    /// The code of results, to be changed.
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
        for inst in kind.bodies_mut().into_iter().flat_map(|body| &mut body.insts) {
            if let Inst::Scalar(slot) = inst {
                number(slot, &mut scalars);
            }
        }
        (kind, buffers, scalars)
    }

    /// Every place that names a buffer.
    pub fn buffers_mut(&mut self) -> Vec<&mut BufId> {
        match self {
            LaunchKind::Loop(l) => l.body.buffers_mut().collect(),
            LaunchKind::Contract(c) => c.bodies_mut().into_iter().flat_map(Body::buffers_mut).collect(),
            LaunchKind::Whole(whole) => whole.arrays_mut().map(|array| &mut array.buf).collect(),
            LaunchKind::Repeat(Repeat { launches, whole, scratch, .. }) => {
                let inner = launches.iter_mut().flat_map(|launch| launch.kind.buffers_mut());
                let outer = whole.arrays_mut().map(|array| &mut array.buf);
                inner.chain(outer).chain(scratch).collect()
            }
        }
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
    pub fn reads(&self) -> BufIds {
        let all: BufIds = match &self.kind {
            LaunchKind::Loop(l) => l.body.reads(),
            LaunchKind::Contract(c) => c.bodies().into_iter().flat_map(Body::reads).collect(),
            LaunchKind::Whole(whole) | LaunchKind::Repeat(Repeat { whole, .. }) => {
                whole.inputs.iter().map(|array| array.buf).collect()
            }
        };
        let mut reads = BufIds::new();
        for buf in all {
            if !reads.contains(&buf) {
                reads.push(buf);
            }
        }
        reads
    }

    /// The buffers it writes, each once.
    pub fn writes(&self) -> BufIds {
        match &self.kind {
            LaunchKind::Loop(Loop { body, .. }) | LaunchKind::Contract(Contract { body, .. }) => {
                body.stores.iter().map(|s| s.buf).collect()
            }
            kind => kind.writes().into_iter().collect(),
        }
    }
}
