//! Mixtures of experts.

use thalweg_derive::Module;
use thalweg_graph::{DType, Device, ErrorKind, Param, Result, Rng, Scope, Tensor};

use crate::{Init, Linear, init::invalid, wide};

/// Feed-forward nets, of which each vector goes to the few that a gate finds best for it:
/// `y = Σ_e g_e W_2e f(W_1e x)` with `p = softmax(W_g x)` and `g_e = p_e / Σ p` over the best `k`, 0 for all others.
///
/// Without a capacity every expert computes every vector, in one product for all, and no vector is left out. With one an expert
/// computes no more than its share of the vectors; those that come too late get nothing from it, which the residual connection around
/// the layer has to bear.
///
/// # Shapes
/// `[.., E] → [.., E]`; `gate.weight [experts, E]`, `w1 [experts, F, E]`, `w2 [experts, E, F]`
/// # Source
/// Shazeer et al. 2017, arXiv:1701.06538; capacity: Lepikhin et al. 2020, arXiv:2006.16668, §2.2; balance: Fedus et al. 2021,
/// arXiv:2101.03961, eq. 4.
#[derive(Clone, Debug, Module)]
pub struct MixtureOfExperts {
    /// W_g.
    pub gate: Linear,
    /// W_1 of each expert.
    pub w1: Param,
    /// W_2 of each expert.
    pub w2: Param,
    #[module(skip)]
    activation: fn(&Tensor) -> Tensor,
    top_k: usize,
    #[module(skip)]
    capacity: Option<f64>,
}

/// How to make a [`MixtureOfExperts`].
#[derive(Clone, Debug)]
pub struct MixtureOfExpertsConfig {
    width: usize,
    hidden: usize,
    experts: usize,
    top_k: usize,
    capacity: Option<f64>,
    activation: fn(&Tensor) -> Tensor,
}

/// What a [`MixtureOfExperts`] gives.
#[derive(Clone, Debug)]
pub struct Mixed {
    /// `[.., E]`.
    pub y: Tensor,
    /// What to add to the loss, times 0.01 or so, that all experts are used alike: `experts · Σ_e f_e P_e` with `f_e` the share of
    /// choices that fell on expert e and `P_e` its mean probability. It is 1 where they are used alike.
    pub balance: Tensor,
}

/// The way of each vector to its experts.
struct Routes {
    /// `[N, k]`: which.
    chosen: Tensor,
    /// `[N, k]`: how much each counts.
    weights: Tensor,
    /// `[N, experts]`: 1 where chosen.
    hits: Tensor,
    /// `[N, experts]`.
    p: Tensor,
}

impl MixtureOfExperts {
    /// Experts for vectors of this width, with inner width `hidden`: the best two, relu, without a capacity.
    #[expect(clippy::new_ret_no_self, reason = "the layer exists once the weights are drawn")]
    pub fn new(width: usize, hidden: usize, experts: usize) -> MixtureOfExpertsConfig {
        MixtureOfExpertsConfig { width, hidden, experts, top_k: 2, capacity: None, activation: Tensor::relu }
    }

