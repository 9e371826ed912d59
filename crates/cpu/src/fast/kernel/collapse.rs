//! Merging loop coordinates that walk memory as one.

use thalweg_ir::schedule::ir::{Access, Body, Inst, Linear};

/// Drops coordinates of extent 1 and merges neighbours of one group where every access allows it.
///
/// Coordinates are those of the groups, one group behind the other. Row-major positions within a group stay what they
/// were.
pub fn collapse(groups: &mut [&mut Vec<usize>], body: &mut Body) {
    collapse_with(groups, linears(body));
}

/// Drops the guards of an access that hold everywhere in a nest of these extents.
pub fn drop_guards(at: &mut Access, extents: &[usize]) {
    let base = &mut at.base;
    at.terms.retain(|term| {
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

/// [`collapse`], for any set of linear forms.
pub fn collapse_with(groups: &mut [&mut Vec<usize>], mut forms: Vec<&mut Linear>) {
    let mut start = 0;
    for group in groups {
        let mut d = 0;
        while d < group.len() {
            let at = start + d;
            if group[d] == 1 {
                group.remove(d);
                for form in &mut forms {
                    form.coef.remove(at);
                }
            } else if d + 1 < group.len() && forms.iter().all(|f| f.coef[at] == f.coef[at + 1] * group[d + 1] as i64) {
                group[d + 1] *= group[d];
                group.remove(d);
                for form in &mut forms {
                    form.coef.remove(at);
                }
                // The merged coordinate may now merge with the one in front of it.
                d = d.saturating_sub(1);
            } else {
                d += 1;
            }
        }
        start += group.len();
    }
}

/// Every linear form of a body.
pub fn linears(body: &mut Body) -> Vec<&mut Linear> {
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
