//! Attention with linear biases.

use thalweg_derive::Module;
use thalweg_graph::{Device, ErrorKind, Result, Rng, Scope, Tensor};

use super::{numbers, positions};
use crate::{init::invalid, wide};

/// Subtracts from the score of a key how far it stands behind the query, times a slope of the head: `2^(-8 h / heads)` for the heads
/// `h = 1, 2, ..`. A model so trained reads longer sequences than it was trained on.
///
/// ```
/// use thalweg_graph::Tensor;
/// use thalweg_nn::{Alibi, Attention};
///
/// fn attend(alibi: &Alibi, q: &Tensor, k: &Tensor, v: &Tensor) -> Tensor {
///     Attention { mask: Some(&alibi.bias(q, k, 0)), causal: true, ..Attention::default() }.apply(q, k, v)
/// }
/// ```
///
/// # Source
/// Press et al. 2021, arXiv:2108.12409.
#[derive(Clone, Debug, Module)]
pub struct Alibi {
    heads: usize,
}

/// How to make an [`Alibi`].
#[derive(Clone, Debug)]
pub struct AlibiConfig {
    heads: usize,
}

impl Alibi {
    /// For as many heads.
    #[expect(clippy::new_ret_no_self, reason = "the layer exists once its settings are checked")]
    pub fn new(heads: usize) -> AlibiConfig {
        AlibiConfig { heads }
    }

    /// What is added to the scores: `slope · (key - query)`, where the first query stands at position `first` and the first key at 0.
    ///
    /// # Shapes
    /// queries `[.., H, L, E]`, keys `[.., S, E]` → `[H, L, S]`, in F32 at least
    /// # Errors
    /// Another number of heads.
    #[track_caller]
    pub fn bias(&self, q: &Tensor, k: &Tensor, first: usize) -> Tensor {
        let _scope = Scope::composite("alibi");
        for t in [q, k] {
            if t.check().is_err() {
                return t.clone();
            }
        }
        if q.rank() < 3 || k.rank() < 2 || q.shape()[q.rank() - 3] != self.heads {
            let (lhs, rhs) = (q.shape().to_vec(), k.shape().to_vec());
            let problem = format!("are no queries [.., {}, length, width] and keys", self.heads);
            return q.fail("alibi", ErrorKind::Shapes { lhs, rhs, problem });
        }
        let (dtype, device) = (wide(q).dtype(), q.device());
        let slopes: Vec<f64> = (1..=self.heads).map(|h| (-8.0 * h as f64 / self.heads as f64).exp2()).collect();
        let query = positions(device, q.shape()[q.rank() - 2], first).unsqueeze(1);
        let apart = positions(device, k.shape()[k.rank() - 2], 0) - query;
        numbers(device, dtype, &slopes).reshape([self.heads, 1, 1]) * apart.cast(dtype)
    }
}

impl AlibiConfig {
    /// Makes the layer; nothing is drawn.
    ///
    /// # Errors
    /// No heads.
    #[track_caller]
    pub fn init(self, _device: &Device, _rng: &mut Rng) -> Result<Alibi> {
        match self.heads {
            0 => Err(invalid("alibi", "0 heads".into())),
            heads => Ok(Alibi { heads }),
        }
    }
}
