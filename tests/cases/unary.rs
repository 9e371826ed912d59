use thalweg_graph::ops::unary::UnaryOp;

use crate::{Case, Draw};

/// Every function of floats: between which numbers it is defined and its gradient moderate, and whether it is smooth there.
const ROWS: &[(&str, f64, f64, bool)] = &[
    ("neg exp exp2 expm1 sin cos atan sinh cosh tanh asinh erf erfc sigmoid", -2.5, 2.5, true),
    ("abs sign relu floor ceil trunc round", -2.5, 2.5, false),
    ("log log2 sqrt rsqrt recip", 0.3, 3.0, true),
    ("lgamma digamma", 0.3, 4.5, true),
    ("log1p", -0.5, 2.0, true),
    ("asin acos atanh erfinv", -0.8, 0.8, true),
    ("acosh", 1.3, 3.0, true),
    ("tan", -1.0, 1.0, true),
];

/// Those that give truth values.
const TRUTH: &str = "not is_nan is_inf";

/// Every row of the table that takes floats and gives floats, and the functions composed of rows.
pub fn unary(shapes: &[&[usize]]) -> Vec<Case> {
    let mut cases = Vec::new();
    for shape in shapes {
        for op in UnaryOp::ALL.iter().copied() {
            let of = |names: &str| names.split(' ').any(|name| name == op.name());
            if of(TRUTH) {
                continue;
            }
            let row = ROWS.iter().find(|(names, ..)| of(names));
            let (_, low, high, smooth) = *row.unwrap_or_else(|| panic!("where is {} tried?", op.name()));
            let inputs = vec![Draw::Uniform(shape.to_vec(), low, high)];
            let case = Case::new(format!("{} {shape:?}", op.name()), inputs, move |x| x[0].unary(op));
            cases.push(if smooth { case } else { case.kinked() });
        }
        let x = || vec![Draw::Uniform(shape.to_vec(), -2.5, 2.5)];
        let name = |name: &str| format!("{name} {shape:?}");
        cases.extend([
            Case::new(name("square"), x(), |x| x[0].square()),
            Case::new(name("powf(3)"), x(), |x| x[0].powf(3.0)),
            Case::new(name("powf(2.7)"), vec![Draw::Uniform(shape.to_vec(), 0.3, 3.0)], |x| x[0].powf(2.7)),
            Case::new(name("trigamma"), vec![Draw::Uniform(shape.to_vec(), 0.3, 4.5)], |x| x[0].trigamma()),
            Case::new(name("lgamma below 0"), vec![Draw::Uniform(shape.to_vec(), -0.8, -0.2)], |x| x[0].lgamma()),
            Case::new(name("gelu"), x(), |x| x[0].gelu()),
            Case::new(name("gelu_tanh"), x(), |x| x[0].gelu_tanh()),
            Case::new(name("silu"), x(), |x| x[0].silu()),
            Case::new(name("softplus"), x(), |x| x[0].softplus()),
            Case::new(name("log_sigmoid"), x(), |x| x[0].log_sigmoid()),
            Case::new(name("clamp"), x(), |x| x[0].clamp(-1.0, 0.7)).kinked(),
            Case::new(name("clamp_min"), x(), |x| x[0].clamp_min(0.2)).kinked(),
            Case::new(name("leaky_relu"), x(), |x| x[0].leaky_relu(0.1)).kinked(),
            Case::new(name("elu"), x(), |x| x[0].elu(1.3)).kinked(),
        ]);
    }
    cases
}
