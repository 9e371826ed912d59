//! A recorded step, walked over sequences.

use super::{
    compose::{Compose, Value},
    compound::{Compound, Operand},
    recorded::Recorded,
};
use crate::shape::Type;

/// Elements to which what is walked over is aligned: kernels read vectors of four.
const ALIGN: usize = 4;

/// For `t = 0 … T-1`, or backwards, `(carry, y_t) = step(carry, x_t, constants)`.
///
/// Inputs: what each carry starts with; each sequence, `[T, row]` or longer; the constants. Results: what each carry ends with; each carry
/// before every step, `[T + 1, row]`; each `y`, `[T, row]`. A row is what one step takes or gives, flat, and as much behind it that its
/// length is a multiple of four. Of the carries before every step, entry `t` is what step `t` takes when it goes forwards, and entry
/// `t + 1` when it goes backwards; the one entry left is the end.
///
/// ```text
/// forwards   entry   0 → step 0 → 1 → step 1 → 2 → … → T         x_0, x_1, …
/// backwards  entry   T → step T-1 → T-1 → … → step 0 → 0         x_T-1, …, x_0
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scan {
    /// Takes carries, then rows of sequences, then constants; gives carries, then rows of `y`.
    pub step: Recorded,
    /// How many carries there are.
    pub carries: usize,
    /// How many sequences there are.
    pub sequences: usize,
    /// `T`.
    pub steps: usize,
    /// Whether the last step is taken first.
    pub reverse: bool,
}

/// A result of a [`Scan`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What a carry ends with.
    End(usize),
    /// A carry before every step, and its end.
    Before(usize),
    /// A `y`.
    Row(usize),
}

/// Where a buffer is walked over: from element `start` on, by so many elements a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Walk {
    /// At the first step.
    pub start: usize,
    /// From one step to the next.
    pub step: isize,
    /// Steps after which it is back at the start; 0 for never.
    pub period: usize,
}

impl Walk {
    /// Where it is at a step.
    pub fn at(&self, step: usize) -> usize {
        let step = if self.period == 0 { step } else { step % self.period };
        self.start.wrapping_add_signed(self.step * step as isize)
    }
}

/// The length of a row of so many elements.
pub fn row(elements: usize) -> usize {
    elements.next_multiple_of(ALIGN)
}

impl Scan {
    /// Which result number `k` is.
    pub fn part(&self, k: usize) -> Part {
        match k {
            k if k < self.carries => Part::End(k),
            k if k < 2 * self.carries => Part::Before(k - self.carries),
            k => Part::Row(k - 2 * self.carries),
        }
    }

    /// Which number a result has.
    pub fn number(&self, part: Part) -> usize {
        match part {
            Part::End(c) => c,
            Part::Before(c) => self.carries + c,
            Part::Row(y) => 2 * self.carries + y,
        }
    }

    /// How a sequence, or a `y`, with rows of so many elements is walked over.
    pub fn along(&self, row: usize) -> Walk {
        match self.reverse {
            false => Walk { start: 0, step: row as isize, period: 0 },
            true => Walk { start: self.steps.saturating_sub(1) * row, step: -(row as isize), period: 0 },
        }
    }

    /// How the carries before every step are: where a step reads, and where it writes. Only two of them are there if `all` are not
    /// kept.
    pub fn carried(&self, row: usize, all: bool) -> [Walk; 2] {
        let (first, step, period) = match (all, self.reverse) {
            (false, _) => {
                return [
                    Walk { start: 0, step: row as isize, period: 2 },
                    Walk { start: row, step: -(row as isize), period: 2 },
                ];
            }
            (true, false) => (0, row as isize, 0),
            (true, true) => (self.steps * row, -(row as isize), 0),
        };
        [first, first.wrapping_add_signed(step)].map(|start| Walk { start, step, period })
    }
}

impl Compound for Scan {
    fn name(&self) -> &'static str {
        "scan"
    }

    fn outputs(&self, _inputs: &[Type]) -> Vec<Type> {
        let rows = |of: &Type, count: usize| Type { shape: vec![count, row(of.count())], dtype: of.dtype };
        let (carries, ys) = self.step.outputs.split_at(self.carries);
        let before = carries.iter().map(|carry| rows(carry, self.steps + 1));
        carries.iter().cloned().chain(before).chain(ys.iter().map(|y| rows(y, self.steps))).collect()
    }

    fn reference(&self, _inputs: &[Operand<'_>], _types: &[Type]) -> Option<Vec<Vec<f64>>> {
        None
    }

    /// The steps one behind the other.
    fn compose(&self, c: &mut dyn Compose, inputs: &[Value]) -> Option<Vec<Value>> {
        let (starts, rest) = inputs.split_at(self.carries);
        let (sequences, constants) = rest.split_at(self.sequences);
        let mut carry = starts.to_vec();
        let flat = |c: &mut dyn Compose, x: Value| {
            let count = c.type_of(x).count();
            let line = c.reshape(x, &[1, count]);
            c.lengthen(line, 1, row(count))
        };
        let mut before: Vec<Vec<Value>> = starts.iter().map(|start| vec![flat(c, *start)]).collect();
        let mut ys: Vec<Vec<Value>> = vec![Vec::new(); self.step.outputs.len() - self.carries];
        for i in 0..self.steps {
            let t = if self.reverse { self.steps - 1 - i } else { i };
            let mut taken = carry;
            for (sequence, of) in sequences.iter().zip(&self.step.inputs[self.carries..]) {
                let line = c.part(*sequence, 0, t, 1);
                let line = c.part(line, 1, 0, of.count());
                taken.push(c.reshape(line, &of.shape));
            }
            taken.extend(constants);
            let mut given = c.recorded(&self.step, &taken)?;
            for (y, of) in given.split_off(self.carries).into_iter().zip(&mut ys) {
                of.push(flat(c, y));
            }
            carry = given;
            for (carry, before) in carry.iter().zip(&mut before) {
                before.push(flat(c, *carry));
            }
        }
        if self.reverse {
            before.iter_mut().chain(&mut ys).for_each(|lines| lines.reverse());
        }
        let stacks: Vec<Value> = before.into_iter().chain(ys).map(|lines| c.join(&lines, 0)).collect();
        Some(carry.into_iter().chain(stacks).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_writes_what_the_next_one_reads() {
        let step = || Recorded::new((), vec![], vec![], vec![]);
        for reverse in [false, true] {
            let scan = Scan { step: step(), carries: 1, sequences: 1, steps: 5, reverse };
            for all in [false, true] {
                let [read, write] = scan.carried(8, all);
                (0..4).for_each(|i| assert_eq!(write.at(i), read.at(i + 1)));
                assert!((0..5).all(|i| read.at(i) != write.at(i)));
            }
            let along: Vec<usize> = (0..5).map(|i| scan.along(8).at(i)).collect();
            let times = if reverse { [4, 3, 2, 1, 0] } else { [0, 1, 2, 3, 4] };
            assert_eq!(along, times.map(|t| t * 8));
            // Entry t, or t + 1, is what step t takes.
            let entries: Vec<usize> = (0..5).map(|i| scan.carried(8, true)[0].at(i) / 8).collect();
            assert_eq!(entries, times.map(|t| t + usize::from(reverse)));
        }
    }
}
