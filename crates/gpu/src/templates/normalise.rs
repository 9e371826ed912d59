//! Loop nests with as few coordinates as possible: fewer divisions to find them, longer runs of neighbours.

use thalweg_ir::schedule::{
    ir::Loop,
    transform::{Ones, merge},
};

/// The same loop nest without coordinates of extent 1, with coordinates merged where every address steps through both as
/// through one, and with the outer coordinates in the order of the first store's memory.
pub fn normalise(l: &Loop) -> Loop {
    let mut l = l.clone();
    order_outer(&mut l);
    merge(&mut [&mut l.outer, &mut l.inner], l.body.forms_mut(), Ones::Dropped);
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
    for at in l.body.forms_mut() {
        let coef: Vec<i64> = order.iter().map(|d| at.coef[*d]).collect();
        at.coef[..coef.len()].copy_from_slice(&coef);
    }
}

#[cfg(test)]
mod tests {
    use thalweg_ir::{
        DType,
        schedule::ir::{Access, Body, Inst, Linear, Store},
    };

    use super::*;

    fn copy(outer: &[usize], from: &[i64], to: &[i64]) -> Loop {
        let at = |coef: &[i64]| Linear::new(0, coef);
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
        assert_eq!(l.body.stores[0].at.coef[..], [5, 1]);
    }
}
