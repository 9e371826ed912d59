//! The coordinates of contractions: which axes of operands and output each runs along.

use super::{
    emit::Emitter,
    graph::{Graph, NodeId},
    ir::{ContractKind, Linear},
    views::{Form, add_scaled, window_position},
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

/// One coordinate of `total`, plus another one scaled.
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

    fn conv(kind: ContractKind, conv: &Conv, x: &[usize], w: &[usize], y: &[usize]) -> Coordinates {
        let s = x.len() - 2;
        let (g, og, cg) = (conv.groups, w[0] / conv.groups, w[1]);
        let probe = |extents: &[usize]| extents.to_vec();
        // `group · per + channel`.
        let channel =
            |total: usize, within: usize, per: usize| add_scaled(&pick(total, within), &pick(total, 0), per as i64);
        let plain = |l: Linear| Form::plain(l);
        let empty: &dyn Fn(NodeId) -> bool = &|_| false;
        let graph = Graph::default();
        // Forms of spatial axes need the guard logic of an emitter over the side's own extents.
        let windowed = |extents: &[usize], o: usize, k: usize| -> Vec<Form> {
            let emitter = Emitter::new(&graph, probe(extents), empty);
            (0..s)
                .map(|d| {
                    let (o, k) = (emitter.coordinate(o + d), emitter.coordinate(k + d));
                    let lin = window_position(&emitter.zero(), &conv.window, d, &o, &k);
                    emitter.guarded(lin, x[2 + d])
                })
                .collect()
        };
        match &kind {
            ContractKind::Conv(_) => {
                // batch g; m o; n b, s..; k c, k..
                let (n, k) = ([&[y[0]][..], &y[2..]].concat(), [&[cg][..], &w[2..]].concat());
                let out = 2 + n.len();
                let ka = 2 + k.len();
                let kb = 1 + k.len() + n.len();
                let b_extents = [&[g][..], &k, &n].concat();
                let mut b_forms = vec![plain(pick(kb, 1 + k.len())), plain(channel(kb, 1, cg))];
                b_forms.extend(windowed(&b_extents, 1 + k.len() + 1, 2));
                Coordinates {
                    output: [pick(out, 2), channel(out, 1, og)]
                        .into_iter()
                        .chain((0..s).map(|d| pick(out, 3 + d)))
                        .collect(),
                    a: (
                        1,
                        [plain(channel(ka, 1, og)), plain(pick(ka, 2))]
                            .into_iter()
                            .chain((0..s).map(|d| plain(pick(ka, 3 + d))))
                            .collect(),
                    ),
                    b: (0, b_forms),
                    batch: vec![g],
                    m: vec![og],
                    n,
                    k,
                    kind,
                }
            }
            ContractKind::ConvInput(_) => {
                // batch g; m c; n b, l..; k o, k..
                let (n, k) = ([&[x[0]][..], &x[2..]].concat(), [&[og][..], &w[2..]].concat());
                let out = 2 + n.len();
                let ka = 2 + k.len();
                let kb = 1 + k.len() + n.len();
                let b_extents = [&[g][..], &k, &n].concat();
                let emitter = Emitter::new(&graph, b_extents, empty);
                let mut b_forms = vec![plain(pick(kb, 1 + k.len())), plain(channel(kb, 1, og))];
                b_forms.extend((0..s).map(|d| {
                    let (l, k) = (emitter.coordinate(2 + k.len() + d), emitter.coordinate(2 + d));
                    emitter.unwindow(&conv.window, d, &l, &k, y[2 + d])
                }));
                Coordinates {
                    output: [pick(out, 2), channel(out, 1, cg)]
                        .into_iter()
                        .chain((0..s).map(|d| pick(out, 3 + d)))
                        .collect(),
                    a: (
                        1,
                        [plain(channel(ka, 2, og)), plain(pick(ka, 1))]
                            .into_iter()
                            .chain((0..s).map(|d| plain(pick(ka, 3 + d))))
                            .collect(),
                    ),
                    b: (0, b_forms),
                    batch: vec![g],
                    m: vec![cg],
                    n,
                    k,
                    kind,
                }
            }
            _ => {
                // batch g; m o; n c, k..; k b, s..
                let (n, k) = ([&[cg][..], &w[2..]].concat(), [&[y[0]][..], &y[2..]].concat());
                let out = 2 + n.len();
                let ka = 2 + k.len();
                let kb = 1 + k.len() + n.len();
                let b_extents = [&[g][..], &k, &n].concat();
                let mut b_forms = vec![plain(pick(kb, 1)), plain(channel(kb, 1 + k.len(), cg))];
                b_forms.extend(windowed(&b_extents, 2, 2 + k.len()));
                Coordinates {
                    output: [channel(out, 1, og), pick(out, 2)]
                        .into_iter()
                        .chain((0..s).map(|d| pick(out, 3 + d)))
                        .collect(),
                    a: (
                        1,
                        [plain(pick(ka, 2)), plain(channel(ka, 1, og))]
                            .into_iter()
                            .chain((0..s).map(|d| plain(pick(ka, 3 + d))))
                            .collect(),
                    ),
                    b: (0, b_forms),
                    batch: vec![g],
                    m: vec![og],
                    n,
                    k,
                    kind,
                }
            }
        }
    }
}
