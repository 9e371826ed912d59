//! What a launch can do: a loop nest, a contraction, a primitive.

use super::{Access, Body, BufId, Inst};
use crate::{
    dtype::DType,
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
    pub(super) fn arrays_mut(&mut self) -> impl Iterator<Item = &mut Array> {
        self.inputs.iter_mut().chain(self.outputs.iter_mut().flatten())
    }
}
