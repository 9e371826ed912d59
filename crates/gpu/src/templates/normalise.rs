//! Loop nests with as few coordinates as possible: fewer divisions to find them, longer runs of neighbours.

use thalweg_ir::schedule::ir::{Body, Inst, Linear, Loop};

/// The same loop nest without coordinates of extent 1, with coordinates merged where every address steps through both as
/// through one, and with the outer coordinates in the order of the first store's memory.
pub fn normalise(l: &Loop) -> Loop {
    let mut l = l.clone();
    order_outer(&mut l);
    let mut d = 0;
    while d < l.outer.len() + l.inner.len() {
        let outer = l.outer.len();
        if extent(&l, d) == 1 {
            drop_coordinate(&mut l, d);
        } else if d + 1 != outer && d + 1 < outer + l.inner.len() && mergeable(&mut l, d) {
            let next = extent(&l, d + 1);
            *extent_mut(&mut l, d) *= next;
            for at in forms(&mut l.body) {
                at.coef[d] = at.coef[d + 1];
            }
            drop_coordinate(&mut l, d + 1);
        } else {
            d += 1;
            continue;
        }
        // What was merged may merge with its neighbour in front.
        d = d.saturating_sub(1);
    }
    l
}

/// Points of `outer` are independent, so their order is free: neighbours in memory should be neighbours in the loop.
fn order_outer(l: &mut Loop) {
    let Some(store) = l.body.stores.first() else { return };
    let keys: Vec<i64> = store.at.coef[..l.outer.len()].iter().map(|c| c.abs()).collect();
    let mut order: Vec<usize> = (0..l.outer.len()).collect();
    order.sort_by_key(|d| std::cmp::Reverse(if l.outer[*d] == 1 { i64::MAX } else { keys[*d] }));
    if order.iter().enumerate().all(|(i, d)| i == *d) {
        return;
    }
    l.outer = order.iter().map(|d| l.outer[*d]).collect();
    for at in forms(&mut l.body) {
        let coef: Vec<i64> = order.iter().map(|d| at.coef[*d]).collect();
        at.coef[..coef.len()].copy_from_slice(&coef);
    }
}

fn extent(l: &Loop, d: usize) -> usize {
    if d < l.outer.len() { l.outer[d] } else { l.inner[d - l.outer.len()] }
}

fn extent_mut(l: &mut Loop, d: usize) -> &mut usize {
    let outer = l.outer.len();
    if d < outer { &mut l.outer[d] } else { &mut l.inner[d - outer] }
}

fn drop_coordinate(l: &mut Loop, d: usize) {
    let outer = l.outer.len();
    if d < outer {
        l.outer.remove(d);
    } else {
        l.inner.remove(d - outer);
    }
    for at in forms(&mut l.body) {
        at.coef.remove(d);
    }
}

/// Whether coordinates `d` and `d + 1`, on the same level, are one for every linear form.
fn mergeable(l: &mut Loop, d: usize) -> bool {
    let next = extent(l, d + 1) as i64;
    forms(&mut l.body).iter().all(|at| at.coef[d] == at.coef[d + 1] * next)
}

/// Every linear form of a body.
fn forms(body: &mut Body) -> Vec<&mut Linear> {
    let mut forms = Vec::new();
    for inst in &mut body.insts {
        match inst {
            Inst::Load { at, .. } | Inst::Gather { at, .. } | Inst::InBounds(at) => {
                forms.push(&mut at.base);
                forms.extend(at.terms.iter_mut().map(|t| &mut t.at));
            }
            Inst::Index(at) | Inst::Random { at, .. } => forms.push(at),
            _ => {}
        }
    }
    forms.extend(body.stores.iter_mut().map(|s| &mut s.at));
    forms
}

#[cfg(test)]
mod tests {
    use thalweg_ir::{
        DType,
        schedule::ir::{Access, Store},
    };

    use super::*;

    fn copy(outer: &[usize], from: &[i64], to: &[i64]) -> Loop {
        let at = |coef: &[i64]| Linear { offset: 0, coef: coef.to_vec() };
        Loop {
            outer: outer.to_vec(),
            inner: vec![],
            body: Body {
                insts: vec![Inst::Load { buf: 0, at: Access { base: at(from), terms: vec![], fill: 0.0 } }],
                dtypes: vec![DType::F32],
                stores: vec![Store { buf: 1, at: at(to), value: 0 }],
                ..Body::default()
            },
        }
    }

    #[test]
    fn contiguous_coordinates_become_one() {
        assert_eq!(normalise(&copy(&[2, 1, 3, 4], &[12, 12, 4, 1], &[12, 12, 4, 1])).outer, [24]);
    }

    #[test]
    fn a_transpose_stays_and_follows_the_store() {
        let l = normalise(&copy(&[5, 7], &[7, 1], &[1, 5]));
        assert_eq!(l.outer, [7, 5]);
        assert_eq!(l.body.stores[0].at.coef, [5, 1]);
    }
}
