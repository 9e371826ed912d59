//! The points of a loop nest that code is written for, one or four at once, and the values there.

use thalweg_ir::schedule::ir::{Access, Linear};

/// The points that code is written for.
#[derive(Clone, Debug)]
pub enum Point {
    /// `count` points that follow one another along coordinate `axis`.
    Along {
        /// The first point: a `u32` expression (best an identifier) for each loop coordinate.
        coords: Vec<String>,
        /// Which coordinate runs. Unused when `count` is 1.
        axis: usize,
        /// 1, 2 or 4.
        count: usize,
        /// Whether the coordinate along `axis` of the first point is a multiple of 4, and `count` is 4.
        aligned: bool,
    },
    /// Points that follow one another in memory wherever something is stored, each with its own coordinates. The first
    /// has an even address; those for which the condition fails are beyond the end.
    Each(Vec<(Vec<String>, String)>),
}

impl Point {
    /// One point.
    pub fn one(coords: Vec<String>) -> Point {
        Point::Along { coords, axis: 0, count: 1, aligned: false }
    }

    /// How many.
    pub fn count(&self) -> usize {
        match self {
            Point::Along { count, .. } => *count,
            Point::Each(points) => points.len(),
        }
    }

    /// The coordinates of point `i`.
    pub fn coords(&self, i: usize) -> Vec<String> {
        match self {
            Point::Each(points) => points[i].0.clone(),
            Point::Along { coords, axis, .. } => {
                let mut coords = coords.clone();
                if i > 0 {
                    coords[*axis] = format!("({} + {i}u)", coords[*axis]);
                }
                coords
            }
        }
    }

    /// Whether a linear form is the same at all points.
    pub fn same(&self, at: &Linear) -> bool {
        match self {
            Point::Along { count: 1, .. } => true,
            Point::Along { axis, .. } => at.ignores(*axis),
            Point::Each(points) => points.len() == 1 || at.coef.iter().all(|c| *c == 0),
        }
    }

    /// Whether an access is.
    pub fn same_access(&self, at: &Access) -> bool {
        self.same(&at.base) && at.terms.iter().all(|t| self.same(&t.at))
    }

    /// Whether four elements can be read or written at once: neighbours, from a multiple of 4.
    pub fn wide(&self, at: &Access, extra: &[i64]) -> bool {
        let Point::Along { axis, count: 4, aligned: true, .. } = self else { return false };
        at.base.coef[*axis] == 1
            && at.base.offset % 4 == 0
            && at.base.coef.iter().enumerate().all(|(d, c)| d == *axis || c % 4 == 0)
            && at.terms.iter().all(|t| t.at.ignores(*axis) && t.stride % 4 == 0)
            && extra.iter().all(|s| s % 4 == 0)
    }
}

/// A value at the points. Expressions are identifiers, components or literals.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// The same at all points.
    One(String),
    /// The components of a vector, one for each of four points.
    Vector(String),
    /// One for each point.
    Many(Vec<String>),
}

impl Value {
    /// The expression at point `i`.
    pub fn at(&self, i: usize) -> String {
        match self {
            Value::One(x) => x.clone(),
            Value::Vector(v) => format!("{v}.{}", LANES[i]),
            Value::Many(xs) => xs[i].clone(),
        }
    }

    /// All four, as an expression of type `vec4<ty>`.
    pub fn four(&self, ty: &str) -> String {
        match self {
            Value::One(x) => format!("vec4<{ty}>({x})"),
            Value::Vector(v) => v.clone(),
            Value::Many(xs) => format!("vec4<{ty}>({})", xs.join(", ")),
        }
    }

    /// At how many points it is told apart; none where it is the same at all.
    pub fn count(&self) -> Option<usize> {
        match self {
            Value::One(_) => None,
            Value::Vector(_) => Some(4),
            Value::Many(xs) => Some(xs.len()),
        }
    }

    /// Whether it may differ between points.
    pub fn varies(&self) -> bool {
        !matches!(self, Value::One(_))
    }
}

/// The components of a vector.
pub const LANES: [&str; 4] = ["x", "y", "z", "w"];
