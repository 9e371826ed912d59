//! What a contraction reads: elements of a buffer, or code that makes each of them where it is read.
//!
//! Every element is read as often as the other side has rows or columns, a tile at a time. So what is done to it on the way has to be
//! little beside reading it: casts, a scale, a mask, a comparison of positions. Everything else is computed once and stored.
//!
//! ```text
//! q (16 bits) ── cast ── · scale ─┐                   x ── − mean ── · slope ── buffer ─┐
//!                                 ├─ Σ products                                         ├─ Σ products
//! x ──────────────────────────────┘                   w ────────────────────────────────┘
//! ```

use super::{
    emit::{Emitter, Trouble},
    form::Form,
    graph::{Graph, NodeId},
    ir::{Inst, Operand},
};
use crate::{op::Op, shape::count};

/// Rows or columns of the other side, up to which one that is made of several buffers is not stored: it is a tile or two.
const FEW: usize = 64;

/// Instructions that are little work.
const MAX_WORK: usize = 8;

/// The operand that is this node at these forms, over coordinates of these extents; `others` are the rows or columns of the other side.
pub fn operand(
    graph: &Graph,
    in_buffer: &dyn Fn(NodeId) -> bool,
    (id, forms): (NodeId, &[Form]),
    extents: &[usize],
    others: usize,
) -> Result<Operand, Trouble> {
    let stored = stored(graph, in_buffer, id);
    let code = Emitter::new(graph, extents.to_vec(), in_buffer).code(id, forms);
    let operand = code.map(|body| Operand { body }).map_err(|trouble| match trouble {
        // A contraction's coordinates are what they are.
        Trouble::Split { source, .. } => Trouble::Materialise(source),
        Trouble::Large | Trouble::Elsewhere => Trouble::Materialise(stored),
        other => other,
    })?;
    // Windows, and what is repeated, would be computed for each place where they show.
    let once = count(extents) <= count(&graph.nodes[stored].shape);
    let rarely = match loads(&operand, extents) {
        0 => true,
        1 => once,
        _ => once && others <= FEW,
    };
    let light = rarely && is_little(&operand);
    match light || operand.read().is_some() || in_buffer(stored) {
        true => Ok(operand),
        false => Err(Trouble::Materialise(stored)),
    }
}

/// The node to store in place of an operand that is not made where it is read: what it shows, in the dtype in which it is wanted.
fn stored(graph: &Graph, in_buffer: &dyn Fn(NodeId) -> bool, id: NodeId) -> NodeId {
    let mut shown = id;
    while !in_buffer(shown) && (graph.nodes[shown].op.is_view() || graph.widens(shown)) {
        shown = graph.nodes[shown].inputs[0];
    }
    // Of a buffer it is the view that is in the way.
    if in_buffer(shown) { id } else { shown }
}

/// Whether its code is a few instructions that take hardly longer than reading an element.
fn is_little(operand: &Operand) -> bool {
    let work = |inst: &Inst| match inst {
        Inst::Unary(op, _) if Op::Unary(*op).is_cheap() => 1,
        Inst::Binary(op, ..) if Op::Binary(*op).is_cheap() => 1,
        Inst::Unary(..) | Inst::Binary(..) | Inst::Random { .. } => MAX_WORK + 1,
        Inst::Select(..) => 1,
        _ => 0,
    };
    operand.body.insts.iter().map(work).sum::<usize>() <= MAX_WORK
}

/// How many buffers it reads another element of at every point: what is one number for a row or for a step is soon at hand.
fn loads(operand: &Operand, extents: &[usize]) -> usize {
    let varies = |inst: &&Inst| match inst {
        Inst::Load { at, .. } | Inst::Gather { at, .. } => {
            (0..extents.len()).all(|d| extents[d] == 1 || !at.ignores(d))
        }
        _ => false,
    };
    operand.body.insts.iter().filter(varies).count()
}
