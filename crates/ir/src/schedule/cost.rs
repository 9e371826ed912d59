//! What a launch costs, by the launch itself.

use std::{
    collections::BTreeMap,
    iter::Sum,
    ops::{Add, Mul},
};

use super::ir::{Access, Body, BufId, BufferSpec, Inst, Launch, LaunchKind, Linear, Loop, Whole};

/// Work and traffic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Operations on numbers: a function, a comparison or a term of a sum is one, a product and its term of a contraction's sum two.
    pub flop: u64,
    /// Bytes of the elements that are read and written, each once.
    pub bytes: u64,
}

impl Add for Cost {
    type Output = Cost;
    fn add(self, other: Cost) -> Cost {
        Cost { flop: self.flop + other.flop, bytes: self.bytes + other.bytes }
    }
}

/// So many times the same.
impl Mul<usize> for Cost {
    type Output = Cost;
    fn mul(self, times: usize) -> Cost {
        Cost { flop: self.flop * times as u64, bytes: self.bytes * times as u64 }
    }
}

impl Sum for Cost {
    fn sum<I: Iterator<Item = Cost>>(costs: I) -> Cost {
        costs.fold(Cost::default(), Cost::add)
    }
}

impl Launch {
    /// What it costs over these buffers.
    pub fn cost(&self, buffers: &[BufferSpec]) -> Cost {
        // Those of its code.
        let buffers: Vec<BufferSpec> = self.work.buffers.iter().map(|buf| buffers[*buf].clone()).collect();
        if let LaunchKind::Repeat(repeat) = &self.work.code.kind {
            return repeat.launches.iter().map(|launch| launch.cost(&buffers)).sum::<Cost>() * repeat.times;
        }
        let mut touched = Touched { buffers: &buffers, elements: BTreeMap::new() };
        let flop = match &self.work.code.kind {
            LaunchKind::Loop(l) => {
                touched.body(&l.body, &[&l.outer[..], &l.inner].concat());
                of_loop(l)
            }
            LaunchKind::Contract(c) => {
                let points = [&c.batch[..], &c.m, &c.n].concat();
                let [of_a, of_b] = c.extents();
                let of_bodies = c.bodies().into_iter().zip([of_a, of_b, points.clone()]).map(|(body, points)| {
                    touched.body(body, &points);
                    product(&points) * operations(body)
                });
                of_bodies.sum::<u64>() + 2 * product(&points) * product(&c.k)
            }
            LaunchKind::Whole(w) => {
                let Whole { inputs, outputs, .. } = w;
                for array in inputs.iter().chain(outputs.iter().flatten()) {
                    touched.add(array.buf, product(&array.shape));
                }
                // Each element is combined with something once.
                inputs.iter().map(|array| product(&array.shape)).max().unwrap_or(0)
            }
            LaunchKind::Repeat(_) => 0,
        };
        Cost { flop, bytes: touched.bytes() }
    }
}

/// Instructions of a loop, each at the points where it is computed: a value per row once a row.
fn of_loop(l: &Loop) -> u64 {
    let (rows, cols) = (product(&l.outer), product(&l.inner));
    let levels = l.levels();
    let points = |v: usize| if levels[v].per_row { rows } else { rows * cols };
    let insts = l.body.insts.iter().enumerate();
    insts
        .map(|(v, inst)| match inst {
            Inst::Reduce(_, of) => points(*of),
            inst if is_operation(inst) => points(v),
            _ => 0,
        })
        .sum()
}

fn operations(body: &Body) -> u64 {
    body.insts.iter().filter(|inst| is_operation(inst)).count() as u64
}

fn is_operation(inst: &Inst) -> bool {
    matches!(inst, Inst::Unary(..) | Inst::Binary(..) | Inst::Select(..) | Inst::Random { .. } | Inst::Reduce(..))
}

fn product(extents: &[usize]) -> u64 {
    extents.iter().map(|extent| *extent as u64).product()
}

