//! Straight-line code for the values at one point of a loop nest.

use std::{
    hash::{Hash, Hasher},
    mem,
};

use smallvec::{SmallVec, smallvec};

use super::{Access, BufId, BufIds, Linear};
use crate::{
    dtype::{Class, DType},
    error::{Error, ErrorKind},
    op::{ReduceOp, binary::BinaryOp, unary::UnaryOp},
    program::{Label, Program},
};

/// Index of an instruction, and so of its value, in [`Body::insts`].
pub type Val = usize;

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
    /// Number `i` of the host's scalars of this run ([`super::Schedule::scalars`]).
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
    /// The sum of products, in the body of a [`super::Contract`].
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
    pub fn operands(&self) -> SmallVec<[Val; 4]> {
        match self {
            Inst::Load { .. } | Inst::InBounds(_) | Inst::Const(_) | Inst::Scalar(_) | Inst::Index(_) | Inst::Acc => {
                smallvec![]
            }
            Inst::Gather { index, .. } => smallvec![index.index],
            Inst::Within { index, .. } => smallvec![*index],
            Inst::Random { stream, .. } => SmallVec::from(*stream),
            Inst::Unary(_, a) | Inst::Cast(a) | Inst::Reduce(_, a) => smallvec![*a],
            Inst::Binary(_, a, b) => smallvec![*a, *b],
            Inst::Select(c, a, b) => smallvec![*c, *a, *b],
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
    pub fn reads(&self) -> BufIds {
        let mut reads = BufIds::new();
        for inst in &self.insts {
            if let Inst::Load { buf, .. } | Inst::Gather { buf, .. } = inst
                && !reads.contains(buf)
            {
                reads.push(*buf);
            }
        }
        reads
    }

    /// Reports positions outside among the checks of another body from now on.
    pub fn checks_to(&mut self, other: &mut Body) {
        let first = other.checks.len();
        other.checks.append(&mut self.checks);
        for inst in &mut self.insts {
            if let Inst::Gather { index: Indirect { check, .. }, .. } | Inst::Within { check, .. } = inst {
                *check += first;
            }
        }
    }

    /// Every place that names a buffer.
    pub(super) fn buffers_mut(&mut self) -> impl Iterator<Item = &mut BufId> {
        let read = self.insts.iter_mut().filter_map(|inst| match inst {
            Inst::Load { buf, .. } | Inst::Gather { buf, .. } => Some(buf),
            _ => None,
        });
        read.chain(self.stores.iter_mut().map(|store| &mut store.buf))
    }
}
