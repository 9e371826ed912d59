//! A function to be tested, and what it is tested on.

use std::sync::Arc;

use thalweg_graph::Tensor;

use crate::{Draw, Tol};

/// A function of drawn inputs.
pub struct Case {
    /// What it is, for messages.
    pub name: String,
    /// What its inputs are drawn from.
    pub inputs: Vec<Draw>,
    /// The function.
    pub f: Arc<dyn Fn(&[Tensor]) -> Tensor + Send + Sync>,
    /// Whether it has a second derivative wherever its inputs are drawn from.
    pub smooth: bool,
    /// How far devices may be apart.
    pub tol: Tol,
}

impl Case {
    /// A smooth elementwise function.
    pub fn new(
        name: impl Into<String>,
        inputs: Vec<Draw>,
        f: impl Fn(&[Tensor]) -> Tensor + Send + Sync + 'static,
    ) -> Case {
        Case { name: name.into(), inputs, f: Arc::new(f), smooth: true, tol: Tol::ELEMENTWISE }
    }

    /// One with sums of this many terms.
    pub fn terms(self, terms: usize) -> Case {
        Case { tol: Tol::reduction(terms), ..self }
    }

    /// One with kinks or jumps.
    pub fn kinked(self) -> Case {
        Case { smooth: false, ..self }
    }
}

/// Uniform in `[-2, 2)`.
pub(crate) fn floats(shape: &[usize]) -> Draw {
    Draw::Uniform(shape.to_vec(), -2.0, 2.0)
}