/// How many elements of each buffer are read or written; a buffer that is both counts twice.
struct Touched<'a> {
    buffers: &'a [BufferSpec],
    elements: BTreeMap<(BufId, bool), u64>,
}

impl Touched<'_> {
    fn add(&mut self, buf: BufId, elements: u64) {
        *self.elements.entry((buf, false)).or_default() += elements;
    }

    /// Reads at every point, which are as many elements as the access has coordinates to tell apart.
    fn access(&mut self, buf: BufId, at: &Access, extents: &[usize]) {
        self.add(buf, (0..extents.len()).filter(|d| !at.ignores(*d)).map(|d| extents[d] as u64).product());
    }

    fn body(&mut self, body: &Body, extents: &[usize]) {
        for inst in &body.insts {
            match inst {
                Inst::Load { buf, at } => self.access(*buf, at, extents),
                Inst::Gather { buf, .. } => self.add(*buf, product(extents)),
                _ => {}
            }
        }
        for store in &body.stores {
            let varies = |at: &Linear, d: usize| !at.ignores(d);
            let written = (0..extents.len()).filter(|d| varies(&store.at, *d)).map(|d| extents[d] as u64).product();
            self.elements.insert((store.buf, true), written);
        }
    }

    fn bytes(&self) -> u64 {
        let of = |((buf, _), elements): (&(BufId, bool), &u64)| {
            let spec = &self.buffers[*buf];
            (*elements).min(spec.len as u64) * spec.dtype.size_bytes() as u64
        };
        self.elements.iter().map(of).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        DType, ReduceOp,
        op::unary::UnaryOp,
        schedule::ir::{Contract, ContractKind, Operand, Place, Store},
    };

    fn buffer(len: usize) -> BufferSpec {
        BufferSpec { dtype: DType::F32, len, place: Place::Slot(0) }
    }

    fn at(coef: &[i64]) -> Linear {
        Linear::new(0, coef)
    }

    fn load(coef: &[i64]) -> Access {
        Access { base: at(coef), terms: vec![], fill: 0.0 }
    }

    /// The row sums of e^x: each element is a function and a term.
    #[test]
    fn a_loop_counts_its_points_and_each_element_once() {
        let insts = vec![
            Inst::Load { buf: 0, at: load(&[5, 1]) },
            Inst::Unary(UnaryOp::Exp, 0),
            Inst::Reduce(ReduceOp::Sum, 1),
            Inst::Unary(UnaryOp::Log, 2),
        ];
        let body = Body {
            dtypes: vec![DType::F32; insts.len()],
            insts,
            stores: vec![Store { buf: 1, at: at(&[1, 0]), value: 3 }],
            checks: vec![],
        };
        let sum = Launch::here(LaunchKind::Loop(Loop { outer: vec![3], inner: vec![5], body }), "sum");
        assert_eq!(sum.cost(&[buffer(15), buffer(3)]), Cost { flop: 15 + 15 + 3, bytes: 4 * (15 + 3) });
    }

    #[test]
    fn a_product_counts_twice_its_terms() {
        let body = Body {
            insts: vec![Inst::Acc],
            dtypes: vec![DType::F32],
            stores: vec![Store { buf: 2, at: at(&[7, 1]), value: 0 }],
            checks: vec![],
        };
        let operand = |buf, coef: &[i64]| Operand::load(buf, DType::F32, load(coef));
        let (a, b) = (operand(0, &[5, 1]), operand(1, &[7, 1]));
        let (m, k, n) = (vec![3], vec![5], vec![7]);
        let product = Launch::here(
            LaunchKind::Contract(Contract { kind: ContractKind::Matmul, batch: vec![], m, n, k, a, b, body }),
            "matmul",
        );
        let cost = product.cost(&[buffer(15), buffer(35), buffer(21)]);
        assert_eq!(cost, Cost { flop: 2 * 3 * 5 * 7, bytes: 4 * (15 + 35 + 21) });
    }
}
