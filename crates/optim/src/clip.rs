//! Gradients cut down to size, and noise on them.

use thalweg_graph::{DType, Error, ErrorKind, Result, Stream, Tensor, autodiff::Squares, module::Layout};

/// What is done to gradients, in this order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clip {
    /// The largest norm over all parameters, and the norm's order.
    pub norm: Option<(f64, f64)>,
    /// The largest Euclidean norm of each parameter's.
    pub each: Option<f64>,
    /// The largest element.
    pub value: Option<f64>,
    pub noise: Option<Noise>,
}

/// What is added to gradients: normal with variance `eta / (1 + t)^gamma`.
#[derive(Clone, Debug)]
pub(crate) struct Noise {
    pub eta: f64,
    pub gamma: f64,
    pub stream: Stream,
}

impl Clip {
    /// An error for a bound that is none.
    #[track_caller]
    pub fn check(&self) -> Result<()> {
        let norm = self.norm.map(|(limit, _)| limit);
        for (name, limit) in [("clip_norm", norm), ("clip_each", self.each), ("clip_value", self.value)] {
            if let Some(limit) = limit.filter(|limit| limit.is_nan() || *limit < 0.0) {
                return Err(Error::new("step", ErrorKind::Invalid(format!("{name} = {limit} is no bound"))));
            }
        }
        match self.norm.filter(|(_, p)| p.is_nan() || *p <= 0.0) {
            Some((_, p)) => Err(Error::new("step", ErrorKind::Invalid(format!("there is no norm of order {p}")))),
            None => Ok(()),
        }
    }

    /// By what all gradients are multiplied, from their norm: `min(1, c / (‖g‖ + 1e-6))`.
    pub fn factor(&self, norm: &Tensor) -> Option<Tensor> {
        self.norm.map(|(limit, _)| (limit / (norm + 1e-6)).minimum(1.0))
    }

    /// The gradients of one group's parameters, to go by. `t` steps were taken before, and the group is number `i` of `n`.
    pub fn apply(
        &self,
        g: Tensor,
        factor: Option<&Tensor>,
        layout: &Layout,
        t: &Tensor,
        (i, n): (usize, usize),
    ) -> Tensor {
        let mut g = g;
        if let Some(factor) = factor {
            let factor = factor.cast(g.dtype());
            g *= factor;
        }
        if let Some(limit) = self.each {
            let factor = (limit / (layout.sums(&g.square()).sqrt() + 1e-6)).minimum(1.0);
            g *= layout.spread(&factor);
        }
        if let Some(limit) = self.value {
            g = g.maximum(-limit).minimum(limit);
        }
        match &self.noise {
            Some(noise) => {
                let noise = noise.draw(layout, t, &(t.cast(DType::U32) * n as f64 + i as f64)).cast(g.dtype());
                g + noise
            }
            None => g,
        }
    }
}

impl Noise {
    fn draw(&self, layout: &Layout, t: &Tensor, number: &Tensor) -> Tensor {
        let deviation = ((t + 1.0).log() * (-0.5 * self.gamma)).exp() * self.eta.sqrt();
        let device = t.device();
        let draw = self.stream.at(number).normal(device, [layout.len()]);
        // What lies between parameters stays zero.
        layout.inside(device).where_(draw, 0.0) * deviation.cast(DType::F32)
    }
}

/// The norm of all of some gradients together, and whether they are finite.
pub(crate) enum Norm {
    Two(Squares),
    /// The largest element, and, unless that is the norm, the sum of powers of all elements as shares of it.
    Of {
        p: f64,
        most: Tensor,
        sum: Option<Tensor>,
    },
}

impl Norm {
    /// Of order `p`; none of no gradients.
    pub fn of<'a>(gradients: impl Iterator<Item = &'a Tensor> + Clone, p: f64) -> Option<Norm> {
        if p == 2.0 {
            return gradients.map(Squares::of).reduce(Squares::plus).map(Norm::Two);
        }
        let most = gradients.clone().map(|g| g.abs().amax(..)).reduce(|a, b| a.maximum(b))?;
        // Shares, so that no power is beyond all numbers where the norm is not.
        let scale = most.eq(0.0).where_(1.0, &most);
        let power = |g: &Tensor| if p == 1.0 { g.abs() / &scale } else { (g.abs() / &scale).powf(p) };
        let sum = gradients.filter(|_| p.is_finite()).map(|g| power(g).sum(..)).reduce(|a, b| a + b);
        Some(Norm::Of { p, most, sum })
    }

    pub fn is_finite(&self) -> Tensor {
        match self {
            Norm::Two(squares) => squares.is_finite(),
            Norm::Of { most, .. } => most.is_finite(),
        }
    }

    pub fn value(&self) -> Tensor {
        match self {
            Norm::Two(squares) => squares.root(),
            Norm::Of { most, sum: None, .. } => most.clone(),
            Norm::Of { p: 1.0, most, sum: Some(sum) } => most * sum,
            Norm::Of { p, most, sum: Some(sum) } => most * sum.powf(1.0 / p),
        }
    }
}
