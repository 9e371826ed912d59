//! A contraction as a loop nest: one sum of products for each point. Right for every shape; fast for none.

use thalweg_ir::{
    DType, ReduceOp,
    op::binary::BinaryOp,
    schedule::ir::{Access, Body, Contract, Inst, Linear, Loop, Operand},
};

/// The loop nest that computes the same.
pub fn as_loop(c: &Contract) -> Loop {
    let (b, m, n, k) = (c.batch.len(), c.m.len(), c.n.len(), c.k.len());
    let rank = b + m + n + k;
    let spread = |at: &Linear, from: &[usize]| {
        let mut coef = vec![0; rank];
        for (c, d) in at.coef.iter().zip(from) {
            coef[*d] = *c;
        }
        Linear { offset: at.offset, coef }
    };
    let spread_access = |at: &Access, from: &[usize]| {
        let mut at = at.clone();
        at.base = spread(&at.base, from);
        for term in &mut at.terms {
            term.at = spread(&term.at, from);
        }
        at
    };
    let inner = b + m + n..rank;
    let a_axes: Vec<usize> = (0..b + m).chain(inner.clone()).collect();
    let b_axes: Vec<usize> = (0..b).chain(inner).chain(b + m..b + m + n).collect();
    let mut body = Body { checks: c.body.checks.clone(), ..Body::default() };
    let mut push = |inst: Inst, dtype: DType| {
        body.insts.push(inst);
        body.dtypes.push(dtype);
        body.insts.len() - 1
    };
    let mut operand = |o: &Operand, axes: &[usize], dtype: DType| {
        let mut v = push(Inst::Load { buf: o.buf, at: spread_access(&o.at, axes) }, dtype);
        for to in &o.casts {
            v = push(Inst::Cast(v), *to);
        }
        v
    };
    let x = operand(&c.a, &a_axes, DType::F32);
    let y = operand(&c.b, &b_axes, DType::F32);
    let product = push(Inst::Binary(BinaryOp::Mul, x, y), DType::F32);
    let sum = push(Inst::Reduce(ReduceOp::Sum, product), DType::F32);
    let first = body.insts.len();
    // Values of the old body stand `first` further back, but for Acc, which is the sum.
    let at = |v: usize| if matches!(c.body.insts[v], Inst::Acc) { sum } else { v + first };
    let outer_axes: Vec<usize> = (0..b + m + n).collect();
    for (inst, dtype) in c.body.insts.iter().zip(&c.body.dtypes) {
        let inst = match inst.clone() {
            Inst::Load { buf, at } => Inst::Load { buf, at: spread_access(&at, &outer_axes) },
            Inst::Gather { buf, at: access, mut index } => {
                index.index = at(index.index);
                Inst::Gather { buf, at: spread_access(&access, &outer_axes), index }
            }
            Inst::Within { index, bound, check } => Inst::Within { index: at(index), bound, check },
            Inst::InBounds(access) => Inst::InBounds(spread_access(&access, &outer_axes)),
            Inst::Index(form) => Inst::Index(spread(&form, &outer_axes)),
            Inst::Random { at: form, stream } => {
                Inst::Random { at: spread(&form, &outer_axes), stream: stream.map(at) }
            }
            Inst::Unary(op, a) => Inst::Unary(op, at(a)),
            Inst::Binary(op, a, b) => Inst::Binary(op, at(a), at(b)),
            Inst::Select(c, a, b) => Inst::Select(at(c), at(a), at(b)),
            Inst::Cast(a) => Inst::Cast(at(a)),
            // Stands in for the sum's old place, which nothing refers to.
            Inst::Acc => Inst::Const(0.0),
            other => other,
        };
        body.insts.push(inst);
        body.dtypes.push(*dtype);
    }
    for store in &c.body.stores {
        let mut store = store.clone();
        store.value = at(store.value);
        store.at = spread(&store.at, &outer_axes);
        body.stores.push(store);
    }
    Loop { outer: [&c.batch[..], &c.m, &c.n].concat(), inner: c.k.clone(), body }
}
