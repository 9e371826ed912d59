//! Positions along an axis, as kernels compute them from their coordinates.

use super::ir::Linear;

/// A position along one axis of a node: `lin / div`, valid where `0 <= lin`, `lin % div == 0` and `lin / div < bound`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Form {
    pub lin: Linear,
    pub div: i64,
    /// `None` where it cannot be out of range.
    pub bound: Option<i64>,
}

impl Form {
    pub fn plain(lin: Linear) -> Form {
        Form { lin, div: 1, bound: None }
    }

    pub fn is_plain(&self) -> bool {
        self.div == 1 && self.bound.is_none()
    }
}

/// `a + b · scale`.
pub fn add_scaled(a: &Linear, b: &Linear, scale: i64) -> Linear {
    Linear {
        offset: a.offset + b.offset * scale,
        coef: a.coef.iter().zip(&b.coef).map(|(a, b)| a + b * scale).collect(),
    }
}
