//! A contraction brought to the form that kernels are written from.
//!
//! Rows of the left side, columns of the right side and the batch are numbered flat; each operand and the body find their
//! own coordinates from these numbers, with as few divisions as their own addresses allow. (A convolution's output is dense
//! over its pixels while the windows it reads are not.) The summed coordinates stay separate: kernels loop over them.

use thalweg_ir::schedule::{
    ir::{Body, Contract, Linear, Operand},
    transform::{Ones, merge, merge_behind},
};

/// One side: an element for each (batch, row, k), where a row of the right side is a column of the product.
#[derive(Clone, Debug)]
pub struct Side {
    /// Its elements, over `batch ++ rows ++ k`.
    pub operand: Operand,
    /// Extents of this side's batch coordinates.
    pub batch: Vec<usize>,
    /// Extents of its row coordinates.
    pub rows: Vec<usize>,
}

/// A contraction in normal form.
#[derive(Clone, Debug)]
pub struct Normal {
    /// Products.
    pub batch: usize,
    /// Rows of each.
    pub m: usize,
    /// Columns of each.
    pub n: usize,
    /// Extents of the summed coordinates. The first, along which k is split, is the largest but for the last, unless units
    /// are kept.
    pub k: Vec<usize>,
    /// The left side.
    pub a: Side,
    /// The right side.
    pub b: Side,
    /// Extents of the body's batch, row and column coordinates.
    pub outer: [Vec<usize>; 3],
    /// Over `batch ++ m ++ n` as in `outer`.
    pub body: Body,
}

impl Normal {
    /// Normalises; `swap` makes the rows the columns, `units` keeps coordinates of extent 1, so that a convolution of one
    /// channel has the form of any other.
    pub fn new(c: &Contract, swap: bool, units: bool) -> Normal {
        let (nb, nm, nn, nk) = (c.batch.len(), c.m.len(), c.n.len(), c.k.len());
        let ones = if units { Ones::Kept } else { Ones::Dropped };
        // Both sides over batch ++ rows ++ k.
        let left = c.a.clone();
        let mut right = c.b.clone();
        let order: Vec<usize> = (0..nb).chain(nb + nk..nb + nk + nn).chain(nb..nb + nk).collect();
        right.body.forms_mut().for_each(|f| reorder(f, &order));
        let mut body = c.body.clone();
        let (mut m, mut n) = (c.m.clone(), c.n.clone());
        let (mut a, mut b) = (left, right);
        if swap {
            let order: Vec<usize> = (0..nb).chain(nb + nm..nb + nm + nn).chain(nb..nb + nm).collect();
            body.forms_mut().for_each(|f| reorder(f, &order));
            std::mem::swap(&mut m, &mut n);
            std::mem::swap(&mut a, &mut b);
        }
        let k = summed(&c.k, (nb + m.len(), &mut a.body), (nb + n.len(), &mut b.body), ones);
        let side = |mut operand: Operand, rows: &[usize]| {
            let (mut batch, mut rows) = (c.batch.clone(), rows.to_vec());
            merge(&mut [&mut batch, &mut rows], operand.body.forms_mut(), ones);
            Side { operand, batch, rows }
        };
        let mut outer = [c.batch.clone(), m.clone(), n.clone()];
        merge(&mut outer.each_mut(), body.forms_mut(), ones);
        Normal {
            batch: c.batch.iter().product(),
            m: m.iter().product(),
            n: n.iter().product(),
            k,
            a: side(a, &m),
            b: side(b, &n),
            outer,
            body,
        }
    }
}

/// Merges and orders the summed coordinates, which stand behind so many others on each side.
fn summed(k: &[usize], a: (usize, &mut Body), b: (usize, &mut Body), ones: Ones) -> Vec<usize> {
    let mut extents = k.to_vec();
    let mut forms: Vec<(usize, &mut Linear)> =
        [a, b].into_iter().flat_map(|(skip, body)| body.forms_mut().map(move |form| (skip, form))).collect();
    merge_behind(&mut [&mut extents], &mut forms, ones);
    // The first coordinate is what is split; the last one is what is contiguous.
    if extents.len() > 2 && ones == Ones::Dropped {
        let largest = (0..extents.len() - 1).max_by_key(|d| (extents[*d], std::cmp::Reverse(*d))).unwrap_or(0);
        extents.swap(0, largest);
        forms.iter_mut().for_each(|(skip, form)| form.coef.swap(*skip, *skip + largest));
    }
    extents
}

fn reorder(form: &mut Linear, order: &[usize]) {
    form.coef = order.iter().map(|d| form.coef[*d]).collect();
}
