//! Losses of pairs: what belongs together should lie closer than all else.

use thalweg_graph::{DType, ErrorKind, Scope, Tensor};

use super::{CrossEntropy, Reduction, matched, vectors};

/// `½ d²` where the target is 1, `½ max(0, margin - d)²` where it is -1, with `d = ‖a - b + ε‖`.
///
/// # Shapes
/// `a` and `b` `[.., D]`, targets `[..]`
/// # Source
/// Hadsell et al. 2006, "Dimensionality reduction by learning an invariant mapping", equation 4, where Y is 0 for what is alike.
#[derive(Clone, Debug)]
pub struct Contrastive {
    /// How far apart unlike pairs should be.
    pub margin: f64,
    /// ε, which keeps a gradient at distance 0.
    pub eps: f64,
    /// What becomes of the pairs' losses.
    pub reduction: Reduction,
}

impl Default for Contrastive {
    fn default() -> Contrastive {
        Contrastive { margin: 1.0, eps: 1e-6, reduction: Reduction::default() }
    }
}

impl Contrastive {
    /// The loss.
    ///
    /// # Shapes
    /// `[.., D]`, `[.., D]`, target `[..]` → `[]`, or `[..]` with [`Reduction::None`]
    /// # Errors
    /// Shapes that differ or do not fit; scalars.
    #[track_caller]
    pub fn loss(&self, a: &Tensor, b: &Tensor, target: &Tensor) -> Tensor {
        let _scope = Scope::composite("contrastive_loss");
        let (a, b) = match vectors("contrastive_loss", a, b) {
            Ok(pair) => pair,
            Err(failed) => return failed,
        };
        let d = a.pairwise_distance(&b, 2.0, self.eps);
        let (d, t) = match matched("contrastive_loss", &d, target) {
            Ok(pair) => pair,
            Err(failed) => return failed,
        };
        let unlike = t.eq(-1.0).where_((self.margin - &d).relu().square(), 0.0);
        self.reduction.apply(t.eq(1.0).where_(d.square(), unlike) * 0.5)
    }
}

/// `-ln (e^{s_ii / τ} / Σ_j e^{s_ij / τ})` with `s_ij = cos(a_i, b_j)`: row `i` of `b` belongs to row `i` of `a`, all others do not.
/// With `symmetric` it is the mean of this and of the same with `a` and `b` exchanged, as for pictures and their texts.
///
/// # Shapes
/// `a` and `b` `[B, D]`; a loss for each of the B pairs.
/// # Source
/// Van den Oord et al. 2018, arXiv:1807.03748, equation 4; both ways: Radford et al. 2021, arXiv:2103.00020, figure 3.
#[derive(Clone, Debug)]
pub struct InfoNce {
    /// τ.
    pub temperature: f64,
    /// Whether each `b` has to find its `a` as well.
    pub symmetric: bool,
    /// What becomes of the pairs' losses.
    pub reduction: Reduction,
}

impl Default for InfoNce {
    fn default() -> InfoNce {
        InfoNce { temperature: 0.07, symmetric: false, reduction: Reduction::default() }
    }
}

impl InfoNce {
    /// The loss.
    ///
    /// # Shapes
    /// `[B, D]`, `[B, D]` → `[]`, or `[B]` with [`Reduction::None`]
    /// # Errors
    /// Shapes that differ, or are no matrices; a temperature that is not positive.
    #[track_caller]
    pub fn loss(&self, a: &Tensor, b: &Tensor) -> Tensor {
        let _scope = Scope::composite("info_nce_loss");
        let (a, b) = match pairs("info_nce_loss", a, b, self.temperature) {
            Ok(pair) => pair,
            Err(failed) => return failed,
        };
        let logits = product(&a, &b) / self.temperature;
        let own = Tensor::arange(logits.device(), logits.shape()[0]).cast(DType::I32);
        let each = CrossEntropy { reduction: Reduction::None, ..CrossEntropy::default() };
        let found = each.loss(&logits, &own);
        self.reduction.apply(match self.symmetric {
            true => (found + each.loss(&logits.t(), &own)) * 0.5,
            false => found,
        })
    }
}

/// [`InfoNce`] over both views of every sample: `-ln (e^{s_ij / τ} / Σ_{k ≠ i} e^{s_ik / τ})` for each of the 2B rows `i` of `a` and
/// `b` together, with `j` the other view of the same sample.
///
/// # Shapes
/// `a` and `b` `[B, D]`; a loss for each of the 2B views, those of `a` first.
/// # Source
/// Chen et al. 2020, arXiv:2002.05709, equation 1: NT-Xent.
#[derive(Clone, Debug)]
pub struct NtXent {
    /// τ.
    pub temperature: f64,
    /// What becomes of the views' losses.
    pub reduction: Reduction,
}

impl Default for NtXent {
    fn default() -> NtXent {
        NtXent { temperature: 0.5, reduction: Reduction::default() }
    }
}

impl NtXent {
    /// The loss.
    ///
    /// # Shapes
    /// `[B, D]`, `[B, D]` → `[]`, or `[2B]` with [`Reduction::None`]
    /// # Errors
    /// As [`InfoNce::loss`].
    #[track_caller]
    pub fn loss(&self, a: &Tensor, b: &Tensor) -> Tensor {
        let _scope = Scope::composite("nt_xent_loss");
        let (a, b) = match pairs("nt_xent_loss", a, b, self.temperature) {
            Ok(pair) => pair,
            Err(failed) => return failed,
        };
        let batch = a.shape()[0];
        let views = Tensor::concat([&a, &b], 0);
        let row = Tensor::arange(views.device(), 2 * batch);
        // No view is compared with itself.
        let logits = row.unsqueeze(1).eq(&row).where_(-1e30, product(&views, &views) / self.temperature);
        let other = Tensor::concat([row.slice(0, batch..), row.slice(0, ..batch)], 0).cast(DType::I32);
        CrossEntropy { reduction: self.reduction, ..CrossEntropy::default() }.loss(&logits, &other)
    }
}

/// Rows of length 1 in F32 at least; or the tensor that carries why they are no pairs.
#[track_caller]
fn pairs(op: &'static str, a: &Tensor, b: &Tensor, temperature: f64) -> Result<(Tensor, Tensor), Tensor> {
    let (a, b) = vectors(op, a, b)?;
    if a.rank() != 2 {
        let problem = "is not [batch, features]".to_string();
        return Err(a.fail(op, ErrorKind::Shape { shape: a.shape().to_vec(), problem }));
    }
    if temperature.is_nan() || temperature <= 0.0 {
        return Err(a.fail(op, ErrorKind::Invalid(format!("a temperature of {temperature}"))));
    }
    Ok((a.normalize(2.0, 1, 1e-12), b.normalize(2.0, 1, 1e-12)))
}

/// Every row with every row. In F32: a small temperature would make much of what 16 bits leave out.
#[track_caller]
fn product(a: &Tensor, b: &Tensor) -> Tensor {
    let _scope = Scope::keep_f32();
    a.matmul(&b.t())
}
