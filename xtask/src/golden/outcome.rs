//! What a case needs, and what may come of it.

use thalweg_graph::{DType, Device};

use super::store::Store;

/// What a case runs with.
#[derive(Debug)]
pub struct Run<'a> {
    pub device: &'a Device,
    /// The dtype of floats in this variant.
    pub dtype: DType,
    pub store: &'a Store,
}

/// What came of a case.
#[derive(Debug)]
pub enum Outcome {
    /// Right; the worst error as a share of tolerance.
    Passed { share: f64 },
    /// Wrong.
    Failed { share: f64, why: String },
    /// Not something the framework can do: what exactly.
    Unsupported(String),
}

/// Why a rule gave no result.
#[derive(Debug)]
pub enum Stop {
    Unsupported(String),
    Wrong(anyhow::Error),
}

impl Stop {
    pub fn wrong(why: impl Into<String>) -> Stop {
        Stop::Wrong(anyhow::Error::msg(why.into()))
    }
}

impl From<anyhow::Error> for Stop {
    fn from(error: anyhow::Error) -> Stop {
        Stop::Wrong(error)
    }
}

impl From<thalweg_graph::Error> for Stop {
    fn from(error: thalweg_graph::Error) -> Stop {
        Stop::Wrong(error.into())
    }
}
