//! Sums of products over named indices.

mod equation;

use self::equation::{Equation, Label};
use thalweg_ir::ErrorKind;

use crate::tensor::Tensor;

/// # Products by an equation
impl Tensor {
    /// The sum of products that an equation names: `a.einsum("bij,bjk->bik", &[&b])` is a batched matrix product.
    ///
    /// Each operand has a term of letters, one for each axis; the output's letters follow `->`. Indices that the output lacks
    /// are summed. A letter twice in a term walks the diagonal. `...` stands for any axes, aligned at the last, which
    /// broadcast; an extent of 1 broadcasts too. Without `->` the output has the axes of `...` and then, in alphabetical
    /// order, the letters that occur once.
    ///
    /// Indices that occur in one operand alone are summed first; then the operands are multiplied from left to right, each
    /// pair as one batched matrix product, or elementwise where it sums over nothing.
    ///
    /// # Shapes
    /// As the equation says: `[b, i, j]`, `[b, j, k]` → `[b, i, k]` for `bij,bjk->bik`
    /// # Errors
    /// An equation that cannot be read; terms that do not fit the operands; extents that differ; an output index that no operand
    /// has, or twice.
    /// # Source
    /// numpy's `einsum`; letters are the indices, of either case.
    #[track_caller]
    pub fn einsum(&self, equation: &str, others: &[&Tensor]) -> Tensor {
        let operands: Vec<&Tensor> = std::iter::once(self).chain(others.iter().copied()).collect();
        if let Some(failed) = operands.iter().find(|t| t.check().is_err()) {
            return (*failed).clone();
        }
        let shapes: Vec<&[usize]> = operands.iter().map(|t| t.shape()).collect();
        let equation = match Equation::parse(equation, &shapes) {
            Ok(equation) => equation,
            Err(problem) => return self.fail("einsum", ErrorKind::Invalid(format!("'{equation}': {problem}"))),
        };
        let mut left = Factor::new(operands[0], &equation.terms[0], &equation);
        for i in 1..operands.len() {
            // What the output or a later operand names outlives this product.
            let needed =
                |l: &Label| equation.output.contains(l) || equation.terms[i + 1..].iter().any(|t| t.contains(l));
            let right = Factor::new(operands[i], &equation.terms[i], &equation);
            let outlives = |f: &Factor, other: &Factor| {
                f.labels.iter().copied().filter(|l| needed(l) || other.labels.contains(l)).collect::<Vec<_>>()
            };
            let (keep_left, keep_right) = (outlives(&left, &right), outlives(&right, &left));
            left = left.sum_to(&keep_left).times(right.sum_to(&keep_right), needed);
        }
        left.sum_to(&equation.output).in_order(&equation.output).tensor
    }
}

/// A tensor whose axes have names, each once.
struct Factor {
    tensor: Tensor,
    labels: Vec<Label>,
}

impl Factor {
    /// An operand: diagonals taken, extents of 1 broadcast to what the equation gives them.
    #[track_caller]
    fn new(tensor: &Tensor, term: &[Label], equation: &Equation) -> Factor {
        let (mut tensor, mut labels) = (tensor.clone(), term.to_vec());
        while let Some((first, second)) = repeated(&labels) {
            tensor = diagonal(&tensor, first, second);
            let label = labels[first];
            labels.remove(second);
            labels.remove(first);
            labels.push(label);
        }
        let shape: Vec<usize> = labels.iter().map(|l| equation.extents[l]).collect();
        Factor { tensor: tensor.broadcast_to(&shape), labels }
    }

    /// Summed over all labels but these.
    #[track_caller]
    fn sum_to(self, keep: &[Label]) -> Factor {
        let axes: Vec<isize> =
            (0..self.labels.len()).filter(|d| !keep.contains(&self.labels[*d])).map(|d| d as isize).collect();
        if axes.is_empty() {
            return self;
        }
        let labels = self.labels.into_iter().filter(|l| keep.contains(l)).collect();
        Factor { tensor: self.tensor.sum(axes), labels }
    }

    /// With these axes in this order, of which it has all.
    #[track_caller]
    fn in_order(self, order: &[Label]) -> Factor {
        let perm: Vec<usize> = order.iter().filter_map(|l| self.labels.iter().position(|m| m == l)).collect();
        Factor { tensor: self.tensor.permute(perm), labels: order.to_vec() }
    }

    /// The product, summed over what both have and nobody needs: `[batch, left, sum] × [batch, sum, right]`.
    #[track_caller]
    fn times(self, other: Factor, needed: impl Fn(&Label) -> bool) -> Factor {
        let (shared, left): (Vec<Label>, Vec<Label>) = self.labels.iter().partition(|l| other.labels.contains(l));
        let (batch, sum): (Vec<Label>, Vec<Label>) = shared.into_iter().partition(|l| needed(l));
        let right: Vec<Label> = other.labels.iter().copied().filter(|l| !self.labels.contains(l)).collect();
        let a = self.in_order(&[&batch[..], &left, &sum].concat()).tensor;
        let b = other.in_order(&[&batch[..], &sum, &right].concat()).tensor;
        if a.check().is_err() || b.check().is_err() {
            return Factor { tensor: if a.check().is_err() { a } else { b }, labels: Vec::new() };
        }
        let labels = [&batch[..], &left, &right].concat();
        let (n, l, s) = (batch.len(), left.len(), sum.len());
        let extents = |t: &Tensor, from: usize, len: usize| t.shape()[from..from + len].to_vec();
        let (batches, rows, inner) = (extents(&a, 0, n), extents(&a, n, l), extents(&a, n + l, s));
        let columns = extents(&b, n + s, right.len());
        let count = |e: &[usize]| e.iter().product::<usize>();
        let (rows_n, inner_n, columns_n) = (count(&rows), count(&inner), count(&columns));
        let a = a.reshape([count(&batches), rows_n, inner_n]);
        let b = b.reshape([count(&batches), inner_n, columns_n]);
        let shape = [batches, rows, columns].concat();
        // Without a sum, without rows and columns, or on integers there is no matrix product to speak of.
        let plain = !a.dtype().promote(b.dtype()).is_float() || sum.is_empty() || (left.is_empty() && right.is_empty());
        let product = match plain {
            false => a.matmul(&b),
            true if sum.is_empty() => a * b,
            true => {
                let dtype = a.dtype().promote(b.dtype());
                let [a, b] = [&a, &b].map(|t| t.cast(dtype.wide()));
                (a.unsqueeze(-1) * b.unsqueeze(1)).sum(2).cast(dtype)
            }
        };
        Factor { tensor: product.reshape(shape), labels }
    }
}

/// The first label that occurs twice, at these axes.
fn repeated(labels: &[Label]) -> Option<(usize, usize)> {
    (0..labels.len()).find_map(|i| (i + 1..labels.len()).find(|j| labels[*j] == labels[i]).map(|j| (i, j)))
}

/// The elements whose positions along two axes of equal extent are equal; both go away, and the diagonal is the last axis.
#[track_caller]
fn diagonal(x: &Tensor, first: usize, second: usize) -> Tensor {
    let n = x.shape()[first];
    let mut perm: Vec<usize> = (0..x.rank()).filter(|d| *d != first && *d != second).collect();
    let lead: Vec<usize> = perm.iter().map(|d| x.shape()[*d]).collect();
    perm.extend([first, second]);
    let flat = x.permute(perm).reshape([&lead[..], &[n * n]].concat());
    // Row-major, the diagonal is every (n + 1)-th element.
    flat.strided(lead.len(), 0, n as isize + 1, n)
}
