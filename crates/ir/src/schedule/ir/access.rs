//! Which element of a buffer a point of a loop nest reads or writes: affine forms of the loop coordinates, with guards.

use std::hash::{Hash, Hasher};

use smallvec::SmallVec;

/// Index of a virtual buffer in [`super::Schedule::buffers`].
pub type BufId = usize;

/// The buffers of a launch: there are few, mostly.
pub type BufIds = SmallVec<[BufId; 6]>;

/// `offset + Σ_d coef[d] · i[d]` over the loop coordinates `i`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Linear {
    /// The constant part.
    pub offset: i64,
    /// One factor for each loop coordinate. Planning makes thousands of them, mostly short.
    pub coef: SmallVec<[i64; 6]>,
}

impl Linear {
    /// Of a constant part and a factor for each loop coordinate.
    pub fn new(offset: i64, coef: &[i64]) -> Linear {
        Linear { offset, coef: SmallVec::from_slice(coef) }
    }

    /// 0, over so many loop coordinates.
    pub fn zero(coordinates: usize) -> Linear {
        Linear { offset: 0, coef: SmallVec::from_elem(0, coordinates) }
    }

    /// The value at loop coordinates `i`.
    pub fn at(&self, i: &[usize]) -> i64 {
        self.offset + self.coef.iter().zip(i).map(|(c, i)| c * *i as i64).sum::<i64>()
    }

    /// Whether it does not change along loop coordinate `d`.
    pub fn ignores(&self, d: usize) -> bool {
        self.coef[d] == 0
    }
}

/// One guarded source axis of an [`Access`]: adds `stride * (at / div)` to the address, and makes the access invalid
/// unless `at >= 0`, `at % div == 0` and `at / div < bound`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Term {
    /// Position along the source axis, times `div`.
    pub at: Linear,
    /// Divisor, at least 1. More than 1 only in adjoints of strided windows.
    pub div: i64,
    /// Extent of the source axis.
    pub bound: i64,
    /// Elements between neighbours along the source axis.
    pub stride: i64,
}

/// Which element of a buffer a loop coordinate reads: `base + Σ_t stride_t · (at_t / div_t)`, or `fill` if a guard fails.
#[derive(Clone, Debug, PartialEq)]
pub struct Access {
    /// The unguarded part, in elements from the buffer's start.
    pub base: Linear,
    /// The guarded part.
    pub terms: Vec<Term>,
    /// The value where a guard fails.
    pub fill: f64,
}

impl Access {
    /// The element at loop coordinates `i`, or `None` where a guard fails.
    pub fn at(&self, i: &[usize]) -> Option<usize> {
        let mut address = self.base.at(i);
        for term in &self.terms {
            let at = term.at.at(i);
            if at < 0 || at % term.div != 0 || at / term.div >= term.bound {
                return None;
            }
            address += term.stride * (at / term.div);
        }
        Some(address as usize)
    }

    /// Whether neither address nor guards change along loop coordinate `d`.
    pub fn ignores(&self, d: usize) -> bool {
        self.base.ignores(d) && self.terms.iter().all(|t| t.at.ignores(d))
    }
}

impl Hash for Access {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.base, &self.terms, self.fill.to_bits()).hash(state);
    }
}
