//! What a launch is called.

use std::fmt;

use smallvec::SmallVec;

use crate::program::Label;

/// Ops, and nearest parameter path and source position of the last, for error messages. Text is made only where it is printed.
#[derive(Clone, Debug, PartialEq)]
pub struct Title {
    /// The first of the others.
    first: SmallVec<[&'static str; 3]>,
    /// How many there are beside.
    more: usize,
    last: Label,
}

/// Ops before the last that are all told.
const TOLD: usize = 3;

impl Title {
    /// Of what computes these, in order.
    pub fn new<'l>(others: impl ExactSizeIterator<Item = &'l Label>, last: &Label) -> Title {
        let told = if others.len() > TOLD { TOLD - 1 } else { TOLD };
        let more = others.len().saturating_sub(told);
        Title { first: others.take(told).map(|label| label.op).collect(), more, last: last.clone() }
    }
}

impl From<Label> for Title {
    fn from(last: Label) -> Title {
        Title { first: SmallVec::new(), more: 0, last }
    }
}

impl fmt::Display for Title {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.first.iter().try_for_each(|op| write!(f, "{op}+"))?;
        if self.more > 0 {
            write!(f, "…{} more…+", self.more)?;
        }
        self.last.fmt(f)
    }
}
