//! The coordinates of contractions: which axes of operands and output each runs along.

use super::{
    emit::Emitter,
    form::{Form, add_scaled},
    graph::{Graph, NodeId},
    ir::{ContractKind, Linear},
    views::window_position,
};
use crate::op::{Conv, Op};

/// A contraction's coordinates: extents, where the output's axes are among `batch ++ m ++ n`, and for each side which input
/// it is and the forms of that input's axes over its own coordinates.
pub struct Coordinates {
    pub kind: ContractKind,
    pub batch: Vec<usize>,
    pub m: Vec<usize>,
    pub n: Vec<usize>,
    pub k: Vec<usize>,
    pub output: Vec<Linear>,
    pub a: (usize, Vec<Form>),
    pub b: (usize, Vec<Form>),
}

/// One coordinate of `total`.
fn pick(total: usize, coordinate: usize) -> Linear {
    Linear { offset: 0, coef: (0..total).map(|c| i64::from(c == coordinate)).collect() }
}

impl Coordinates {
    pub fn of(graph: &Graph, id: NodeId) -> Coordinates {
        let node = &graph.nodes[id];
        let shapes: Vec<&[usize]> = node.inputs.iter().map(|i| graph.nodes[*i].shape.as_slice()).collect();
        match &node.op {
            Op::Conv(c) => Coordinates::conv(ContractKind::Conv(c.clone()), c, shapes[0], shapes[1], &node.shape),
            Op::ConvInput(c) => {
                Coordinates::conv(ContractKind::ConvInput(c.clone()), c, &node.shape, shapes[1], shapes[0])
            }
            Op::ConvWeight(c) => {
                Coordinates::conv(ContractKind::ConvWeight(c.clone()), c, shapes[0], &node.shape, shapes[1])
            }
            _ => Coordinates::matmul(shapes[0], shapes[1]),
        }
    }

    fn matmul(lhs: &[usize], rhs: &[usize]) -> Coordinates {
        let (rows, k) = (&lhs[..lhs.len() - 1], lhs[lhs.len() - 1]);
        let n = rhs[rhs.len() - 1];
        // Without batch axes on the right, all axes of the left but the last are rows of one product.
        let shared = if rhs.len() == 2 { 0 } else { rows.len() - 1 };
        let (batch, m) = (rows[..shared].to_vec(), rows[shared..].to_vec());
        let forms = |total: usize, picks: Vec<usize>| picks.into_iter().map(|c| Form::plain(pick(total, c))).collect();
        let total = batch.len() + m.len() + 1;
        Coordinates {
            kind: ContractKind::Matmul,
            output: (0..total).map(|c| pick(total, c)).collect(),
            a: (0, forms(total, (0..total).collect())),
            b: (1, forms(batch.len() + 2, (0..batch.len() + 2).collect())),
            batch,
            m,
            n: vec![n],
            k: vec![k],
        }
    }

    /// A convolution or one of its adjoints: batch g; a is read at `m, k`, b at `k, n`, where k is one axis of channels or samples
    /// and the axes of space behind it, and so is n.
    fn conv(kind: ContractKind, conv: &Conv, x: &[usize], w: &[usize], y: &[usize]) -> Coordinates {
        let s = x.len() - 2;
        let (g, og, cg) = (conv.groups, w[0] / conv.groups, w[1]);
        let (m, n, k) = match &kind {
            // m o; n b, s..; k c, k..
            ContractKind::Conv(_) => (og, [&y[..1], &y[2..]].concat(), [&[cg], &w[2..]].concat()),
            // m c; n b, l..; k o, k..
            ContractKind::ConvInput(_) => (cg, [&x[..1], &x[2..]].concat(), [&[og], &w[2..]].concat()),
            // m o; n c, k..; k b, s..
            _ => (og, [&[cg], &w[2..]].concat(), [&y[..1], &y[2..]].concat()),
        };
        let (out, ka, kb) = (2 + n.len(), 2 + k.len(), 1 + k.len() + n.len());
        // `group · per + channel`.
        let channel =
            |total: usize, within: usize, per: usize| add_scaled(&pick(total, within), &pick(total, 0), per as i64);
        let (output, a, b) = match &kind {
            ContractKind::Conv(_) => (
                [pick(out, 2), channel(out, 1, og)],
                [channel(ka, 1, og), pick(ka, 2)],
                [pick(kb, 1 + k.len()), channel(kb, 1, cg)],
            ),
            ContractKind::ConvInput(_) => (
                [pick(out, 2), channel(out, 1, cg)],
                [channel(ka, 2, og), pick(ka, 1)],
                [pick(kb, 1 + k.len()), channel(kb, 1, og)],
            ),
            _ => (
                [channel(out, 1, og), pick(out, 2)],
                [pick(ka, 2), channel(ka, 1, og)],
                [pick(kb, 1), channel(kb, 1 + k.len(), cg)],
            ),
        };
        // Positions in b's space need the guards of an emitter over b's own extents.
        let (graph, nothing): (_, &dyn Fn(NodeId) -> bool) = (Graph::default(), &|_| false);
        let emitter = Emitter::new(&graph, [&[g], &k[..], &n[..]].concat(), nothing);
        let window = |d: usize, o: &Linear, k: &Linear| {
            emitter.guarded(window_position(&emitter.zero(), &conv.window, d, o, k), x[2 + d])
        };
        let space = |d: usize| {
            let (in_k, in_n) = (emitter.coordinate(2 + d), emitter.coordinate(2 + k.len() + d));
            match &kind {
                ContractKind::Conv(_) => window(d, &in_n, &in_k),
                ContractKind::ConvInput(_) => emitter.unwindow(&conv.window, d, &in_n, &in_k, y[2 + d]),
                _ => window(d, &in_k, &in_n),
            }
        };
        let behind =
            |first: [Linear; 2], total: usize| first.into_iter().chain((0..s).map(move |d| pick(total, 3 + d)));
        Coordinates {
            output: behind(output, out).collect(),
            a: (1, behind(a, ka).map(Form::plain).collect()),
            b: (0, b.map(Form::plain).into_iter().chain((0..s).map(space)).collect()),
            batch: vec![g],
            m: vec![m],
            n,
            k,
            kind,
        }
    }
}
