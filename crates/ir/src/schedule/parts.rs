//! A loop in parts, in each of which guards hold everywhere or nowhere: what stands behind one that fails is not computed there.
//!
//! ```text
//! y[j] = (j < 4 ? a[j] : 0) + (j ≥ 4 ? b[j - 4] : 0)      y[0..4] = a[0..4] + 0      y[4..8] = 0 + b[0..4]
//! ```

use std::collections::BTreeSet;

use super::ir::{Access, Body, Inst, Loop, Term, Val};

/// Parts at most.
const MOST: usize = 8;
/// Steps of the coordinate that is cut, and points, below which a part is not worth a start of its own.
const LEAST: (usize, usize) = (16, 1 << 10);

impl Loop {
    /// It in parts along one of the outer coordinates, or as it is.
    pub fn parts(&self) -> Vec<Loop> {
        let found = (0..self.outer.len()).map(|d| (d, self.cuts(d))).filter(|(d, cuts)| self.pays(*d, cuts));
        let Some((d, cuts)) = found.max_by_key(|(_, cuts)| cuts.len()) else { return vec![self.clone()] };
        cuts.windows(2).map(|ends| self.part(d, ends[0], ends[1])).collect()
    }

    /// Where guards change along a coordinate that nothing else in them does, and both its ends.
    fn cuts(&self, d: usize) -> Vec<usize> {
        let extent = self.outer[d] as i64;
        let terms = self.body.insts.iter().flat_map(|inst| match inst {
            Inst::Load { at, .. } | Inst::Gather { at, .. } | Inst::InBounds(at) => &at.terms[..],
            _ => &[],
        });
        let along = |term: &&Term| {
            let elsewhere = term.at.coef.iter().enumerate().any(|(other, c)| other != d && *c != 0);
            term.div == 1 && term.at.coef[d] == 1 && !elsewhere
        };
        let changes = terms.filter(along).flat_map(|term| [-term.at.offset, term.bound - term.at.offset]);
        let inside = changes.filter(|at| (1..extent).contains(at));
        let cuts: BTreeSet<i64> = inside.chain([0, extent]).collect();
        cuts.into_iter().map(|at| at as usize).collect()
    }

    fn pays(&self, d: usize, cuts: &[usize]) -> bool {
        let points = (self.rows() / self.outer[d].max(1)).saturating_mul(self.cols().max(1));
        let long = |ends: &[usize]| ends[1] - ends[0] >= LEAST.0 && (ends[1] - ends[0]) * points >= LEAST.1;
        (3..=MOST + 1).contains(&cuts.len()) && cuts.windows(2).all(long)
    }

    /// Positions `from .. to` of a coordinate.
    fn part(&self, d: usize, from: usize, to: usize) -> Loop {
        let mut part = self.clone();
        part.outer[d] = to - from;
        part.body.forms_mut().for_each(|form| form.offset += form.coef[d] * from as i64);
        let extents = [&part.outer[..], &part.inner].concat();
        part.body.decide(&extents);
        part
    }
}

impl Body {
    /// Puts numbers in place of what guards decide in a nest of these extents.
    fn decide(&mut self, extents: &[usize]) {
        let mut renamed: Vec<Val> = (0..self.insts.len()).collect();
        for v in 0..self.insts.len() {
            let mut inst = self.insts[v].clone();
            inst.operands_mut().into_iter().for_each(|operand| *operand = renamed[*operand]);
            if let Inst::Load { at, .. } | Inst::Gather { at, .. } | Inst::InBounds(at) = &mut inst {
                at.drop_guards(extents);
            }
            inst = match inst {
                Inst::Load { at, .. } | Inst::Gather { at, .. } if at.fails(extents) => Inst::Const(at.fill),
                Inst::InBounds(at) if at.fails(extents) => Inst::Const(0.0),
                Inst::InBounds(at) if at.terms.is_empty() => Inst::Const(1.0),
                Inst::Select(c, a, b) if let Inst::Const(holds) = self.insts[c] => {
                    renamed[v] = if holds == 0.0 { b } else { a };
                    Inst::Select(c, a, b)
                }
                inst => inst,
            };
            self.insts[v] = inst;
        }
        self.stores.iter_mut().for_each(|store| store.value = renamed[store.value]);
    }
}

impl Access {
    /// Whether a guard holds nowhere in a nest of these extents.
    fn fails(&self, extents: &[usize]) -> bool {
        self.terms.iter().any(|term| {
            let reach = |(c, extent): (&i64, &usize)| c * (*extent as i64 - 1);
            let ends = || term.at.coef.iter().zip(extents).map(reach);
            let low = term.at.offset + ends().map(|x| x.min(0)).sum::<i64>();
            let high = term.at.offset + ends().map(|x| x.max(0)).sum::<i64>();
            high < 0 || low >= term.bound * term.div
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        dtype::DType,
        op::{binary::BinaryOp, unary::UnaryOp},
        schedule::ir::{Linear, Store},
    };

    /// `y[i, j] = Σ_p (inside part p ? exp(x_p[i, j - 32 p]) : 0)`.
    fn pads(rows: usize, parts: usize) -> Loop {
        let mut body = Body::default();
        let mut push = |inst: Inst, dtype: DType| {
            body.insts.push(inst);
            body.dtypes.push(dtype);
            body.insts.len() - 1
        };
        let mut sum = None;
        for p in 0..parts {
            let at = Linear::new(-32 * p as i64, &[0, 1]);
            let term = Term { at, div: 1, bound: 32, stride: 1 };
            let at = Access { base: Linear::new(0, &[32, 0]), terms: vec![term], fill: 0.0 };
            let inside = push(Inst::InBounds(at.clone()), DType::Bool);
            let x = push(Inst::Load { buf: p, at }, DType::F32);
            let y = push(Inst::Unary(UnaryOp::Exp, x), DType::F32);
            let zero = push(Inst::Const(0.0), DType::F32);
            let y = push(Inst::Select(inside, y, zero), DType::F32);
            sum = Some(sum.map_or(y, |sum| push(Inst::Binary(BinaryOp::Add, sum, y), DType::F32)));
        }
        let at = Linear::new(0, &[32 * parts as i64, 1]);
        body.stores.push(Store { buf: parts, at, value: sum.unwrap_or(0) });
        Loop { outer: vec![rows, 32 * parts], inner: vec![], body }
    }

    #[test]
    fn a_part_computes_what_its_guards_let_through() {
        let parts = pads(64, 3).parts();
        assert_eq!(parts.iter().map(|part| part.outer.clone()).collect::<Vec<_>>(), vec![vec![64, 32]; 3]);
        for (p, part) in parts.iter().enumerate() {
            assert_eq!(part.body.stores[0].at.offset, 32 * p as i64);
            let loads = part.body.insts.iter().filter_map(|inst| match inst {
                Inst::Load { buf, at } => Some((*buf, at.base.offset, at.terms.len())),
                _ => None,
            });
            assert_eq!(loads.collect::<Vec<_>>(), [(p, 0, 0)]);
        }
    }

    #[test]
    fn what_is_small_or_much_divided_stays_whole() {
        assert_eq!(pads(4, 3).parts().len(), 1);
        assert_eq!(pads(64, 9).parts().len(), 1);
        assert_eq!(pads(64, 1).parts().len(), 1);
    }
}
