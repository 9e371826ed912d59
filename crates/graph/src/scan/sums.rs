//! Sums over all steps of a scan, taken by one op over the rows of all of them: what a weight's gradient is.
//!
//! ```text
//! Σ_t A_t · B_t  =  [A_0 A_1 … A_T-1] · ⎡B_0  ⎤
//!                                       ⎢ …   ⎥
//!                                       ⎣B_T-1⎦
//! ```

use std::collections::{HashMap, HashSet};

use thalweg_ir::{Op, ReduceOp, op::binary::BinaryOp};

use crate::tensor::{Rule, Tensor};

/// What is computed from the rows of all steps, `[T, ..]` or longer, by the value of one step that each is of.
pub type Later = Box<dyn FnOnce(&HashMap<u64, Tensor>) -> Tensor>;

/// The values of which all steps are kept.
pub struct Sums {
    steps: usize,
    known: HashSet<u64>,
    /// Those that are kept for the sake of sums.
    pub kept: Vec<Tensor>,
}

impl Sums {
    /// Of so many steps, of which these values are kept in any case.
    pub fn new<'a>(steps: usize, known: impl Iterator<Item = &'a Tensor>) -> Sums {
        Sums { steps, known: known.map(Tensor::id).collect(), kept: Vec::new() }
    }

    /// `Σ_t x_t`, if that is worth what has to be kept of each step for it: no more than the sum, which a step would read and write.
    pub fn sum(&mut self, x: &Tensor) -> Option<Later> {
        let mut wanted = HashMap::new();
        let sum = self.summed(x, &mut wanted)?;
        let elements: usize = wanted.values().map(Tensor::count).sum();
        if elements > x.count() {
            return None;
        }
        self.known.extend(wanted.keys());
        self.kept.extend(wanted.into_values());
        self.kept.sort_unstable_by_key(Tensor::id);
        Some(sum)
    }

    fn is_known(&self, x: &Tensor) -> bool {
        self.known.contains(&x.id())
    }

    /// The sum, by way of what is linear in the rows; what of them is not kept yet is `wanted`.
    fn summed(&self, x: &Tensor, wanted: &mut HashMap<u64, Tensor>) -> Option<Later> {
        if self.is_known(x) {
            let (id, steps) = (x.id(), self.steps);
            return Some(Box::new(move |rows| rows[&id].narrow(0, 0, steps).sum(0)));
        }
        if x.is_evaluated() || x.0.rule.as_ref().is_some_and(Rule::is_own) {
            return None;
        }
        let inputs = x.inputs();
        let parts: Vec<Later> = match &x.0.op {
            Op::Binary(BinaryOp::Add) | Op::Reshape | Op::Permute(_) | Op::Expand | Op::Slice { .. } => {
                inputs.iter().map(|input| self.summed(input, wanted)).collect::<Option<_>>()?
            }
            // What sums along an axis sums over all steps where these stand one behind the other along it.
            Op::Reduce(ReduceOp::Sum, axes) if !axes.is_empty() => vec![self.joined(&inputs[0], axes[0], wanted)],
            Op::Matmul => {
                let [a, b] = [&inputs[0], &inputs[1]];
                vec![self.joined(a, a.rank() - 1, wanted), self.joined(b, b.rank() - 2, wanted)]
            }
            Op::ConvWeight(_) => inputs.iter().map(|input| self.joined(input, 0, wanted)).collect(),
            _ => return None,
        };
        let x = x.clone();
        Some(Box::new(move |rows| x.again(parts.into_iter().map(|part| part(rows)).collect())))
    }

    /// The values of all steps, one behind the other along an axis; of a view, by way of what it shows.
    fn joined(&self, x: &Tensor, axis: usize, wanted: &mut HashMap<u64, Tensor>) -> Later {
        let shown = if self.is_known(x) || x.is_evaluated() { None } else { x.inputs().into_iter().next() };
        if let (Op::Permute(order), Some(of)) = (&x.0.op, &shown) {
            let (order, joined) = (order.clone(), self.joined(of, order[axis], wanted));
            return Box::new(move |rows| joined(rows).permute(order));
        }
        let kept = match (&x.0.op, shown) {
            (Op::Reshape, Some(of)) => of,
            _ => x.clone(),
        };
        if !self.is_known(&kept) {
            wanted.insert(kept.id(), kept.clone());
        }
        let order: Vec<usize> = (1..=axis).chain([0]).chain(axis + 1..=x.rank()).collect();
        let (shape, steps) = (x.shape().to_vec(), self.steps);
        Box::new(move |rows| {
            let rows = &rows[&kept.id()];
            // There may be one more than there are steps.
            let (count, mut joined) = (rows.shape()[0], shape.clone());
            joined[axis] *= count;
            let all = rows.reshape([&[count], &shape[..]].concat()).permute(order).reshape(joined);
            all.narrow(axis, 0, steps * shape[axis])
        })
    }
}
