use thalweg_graph::ops::binary::BinaryOp;

use crate::{Case, Draw};

/// Every function that gives floats: between which numbers it is tried, and whether it is smooth there.
const ROWS: &[(&str, f64, f64, bool)] = &[
    ("add sub mul", -2.0, 2.0, true),
    ("maximum minimum", -2.0, 2.0, false),
    ("div pow atan2", 0.4, 2.5, true),
    ("fmod", 0.4, 2.5, false),
];

/// Those that give truth values, or take bits.
const OTHERS: &str = "eq ne lt le gt ge and or xor shl shr";

/// Every row of the table that gives floats, at pairs of shapes that broadcast.
pub fn binary(shapes: &[(&[usize], &[usize])]) -> Vec<Case> {
    let mut cases = Vec::new();
    for (a, b) in shapes {
        for op in BinaryOp::ALL.iter().copied() {
            let of = |names: &str| names.split(' ').any(|name| name == op.name());
            if of(OTHERS) {
                continue;
            }
            let row = ROWS.iter().find(|(names, ..)| of(names));
            let (_, low, high, smooth) = *row.unwrap_or_else(|| panic!("where is {} tried?", op.name()));
            let inputs = vec![Draw::Uniform(a.to_vec(), low, high), Draw::Uniform(b.to_vec(), low, high)];
            let case =
                Case::new(format!("{} {a:?} {b:?}", op.name()), inputs, move |x| x[0].binary(op, &x[1])).terms(16);
            cases.push(if smooth { case } else { case.kinked() });
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
