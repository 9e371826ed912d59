//! Scaled dot-product attention.

use thalweg_graph::{DType, ErrorKind, Scope, Tensor, shape};

use crate::{Dropout, wide};

/// The score of a position that takes no part: finite, so that a row of nothing else is no NaN.
const MASKED: f64 = -1e30;

/// How queries attend to keys: the arguments of one call, by name.
///
/// `y = softmax(s · q kᵀ + mask) v`. Rows in which no position takes part give zeros, and pass no gradient.
///
/// It has no parameters, and it borrows the dropout of the module that attends, so that `eval()` reaches it there.
/// [`MultiheadAttention`](crate::MultiheadAttention) is a module.
///
/// ```
/// use thalweg_graph::Tensor;
/// use thalweg_nn::{Attention, Dropout};
///
/// fn attend(q: &Tensor, k: &Tensor, v: &Tensor, dropout: &Dropout) -> Tensor {
///     Attention { causal: true, dropout: Some(dropout), ..Attention::default() }.apply(q, k, v)
/// }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Attention<'a> {
    /// Broadcast to the scores `[.., heads, queries, keys]`: Bool, where true takes part, or floats that are added; what is
    /// lower than -1e37 takes no part.
    pub mask: Option<&'a Tensor>,
    /// Whether query i sees the keys 0 to i alone.
    pub causal: bool,
    /// s; `1 / √E` if none is given.
    pub scale: Option<f64>,
    /// Applied to the weights.
    pub dropout: Option<&'a Dropout>,
}

/// [`Attention::apply`] as a function.
///
/// # Shapes
/// `q [.., H, L, E]`, `k [.., G, S, E]`, `v [.., G, S, V]` → `[.., H, L, V]`
/// # Errors
/// As [`Attention::apply`].
#[track_caller]
pub fn scaled_dot_product_attention(q: &Tensor, k: &Tensor, v: &Tensor, attention: &Attention<'_>) -> Tensor {
    attention.apply(q, k, v)
}

