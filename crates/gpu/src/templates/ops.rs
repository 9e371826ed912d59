//! WGSL expressions of the op tables, by class of operand.
//!
//! Numbers are written with their type, `f32(0.0)`, so that [`on_vectors`] makes the same expression on vectors of four of each.

use thalweg_ir::{
    Class, DType,
    op::{binary::BinaryOp, unary::UnaryOp},
};

use super::Caps;

/// The WGSL type that a value of this class has in registers.
pub fn register(class: Class) -> &'static str {
    match class {
        Class::Float => "f32",
        Class::Int => "i32",
        Class::Uint => "u32",
        Class::Bool => "bool",
    }
}

/// `f(x)`; `x` is an identifier.
pub fn unary(op: UnaryOp, class: Class, x: &str) -> String {
    match (op, class) {
        // The sign of what is no number is none.
        (UnaryOp::Sign, Class::Float) => format!("select(sign({x}), {x}, is_nan_bits({x}))"),
        (UnaryOp::Relu, Class::Int) => format!("max({x}, i32(0))"),
        // A comparison, because max(NaN, 0) may be 0.
        (UnaryOp::Relu, _) => format!("select({x}, f32(0.0), {x} < f32(0.0))"),
        _ => substitute(op.wgsl(), &[("x", x)]),
    }
}

/// `f(a, b)`; both are identifiers.
pub fn binary(op: BinaryOp, class: Class, a: &str, b: &str) -> String {
    use BinaryOp::*;
    let integer = matches!(class, Class::Int | Class::Uint);
    match op {
        Max if integer => format!("max({a}, {b})"),
        Min if integer => format!("min({a}, {b})"),
        // By zero it gives 0, and the smallest integer by -1 is itself, with nothing left: so on every device, though none of it is
        // defined by SPIR-V.
        Div | Fmod if integer => {
            let sign = if op == Div { "/" } else { "%" };
            let (zero, one, wraps) = match class {
                Class::Int => ("i32(0)", "i32(1)", format!(" | (({a} == i32(-2147483647i - 1i)) & ({b} == i32(-1)))")),
                _ => ("u32(0)", "u32(1)", String::new()),
            };
            format!("select({a} {sign} select({b}, {one}, ({b} == {zero}){wraps}), {zero}, {b} == {zero})")
        }
        // WGSL's `!=` of what is no number is false for some.
        Ne if class == Class::Float => format!("!({a} == {b})"),
        Xor if class == Class::Bool => format!("({a} != {b})"),
        Xor => format!("({a} ^ {b})"),
        Shl => format!("({a} << (u32({b}) & u32(31)))"),
        Shr => format!("({a} >> (u32({b}) & u32(31)))"),
        _ => substitute(op.wgsl(), &[("a", a), ("b", b)]),
    }
}

/// A value of dtype `from` as `to`.
pub fn cast(caps: &Caps, from: DType, to: DType, x: &str) -> String {
    match (from.class(), to.class()) {
        (Class::Float, Class::Float) if from == to => x.to_string(),
        (Class::Float | Class::Int | Class::Uint, Class::Float) => {
            let wide = if from.is_float() { x.to_string() } else { format!("f32({x})") };
            match to {
                DType::F16 if caps.native_f16 && caps.exact_f16 => format!("f32(f16({wide}))"),
                DType::F16 => format!("round_f16({wide})"),
                DType::BF16 => format!("round_bf16({wide})"),
                _ => wide,
            }
        }
        (Class::Float, Class::Bool) => format!("({x} != f32(0.0))"),
        (a, b) if a == b => x.to_string(),
        (_, b) => format!("{}({x})", register(b)),
    }
}

/// An expression of these functions on vectors of four; none where a function is for numbers alone.
pub fn on_vectors(expression: &str) -> Option<String> {
    thalweg_shaders::expression_on_vectors(expression)
}

/// `text` with whole identifiers replaced.
fn substitute(text: &str, names: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while !rest.is_empty() {
        let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
        let first_is_word = rest.starts_with(is_word);
        let end = rest.find(|c| is_word(c) != first_is_word).unwrap_or(rest.len());
        let token = &rest[..end];
        out.push_str(names.iter().find(|(name, _)| *name == token).map_or(token, |(_, with)| with));
        rest = &rest[end..];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_identifiers_are_replaced() {
        assert_eq!(substitute("max(x, 0.0) + exp(x)", &[("x", "v1")]), "max(v1, 0.0) + exp(v1)");
        assert_eq!(substitute("(a / b)", &[("a", "b"), ("b", "a")]), "(b / a)");
    }
}