    /// Applies it.
    ///
    /// # Shapes
    /// `[.., E]` → `[.., E]`, and the balance `[]`
    /// # Errors
    /// Vectors of another width; no floats; a `w1` of other than three axes.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Mixed {
        let _scope = Scope::composite("mixture_of_experts");
        let fail = |failed: Tensor| Mixed { y: failed.clone(), balance: failed };
        if x.check().is_err() {
            return fail(x.clone());
        }
        // It is the caller's to replace.
        let [experts, _, width] = self.w1.shape()[..] else {
            let problem = "is that of w1, which is not [experts, hidden, width]".to_string();
            return fail(x.fail("mixture_of_experts", ErrorKind::Shape { shape: self.w1.shape().to_vec(), problem }));
        };
        if x.shape().last() != Some(&width) || !x.dtype().is_float() {
            let problem = format!("is not [.., {width}] of floats");
            return fail(x.fail("mixture_of_experts", ErrorKind::Shape { shape: x.shape().to_vec(), problem }));
        }
        let rows = x.reshape((-1, width));
        let routes = self.routes(&rows, experts);
        let y = match self.capacity {
            None => self.all(&rows, &routes, experts),
            Some(capacity) => self.some(&rows, &routes, experts, capacity),
        };
        let share = routes.hits.mean(0) / self.top_k as f64;
        let balance = (share * routes.p.mean(0)).sum(..) * experts as f64;
        Mixed { y: y.reshape(x.shape()).cast(x.dtype()), balance }
    }

    #[track_caller]
    fn routes(&self, rows: &Tensor, experts: usize) -> Routes {
        let p = wide(&self.gate.forward(rows)).softmax(-1);
        let (best, chosen) = p.topk(self.top_k, -1, true);
        let weights = &best / best.sum_keepdim(-1);
        let hit = chosen.unsqueeze(-1).eq(Tensor::arange(rows.device(), experts));
        Routes { chosen, weights, hits: hit.cast(p.dtype()).sum(1), p }
    }

    /// Every expert computes every row: two products, for what those that were not chosen give is times 0.
    #[track_caller]
    fn all(&self, rows: &Tensor, routes: &Routes, experts: usize) -> Tensor {
        let (w1, w2) = (self.w1.tensor().flatten(..2), self.w2.tensor().transpose(1, 2).flatten(..2));
        let chosen = &routes.p * &routes.hits;
        let weights = &chosen / chosen.sum_keepdim(-1);
        let inner = wide(&(self.activation)(&rows.matmul(&w1.t()))).unflatten(-1, (experts, -1));
        (inner * weights.unsqueeze(-1)).flatten(-2..).cast(rows.dtype()).matmul(&w2)
    }

    /// Every expert computes as many rows as it has places for. First choices have places before second ones, and then those that come
    /// first.
    #[track_caller]
    fn some(&self, rows: &Tensor, routes: &Routes, experts: usize, capacity: f64) -> Tensor {
        let (count, k, device) = (rows.shape()[0], self.top_k, rows.device());
        let places = ((capacity * (k * count) as f64 / experts as f64).ceil() as usize).clamp(1, count.max(1));
        // In the order of preference, `[k · N]`.
        let chosen = routes.chosen.transpose(0, 1).flatten(..);
        let hit = chosen.unsqueeze(1).eq(Tensor::arange(device, experts)).cast(DType::I32);
        let place = (hit.cumsum(0) * &hit).sum(1) - 1.0;
        let there = place.lt(places as f64);
        // One place more takes what there is no room for.
        let slots = experts * places;
        let slot = there.where_(chosen * places as f64 + place, slots as f64);
        let row = Tensor::arange(device, count).repeat([k]);
        let of_slot = Tensor::full(device, 0.0, [slots + 1], DType::I32).scatter(0, &slot, &row).narrow(0, 0, slots);
        let taken = rows.index_select(0, &of_slot).reshape((experts, places, -1));
        let inner = (self.activation)(&taken.matmul(&self.w1.tensor().transpose(1, 2)));
        let given = inner.matmul(&self.w2.tensor().transpose(1, 2)).flatten(..2);
        let back = given.index_select(0, &there.where_(&slot, 0.0)).unflatten(0, (k, count));
        let weights = there.reshape([k, count]).where_(routes.weights.transpose(0, 1), 0.0);
        (wide(&back) * weights.unsqueeze(-1)).sum(0)
    }
}

impl MixtureOfExpertsConfig {
    setters! {
        /// With the best of this number.
        top_k: usize;
        /// With this function inside.
        activation: fn(&Tensor) -> Tensor;
    }

    /// With places for this multiple of the vectors that each expert would get if all were used alike: 1.25, say.
    pub fn capacity(mut self, factor: f64) -> Self {
        self.capacity = Some(factor);
        self
    }

    /// Draws the weights of each expert as those of a linear layer.
    ///
    /// # Errors
    /// No width, no inner width; more choices than experts, or none; a capacity that is not positive; no memory.
    #[track_caller]
    pub fn init(self, device: &Device, rng: &mut Rng) -> Result<MixtureOfExperts> {
        let MixtureOfExpertsConfig { width, hidden, experts, top_k, capacity, activation } = self;
        if [width, hidden, top_k].contains(&0) || top_k > experts {
            let problem = format!("the best {top_k} of {experts} experts for vectors of {width}, inside of {hidden}");
            return Err(invalid("mixture_of_experts", problem));
        }
        if let Some(factor) = capacity.filter(|factor| !(*factor > 0.0 && factor.is_finite())) {
            return Err(invalid("mixture_of_experts", format!("a capacity of {factor}")));
        }
        let of = |inputs: usize| Init::Uniform(1.0 / (inputs as f64).sqrt());
        Ok(MixtureOfExperts {
            gate: Linear::new(width, experts).bias(false).init(device, rng)?,
            w1: of(width).param(device, [experts, hidden, width], rng)?,
            w2: of(hidden).param(device, [experts, width, hidden], rng)?,
            activation,
            top_k,
            capacity,
        })
    }
}
