//! Launches in other forms that compute the same.

use super::ir::{Access, Body, Contract, Inst, Linear, Loop, Val};
use crate::{
    dtype::DType,
    op::{ReduceOp, binary::BinaryOp},
};

impl Access {
    /// Every linear form.
    pub fn forms_mut(&mut self) -> impl Iterator<Item = &mut Linear> {
        std::iter::once(&mut self.base).chain(self.terms.iter_mut().map(|term| &mut term.at))
    }

    /// Drops the guards that hold everywhere in a nest of these extents.
    pub fn drop_guards(&mut self, extents: &[usize]) {
        let base = &mut self.base;
        self.terms.retain(|term| {
            let reach = |c: &i64, e: &usize| c * (*e as i64 - 1);
            let ends = || term.at.coef.iter().zip(extents).map(|(c, e)| reach(c, e));
            let low = term.at.offset + ends().map(|x| x.min(0)).sum::<i64>();
            let high = term.at.offset + ends().map(|x| x.max(0)).sum::<i64>();
            if term.div != 1 || low < 0 || high >= term.bound || extents.contains(&0) {
                return true;
            }
            base.offset += term.stride * term.at.offset;
            for (to, c) in base.coef.iter_mut().zip(&term.at.coef) {
                *to += term.stride * c;
            }
            false
        });
    }
}

impl Body {
    /// Every linear form.
    pub fn forms_mut(&mut self) -> impl Iterator<Item = &mut Linear> {
        let of_insts = self.insts.iter_mut().flat_map(|inst| match inst {
            Inst::Load { at, .. } | Inst::Gather { at, .. } | Inst::InBounds(at) => at.forms_mut().collect(),
            Inst::Index(at) | Inst::Random { at, .. } => vec![at],
            _ => vec![],
        });
        of_insts.chain(self.stores.iter_mut().map(|store| &mut store.at))
    }

    /// Drops the guards that hold everywhere in a nest of these extents.
    pub fn drop_guards(&mut self, extents: &[usize]) {
        for inst in &mut self.insts {
            if let Inst::Load { at, .. } | Inst::Gather { at, .. } = inst {
                at.drop_guards(extents);
            }
        }
    }

    /// Appends a body; of a contraction's, whose sum is the value `acc` here.
    pub fn append(&mut self, from: &Body, acc: Option<Val>) {
        let mut renamed = vec![acc.unwrap_or(0); from.insts.len()];
        for (v, inst) in from.insts.iter().enumerate().filter(|(_, inst)| **inst != Inst::Acc) {
            let mut inst = inst.clone();
            inst.operands_mut().into_iter().for_each(|operand| *operand = renamed[*operand]);
            renamed[v] = self.insts.len();
            self.insts.push(inst);
            self.dtypes.push(from.dtypes[v]);
        }
        self.checks.extend_from_slice(&from.checks);
        self.stores.extend(from.stores.iter().cloned().map(|mut store| {
            store.value = renamed[store.value];
            store
        }));
    }
}

impl Contract {
    /// The same as a loop nest: for each point one sum of products, and the body behind it.
    pub fn as_loop(&self) -> Loop {
        let (b, m, n, k) = (self.batch.len(), self.m.len(), self.n.len(), self.k.len());
        let (own, summed) = (b + m + n, b + m + n..b + m + n + k);
        // Where the coordinates of each side are among `batch ++ m ++ n ++ k`.
        let of_a: Vec<usize> = (0..b + m).chain(summed.clone()).collect();
        let of_b: Vec<usize> = (0..b).chain(summed).chain(b + m..own).collect();
        let mut body = Body::default();
        let [x, y] = [(&self.a, of_a), (&self.b, of_b)].map(|(side, to)| {
            let mut code = side.body.clone();
            code.forms_mut().for_each(|form| {
                let mut spread = Linear { offset: form.offset, ..Linear::zero(own + k) };
                form.coef.iter().zip(&to).for_each(|(c, d)| spread.coef[*d] = *c);
                *form = spread;
            });
            body.append(&code, None);
            body.insts.len() - 1
        });
        body.insts.extend([Inst::Binary(BinaryOp::Mul, x, y), Inst::Reduce(ReduceOp::Sum, body.insts.len())]);
        body.dtypes.extend([DType::F32; 2]);
        let mut rest = self.body.clone();
        rest.forms_mut().for_each(|form| form.coef.resize(own + k, 0));
        body.append(&rest, Some(body.insts.len() - 1));
        Loop { outer: [&self.batch[..], &self.m, &self.n].concat(), inner: self.k.clone(), body }
    }
}

