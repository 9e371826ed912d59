use thalweg_graph::ops::binary::BinaryOp;

use crate::{Case, Draw};

/// Every row of the table that gives floats, at pairs of shapes that broadcast.
pub fn binary(shapes: &[(&[usize], &[usize])]) -> Vec<Case> {
    use BinaryOp::*;
    let mut cases = Vec::new();
    for (a, b) in shapes {
        for op in BinaryOp::ALL.iter().copied() {
            if op.compares() || matches!(op, And | Or | Xor | Shr | Shl) {
                continue;
            }
            let positive = matches!(op, Pow | Div | Fmod | Atan2);
            let (low, high) = if positive { (0.4, 2.5) } else { (-2.0, 2.0) };
            let inputs = vec![Draw::Uniform(a.to_vec(), low, high), Draw::Uniform(b.to_vec(), low, high)];
            let case =
                Case::new(format!("{} {a:?} {b:?}", op.name()), inputs, move |x| x[0].binary(op, &x[1])).terms(16);
            cases.push(if matches!(op, Max | Min | Fmod) { case.kinked() } else { case });
        }
        // Divisors of one sign, so that no quotient is near an end of its range on one device alone.
        let inputs = vec![Draw::Uniform(a.to_vec(), -2.0, 2.0), Draw::Uniform(b.to_vec(), -2.5, -1.1)];
        let case = Case::new(format!("remainder {a:?} {b:?}"), inputs, |x| x[0].remainder(&x[1])).terms(16);
        cases.push(case.kinked());
        let inputs = vec![Draw::Bools(a.to_vec()), crate::cases::floats(a), crate::cases::floats(b)];
        cases.push(Case::new(format!("where {a:?} {b:?}"), inputs, |x| x[0].where_(&x[1], &x[2])).terms(16));
    }
    cases
}
