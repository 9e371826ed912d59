//! Rows of a table by number, one by one or bag by bag.

use thalweg_ir::{DType, ErrorKind, ReduceOp};

use super::{scatter::Combine, segments::Combined};
use crate::{scope::Scope, tensor::Tensor};

/// How rows make a bag.
#[derive(Clone, Copy, Debug)]
pub struct Bags<'a> {
    /// What becomes of the rows of a bag: their sum, mean, or largest elements.
    pub combine: Combine,
    /// Where each bag starts: `[bags]`, ascending from 0. None for ids `[bags, N]`.
    pub offsets: Option<&'a Tensor>,
    /// A factor for each row, shaped as the ids.
    pub weights: Option<&'a Tensor>,
    /// The id of rows that no bag counts.
    pub padding: Option<usize>,
}

impl Bags<'_> {
    /// Bags that are rows of the ids, all of whose rows count once.
    pub fn new(combine: Combine) -> Bags<'static> {
        Bags { combine, offsets: None, weights: None, padding: None }
    }
}

/// # Embeddings
impl Tensor {
    /// As [`Tensor::embedding`], where row `padding` gets no gradient.
    ///
    /// # Shapes
    /// `[V, C]`, ids `[..]` → `[.., C]`
    /// # Errors
    /// As [`Tensor::embedding`].
    #[track_caller]
    #[doc(alias = "padding_idx")]
    pub fn embedding_padded(&self, ids: &Tensor, padding: usize) -> Tensor {
        let rows = self.embedding(ids);
        match rows.check() {
            Ok(()) => ids.eq(padding as f64).unsqueeze(-1).where_(rows.detach(), rows),
            Err(_) => rows,
        }
    }

    /// Rows of this table combined bag by bag: `y_b = Σ_{j in b} w_j table[ids_j]`, or their mean or largest. An empty bag
    /// is 0. Weights count for every combination; a mean divides by the number of rows, not by their weights.
    ///
    /// # Shapes
    /// `[V, C]`, ids `[J]` with offsets `[bags]`, or ids `[bags, N]` → `[bags, C]`
    /// # Errors
    /// Not a table; ids of another rank, or not I32 or U32; weights of another shape; a combination other than sum, mean
    /// and largest. Ids outside as in [`Tensor::gather`].
    #[track_caller]
    pub fn embedding_bag(&self, ids: &Tensor, bags: &Bags) -> Tensor {
        let _scope = Scope::composite("embedding_bag");
        if ids.check().is_err() {
            return ids.clone();
        }
        if !matches!(bags.combine, Combine::Sum | Combine::Mean | Combine::Max) {
            let kind = ErrorKind::Invalid(format!("{:?} is not how rows make a bag", bags.combine));
            return self.fail("embedding_bag", kind);
        }
        if let Some(weights) = bags.weights
            && weights.shape() != ids.shape()
        {
            let (lhs, rhs) = (ids.shape().to_vec(), weights.shape().to_vec());
            let problem = "differ: one weight for each id is needed".to_string();
            return self.fail("embedding_bag", ErrorKind::Shapes { lhs, rhs, problem });
        }
        let (count, bag) = match (bags.offsets, ids.shape()) {
            (Some(offsets), [j]) if offsets.rank() == 1 => {
                let at = Tensor::arange(self.device(), *j);
                (offsets.count(), offsets.searchsorted(&at, true) - 1.0)
            }
            (None, [bags, n]) => (*bags, Tensor::arange(self.device(), *bags).repeat_interleave(*n, 0)),
            _ => {
                let problem = "makes no bags: ids [J] go with offsets [bags], ids [bags, N] without".to_string();
                return self.fail("embedding_bag", ErrorKind::Shape { shape: ids.shape().to_vec(), problem });
            }
        };
        let ids = ids.reshape([ids.count()]);
        let mut rows = self.embedding(&ids);
        if rows.check().is_err() {
            return rows;
        }
        if ids.count() == 0 {
            return Tensor::full(self.device(), 0.0, [count, self.shape()[1]], self.dtype());
        }
        rows = rows.wide();
        if let Some(weights) = bags.weights {
            rows *= weights.reshape([ids.count(), 1]);
        }
        let bag = match bags.padding {
            Some(padding) => ids.eq(padding as f64).where_(-1.0, bag),
            None => bag,
        };
        let op = if bags.combine == Combine::Max { ReduceOp::Max } else { ReduceOp::Sum };
        let bag = bag.cast(DType::I32).unsqueeze(-1).broadcast_to(rows.shape());
        let Combined { value, rows } = rows.combined("embedding_bag", op, 0, &bag, count);
        let y = match bags.combine {
            Combine::Max => rows.gt(0.0).where_(value, 0.0),
            Combine::Mean => &value / rows.maximum(1.0).cast(value.dtype()),
            _ => value,
        };
        y.cast(self.dtype())
    }
}