impl Attention<'_> {
    /// Attends.
    ///
    /// Where there are fewer heads of keys than of queries, query head i reads head `i / (heads / groups)`: the queries of a
    /// group become rows of one product, and no key is copied.
    ///
    /// # Shapes
    /// `q [.., H, L, E]`, `k [.., G, S, E]`, `v [.., G, S, V]` → `[.., H, L, V]` with H a multiple of G; leading axes
    /// broadcast
    /// # Errors
    /// Shapes that do not fit; a mask that does not broadcast, or of integers.
    /// # Source
    /// Vaswani et al. 2017, arXiv:1706.03762, §3.2.1; grouped heads: Ainslie et al. 2023, arXiv:2305.13245.
    #[track_caller]
    pub fn apply(&self, q: &Tensor, k: &Tensor, v: &Tensor) -> Tensor {
        let _scope = Scope::composite("attention");
        let p = self.weights(q, k);
        if p.check().is_err() {
            return p;
        }
        if v.check().is_err() {
            return v.clone();
        }
        let heads = heads(q);
        if v.rank() < 2 || v.shape()[v.rank() - 2] != k.shape()[k.rank() - 2] || self::heads(v) != self::heads(k) {
            return unfit(k, v, "are no keys and values: they differ in length or heads");
        }
        let p = match self.dropout {
            Some(dropout) => dropout.forward(&p),
            None => p,
        };
        ungrouped(&grouped(&p, heads, self::heads(v)).matmul(&v.cast(p.dtype())), heads).cast(q.dtype())
    }

    /// The weights `softmax(s · q kᵀ + mask)` before dropout, in F32 at least: `[.., H, L, S]`.
    ///
    /// # Errors
    /// As [`Attention::apply`].
    #[track_caller]
    pub fn weights(&self, q: &Tensor, k: &Tensor) -> Tensor {
        let _scope = Scope::composite("attention");
        for t in [q, k] {
            if t.check().is_err() {
                return t.clone();
            }
        }
        if q.rank() < 2 || k.rank() < 2 || q.shape()[q.rank() - 1] != k.shape()[k.rank() - 1] {
            return unfit(q, k, "are no queries [.., L, E] and keys [.., S, E]");
        }
        let (all, shared) = (heads(q), heads(k));
        if shared == 0 || all % shared != 0 {
            return unfit(q, k, &format!("do not fit: {shared} heads of keys do not divide {all} of queries"));
        }
        let scale = self.scale.unwrap_or(1.0 / (q.shape()[q.rank() - 1] as f64).sqrt());
        // Scores of 16-bit floats would lose the digits that the softmax needs.
        let scores = ungrouped(&grouped(&wide(q), all, shared).matmul(&wide(k).t()), all) * scale;
        let (scores, allowed) = match self.masked(&scores) {
            Ok(pair) => pair,
            Err(failed) => return failed,
        };
        match allowed {
            // The second `where` is for rows without any: their softmax is even.
            Some(allowed) => allowed.where_(allowed.where_(scores, MASKED).softmax(-1), 0.0),
            None => scores.softmax(-1),
        }
    }

    /// The scores with what a mask adds, and which of them take part where not all do.
    #[track_caller]
    fn masked(&self, scores: &Tensor) -> Result<(Tensor, Option<Tensor>), Tensor> {
        scores.check().map_err(|_| scores.clone())?;
        let (mut scores, mut allowed) = (scores.clone(), None);
        if let Some(mask) = self.mask {
            mask.check().map_err(|_| mask.clone())?;
            if shape::broadcast(mask.shape(), scores.shape()).as_deref() != Some(scores.shape()) {
                return Err(unfit(mask, &scores, "do not fit: the mask cannot be broadcast to the scores"));
            }
            match mask.dtype() {
                DType::Bool => allowed = Some(mask.clone()),
                got if got.is_float() => {
                    let mask = mask.cast(scores.dtype());
                    let finite = mask.gt(-1e37);
                    scores += finite.where_(mask, 0.0);
                    allowed = Some(finite);
                }
                got => {
                    let problem = "is no mask; use bool, or a float that is added".to_string();
                    return Err(mask.fail("attention", ErrorKind::DType { got, problem }));
                }
            }
        }
        if self.causal {
            let [queries, keys] = [scores.shape()[scores.rank() - 2], scores.shape()[scores.rank() - 1]];
            let at = |n| Tensor::arange(scores.device(), n);
            let seen = at(queries).unsqueeze(1).ge(at(keys));
            allowed = Some(match allowed {
                Some(allowed) => allowed.and(seen),
                None => seen,
            });
        }
        Ok((scores, allowed))
    }
}

/// The extent of the axis in front of the last two.
fn heads(x: &Tensor) -> usize {
    if x.rank() < 3 { 1 } else { x.shape()[x.rank() - 3] }
}

/// `[.., heads, L, E]` → `[.., groups, heads / groups · L, E]`.
#[track_caller]
fn grouped(x: &Tensor, heads: usize, groups: usize) -> Tensor {
    if heads == groups {
        return x.clone();
    }
    let n = x.rank();
    let (lead, rows) = (&x.shape()[..n - 3], heads / groups * x.shape()[n - 2]);
    x.reshape([lead, &[groups, rows, x.shape()[n - 1]]].concat())
}

/// The reverse.
#[track_caller]
fn ungrouped(x: &Tensor, heads: usize) -> Tensor {
    let n = x.rank();
    if x.check().is_err() || n < 3 || x.shape()[n - 3] == heads {
        return x.clone();
    }
    let rows = x.shape()[n - 3] * x.shape()[n - 2] / heads.max(1);
    x.reshape([&x.shape()[..n - 3], &[heads, rows, x.shape()[n - 1]]].concat())
}

#[track_caller]
fn unfit(a: &Tensor, b: &Tensor, problem: &str) -> Tensor {
    let (lhs, rhs) = (a.shape().to_vec(), b.shape().to_vec());
    a.fail("attention", ErrorKind::Shapes { lhs, rhs, problem: problem.into() })
}
