//! How reductions combine values.

use thalweg_ir::{Class, ReduceOp};

use super::ops::register;

/// One reduction: what is combined, and of which class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reduction {
    /// How.
    pub op: ReduceOp,
    /// The class of the operand.
    pub class: Class,
}

impl Reduction {
    /// Whether it looks for a position.
    pub fn is_search(self) -> bool {
        matches!(self.op, ReduceOp::ArgMax | ReduceOp::ArgMin)
    }

    /// The WGSL type of the accumulator: for a search the number's bits and its position; for truth values a word, which
    /// subgroups can exchange.
    pub fn ty(self) -> &'static str {
        match (self.is_search(), self.class) {
            (true, _) => "vec2u",
            (false, Class::Bool) => "u32",
            (false, class) => register(class),
        }
    }

    /// The accumulator of no elements.
    pub fn init(self) -> String {
        let lowest = match self.class {
            Class::Float => ["0xff800000u", "0x7f800000u"],
            Class::Int => ["0x80000000u", "0x7fffffffu"],
            Class::Uint | Class::Bool => ["0u", "0xffffffffu"],
        };
        let extreme = lowest[usize::from(matches!(self.op, ReduceOp::Min | ReduceOp::ArgMin))];
        match (self.op, self.class) {
            (ReduceOp::ArgMax | ReduceOp::ArgMin, _) => format!("vec2u({extreme}, 0u)"),
            (ReduceOp::Sum | ReduceOp::Max, Class::Bool) => "0u".into(),
            (ReduceOp::Prod | ReduceOp::Min, Class::Bool) => "1u".into(),
            (ReduceOp::Sum, class) => format!("{}(0)", register(class)),
            (ReduceOp::Prod, class) => format!("{}(1)", register(class)),
            (_, Class::Uint) => extreme.into(),
            (_, class) => format!("bitcast<{}>({extreme})", register(class)),
        }
    }

    /// One element as an accumulator; `position` is its place among the reduced ones.
    pub fn lift(self, x: &str, position: &str) -> String {
        match (self.is_search(), self.class) {
            (false, Class::Bool) => format!("u32({x})"),
            (false, _) => x.into(),
            (true, Class::Bool) => format!("vec2u(u32({x}), {position})"),
            (true, _) => format!("vec2u(bitcast<u32>({x}), {position})"),
        }
    }

    /// Two accumulators as one.
    pub fn combine(self, a: &str, b: &str) -> String {
        let class = match self.class {
            Class::Bool => Class::Uint,
            class => class,
        };
        let name = register(class);
        match (self.op, self.class) {
            (ReduceOp::Sum | ReduceOp::Max, Class::Bool) => format!("({a} | {b})"),
            (ReduceOp::Prod | ReduceOp::Min, Class::Bool) => format!("({a} & {b})"),
            (ReduceOp::Sum, _) => format!("({a} + {b})"),
            (ReduceOp::Prod, _) => format!("({a} * {b})"),
            (ReduceOp::Max, Class::Float) => format!("max_f32({a}, {b})"),
            (ReduceOp::Min, Class::Float) => format!("min_f32({a}, {b})"),
            (ReduceOp::Max, _) => format!("max({a}, {b})"),
            (ReduceOp::Min, _) => format!("min({a}, {b})"),
            (ReduceOp::ArgMax, _) => format!("argmax_{name}({a}, {b})"),
            (ReduceOp::ArgMin, _) => format!("argmin_{name}({a}, {b})"),
        }
    }

    /// The result of an accumulator.
    pub fn finish(self, acc: &str) -> String {
        match (self.is_search(), self.class) {
            (true, _) => format!("i32({acc}.y)"),
            (false, Class::Bool) => format!("({acc} != 0u)"),
            (false, _) => acc.into(),
        }
    }
}
