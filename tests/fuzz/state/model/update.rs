//! Update rules for one parameter, as PyTorch has them.

use thalweg_optim::{Adam, AdamW, Rule, Sgd};

use super::super::actions::Update;

/// What a rule keeps for one parameter.
#[derive(Clone, Debug, Default)]
pub struct Slots {
    /// Steps taken.
    t: i32,
    /// The momentum, or Adam's first moment.
    m: Vec<f64>,
    v: Vec<f64>,
    /// What the weights in Adam's moments add up to: 1 - β^t as long as β stays.
    of: [f64; 2],
}

/// What a rule keeps under which names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeps {
    Nothing,
    Momentum,
    Moments,
}

impl Update {
    pub fn lr(&self) -> f64 {
        match self {
            Update::Sgd(sgd) => sgd.lr(),
            Update::Adam(adam) => adam.lr(),
            Update::AdamW(adam) => adam.lr(),
        }
    }

    pub fn keeps(&self) -> Keeps {
        match self {
            Update::Sgd(sgd) if sgd.momentum == 0.0 => Keeps::Nothing,
            Update::Sgd(_) => Keeps::Momentum,
            _ => Keeps::Moments,
        }
    }

    /// One step.
    pub fn step(&self, lr: f64, theta: &mut [f64], g: &[f64], slots: &mut Slots) {
        slots.t += 1;
        let Slots { t, m, v, of } = slots;
        let betas = match self {
            Update::Sgd(_) => [0.0; 2],
            Update::Adam(c) => [c.beta1, c.beta2],
            Update::AdamW(c) => [c.beta1, c.beta2],
        };
        *of = [0, 1].map(|i| betas[i] * of[i] + 1.0 - betas[i]);
        m.resize(theta.len(), 0.0);
        v.resize(theta.len(), 0.0);
        for (((theta, g), m), v) in theta.iter_mut().zip(g).zip(m).zip(v) {
            *theta = match self {
                Update::Sgd(c) => sgd(c, lr, *t, *theta, *g, m),
                Update::Adam(c) => adam(c, lr, *of, *theta, g + c.weight_decay * *theta, m, v),
                Update::AdamW(c) => {
                    let AdamW { beta1, beta2, eps, weight_decay, .. } = *c;
                    let coupled = Adam { beta1, beta2, eps, ..Adam::default() };
                    adam(&coupled, lr, *of, *theta * (1.0 - lr * weight_decay), *g, m, v)
                }
            };
        }
    }
}

fn sgd(c: &Sgd, lr: f64, t: i32, theta: f64, g: f64, b: &mut f64) -> f64 {
    let g = g + c.weight_decay * theta;
    *b = if t == 1 { g } else { c.momentum * *b + (1.0 - c.dampening) * g };
    match (c.momentum == 0.0, c.nesterov) {
        (true, _) => theta - lr * g,
        (_, true) => theta - lr * (g + c.momentum * *b),
        (_, false) => theta - lr * *b,
    }
}

fn adam(c: &Adam, lr: f64, of: [f64; 2], theta: f64, g: f64, m: &mut f64, v: &mut f64) -> f64 {
    *m = c.beta1 * *m + (1.0 - c.beta1) * g;
    *v = c.beta2 * *v + (1.0 - c.beta2) * g * g;
    let (m_hat, v_hat) = (*m / of[0], *v / of[1]);
    theta - lr * m_hat / (v_hat.sqrt() + c.eps)
}