impl Contract {
    /// The same with its last coordinate of columns as two: which panel of so many columns, and which column of it. None if that is
    /// no even division.
    pub fn in_panels(&self, columns: usize) -> Option<Contract> {
        let mut c = self.clone();
        let last = c.n.pop().filter(|last| *last > columns && last.is_multiple_of(columns))?;
        c.n.extend([last / columns, columns]);
        // Columns come last, on the right side as among the results.
        for form in c.b.body.forms_mut().chain(c.body.forms_mut()) {
            let step = form.coef.pop()?;
            form.coef.extend([step * columns as i64, step]);
        }
        Some(c)
    }
}

/// What becomes of coordinates of extent 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ones {
    /// They are dropped.
    Dropped,
    /// They stay, unless they merge with a neighbour: launches that differ in an extent alone keep the same form.
    Kept,
}

/// Merges neighbours within each group of coordinates where every form steps through both as through one. Row-major
/// positions within a group stay what they were. Coordinates are those of the groups, one group behind the other.
pub fn merge<'a>(groups: &mut [&mut Vec<usize>], forms: impl Iterator<Item = &'a mut Linear>, ones: Ones) {
    merge_behind(groups, &mut forms.map(|form| (0, form)).collect::<Vec<_>>(), ones);
}

/// [`merge`], where in each form so many other coordinates stand in front of the groups.
pub fn merge_behind(groups: &mut [&mut Vec<usize>], forms: &mut [(usize, &mut Linear)], ones: Ones) {
    let mut start = 0;
    for group in groups {
        let mut d = 0;
        while d < group.len() {
            let at = start + d;
            let dropped = group[d] == 1 && ones == Ones::Dropped;
            let merges = d + 1 < group.len() && {
                let next = group[d + 1] as i64;
                forms.iter().all(|(skip, form)| form.coef[skip + at] == form.coef[skip + at + 1] * next)
            };
            if !dropped && !merges {
                d += 1;
                continue;
            }
            let extent = group.remove(d);
            if !dropped {
                group[d] *= extent;
            }
            for (skip, form) in forms.iter_mut() {
                form.coef.remove(*skip + at);
            }
            // What is left may merge with the one in front of it.
            d = d.saturating_sub(1);
        }
        start += group.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(extents: &[usize], forms: &[&[i64]], ones: Ones) -> (Vec<usize>, Vec<Vec<i64>>) {
        let mut group = extents.to_vec();
        let mut forms: Vec<Linear> = forms.iter().map(|coef| Linear::new(0, coef)).collect();
        merge(&mut [&mut group], forms.iter_mut(), ones);
        (group, forms.into_iter().map(|form| form.coef.into_vec()).collect())
    }

    #[test]
    fn neighbours_that_are_one_merge() {
        assert_eq!(merged(&[2, 3, 4], &[&[12, 4, 1]], Ones::Dropped), (vec![24], vec![vec![1]]));
        // A transpose stays.
        assert_eq!(merged(&[2, 3], &[&[3, 1], &[1, 2]], Ones::Dropped).0, [2, 3]);
        // What stood between two neighbours was nothing.
        assert_eq!(merged(&[2, 1, 3], &[&[3, 99, 1]], Ones::Dropped), (vec![6], vec![vec![1]]));
        assert_eq!(merged(&[2, 1, 3], &[&[3, 99, 1]], Ones::Kept).0, [2, 1, 3]);
    }

    #[test]
    fn groups_stay_apart_behind_other_coordinates() {
        let (mut one, mut other) = (vec![2, 3], vec![4]);
        let mut form = Linear::new(0, &[7, 12, 4, 1]);
        merge_behind(&mut [&mut one, &mut other], &mut [(1, &mut form)], Ones::Dropped);
        assert_eq!((one, other, form), (vec![6], vec![4], Linear::new(0, &[7, 4, 1])));
    }

    #[test]
    fn guards_that_always_hold_are_part_of_the_address() {
        let at = |offset| Access {
            base: Linear::new(0, &[0]),
            terms: vec![super::super::ir::Term { at: Linear::new(offset, &[1]), div: 1, bound: 8, stride: 3 }],
            fill: 0.0,
        };
        let (mut inside, mut outside) = (at(3), at(4));
        inside.drop_guards(&[5]);
        outside.drop_guards(&[5]);
        assert_eq!((inside.base, inside.terms), (Linear::new(9, &[3]), vec![]));
        assert_eq!(outside, at(4));
    }
}
