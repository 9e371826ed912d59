//! A contraction brought to the form that kernels are written from.
//!
//! Rows of the left side, columns of the right side and the batch are numbered flat; each operand and the body find their
//! own coordinates from these numbers, with as few divisions as their own addresses allow. (A convolution's output is dense
//! over its pixels while the windows it reads are not.) The summed coordinates stay separate: kernels loop over them.

use thalweg_ir::{
    DType,
    schedule::ir::{Access, Body, BufId, Contract, Inst, Linear, Operand},
};

/// One side: an element for each (batch, row, k), where a row of the right side is a column of the product.
#[derive(Clone, Debug)]
pub struct Side {
    /// Which buffer.
    pub buf: BufId,
    /// Casts of the element.
    pub casts: Vec<DType>,
    /// Extents of this side's batch coordinates.
    pub batch: Vec<usize>,
    /// Extents of its row coordinates.
    pub rows: Vec<usize>,
    /// Over `batch ++ rows ++ k`.
    pub at: Access,
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
        // Both sides over batch ++ rows ++ k.
        let left = c.a.clone();
        let mut right = c.b.clone();
        let order: Vec<usize> = (0..nb).chain(nb + nk..nb + nk + nn).chain(nb..nb + nk).collect();
        access_forms(&mut right.at).into_iter().for_each(|f| reorder(f, &order));
        let mut body = c.body.clone();
        let (mut m, mut n) = (c.m.clone(), c.n.clone());
        let (mut a, mut b) = (left, right);
        if swap {
            let order: Vec<usize> = (0..nb).chain(nb + nm..nb + nm + nn).chain(nb..nb + nm).collect();
            body_forms(&mut body).into_iter().for_each(|f| reorder(f, &order));
            std::mem::swap(&mut m, &mut n);
            std::mem::swap(&mut a, &mut b);
        }
        let k = summed(&c.k, (nb + m.len(), &mut a.at), (nb + n.len(), &mut b.at), units);
        let side = |o: Operand, rows: &[usize]| {
            let Operand { buf, mut at, casts } = o;
            let mut groups = [c.batch.clone(), rows.to_vec()];
            merge(&mut groups, &mut access_forms(&mut at), units);
            let [batch, rows] = groups;
            Side { buf, casts, batch, rows, at }
        };
        let mut outer = [c.batch.clone(), m.clone(), n.clone()];
        merge(&mut outer, &mut body_forms(&mut body), units);
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

/// Merges and orders the summed coordinates, which stand behind `first` others on each side.
fn summed(k: &[usize], a: (usize, &mut Access), b: (usize, &mut Access), units: bool) -> Vec<usize> {
    let mut extents = k.to_vec();
    let (skip_a, skip_b) = (a.0, b.0);
    let mut forms: Vec<(usize, &mut Linear)> = access_forms(a.1).into_iter().map(|f| (skip_a, f)).collect();
    forms.extend(access_forms(b.1).into_iter().map(|f| (skip_b, f)));
    let mut d = 0;
    while d < extents.len() {
        let one = extents[d] == 1 && !units;
        let joins = d + 1 < extents.len() && {
            let next = extents[d + 1] as i64;
            forms.iter().all(|(skip, f)| f.coef[skip + d] == f.coef[skip + d + 1] * next)
        };
        if !one && !joins {
            d += 1;
            continue;
        }
        if joins && !one {
            extents[d + 1] *= extents[d];
        }
        extents.remove(d);
        forms.iter_mut().for_each(|(skip, f)| {
            f.coef.remove(*skip + d);
        });
        d = d.saturating_sub(1);
    }
    // The first coordinate is what is split; the last one is what is contiguous.
    if extents.len() > 2 && !units {
        let largest = (0..extents.len() - 1).max_by_key(|d| (extents[*d], std::cmp::Reverse(*d))).unwrap_or(0);
        extents.swap(0, largest);
        forms.iter_mut().for_each(|(skip, f)| f.coef.swap(*skip, *skip + largest));
    }
    extents
}

/// Drops coordinates of extent 1 (unless `units`) and merges neighbours within each group wherever every form steps
/// through both as through one. The groups stand in front of whatever else the forms range over.
fn merge(groups: &mut [Vec<usize>], forms: &mut [&mut Linear], units: bool) {
    let mut first = 0;
    for group in groups {
        let mut d = 0;
        while d < group.len() {
            let at = first + d;
            let one = group[d] == 1 && !units;
            let joins = d + 1 < group.len() && forms.iter().all(|f| f.coef[at] == f.coef[at + 1] * group[d + 1] as i64);
            if !one && !joins {
                d += 1;
                continue;
            }
            if joins && !one {
                group[d + 1] *= group[d];
            }
            group.remove(d);
            forms.iter_mut().for_each(|f| {
                f.coef.remove(at);
            });
            d = d.saturating_sub(1);
        }
        first += group.len();
    }
}

fn reorder(form: &mut Linear, order: &[usize]) {
    form.coef = order.iter().map(|d| form.coef[*d]).collect();
}

fn access_forms(at: &mut Access) -> Vec<&mut Linear> {
    std::iter::once(&mut at.base).chain(at.terms.iter_mut().map(|t| &mut t.at)).collect()
}

fn body_forms(body: &mut Body) -> Vec<&mut Linear> {
    let mut forms = Vec::new();
    for inst in &mut body.insts {
        match inst {
            Inst::Load { at, .. } | Inst::Gather { at, .. } | Inst::InBounds(at) => forms.extend(access_forms(at)),
            Inst::Index(at) | Inst::Random { at, .. } => forms.push(at),
            _ => {}
        }
    }
    forms.extend(body.stores.iter_mut().map(|s| &mut s.at));
    forms
}
