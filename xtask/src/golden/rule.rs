//! Update rules by the index's names, behind one interface.

use serde_json::Value;
use thalweg_graph::{Grads, Module, Result, Tensor};
use thalweg_optim::{Adam, AdamW, LossScale, Optimizer, Report, Rule, Sgd};

use super::{Stop, attrs::Attrs};

/// An optimizer of any rule.
pub enum Opt {
    Sgd(Optimizer<Sgd>),
    Adam(Optimizer<Adam>),
    AdamW(Optimizer<AdamW>),
}

/// The same call on whichever rule it is.
macro_rules! each {
    ($self:expr, $opt:ident => $call:expr) => {
        match $self {
            Opt::Sgd($opt) => $call,
            Opt::Adam($opt) => $call,
            Opt::AdamW($opt) => $call,
        }
    };
}

/// An optimizer rebuilt by value.
macro_rules! map {
    ($self:expr, $opt:ident => $call:expr) => {
        match $self {
            Opt::Sgd($opt) => Opt::Sgd($call),
            Opt::Adam($opt) => Opt::Adam($call),
            Opt::AdamW($opt) => Opt::AdamW($call),
        }
    };
}

impl Opt {
    /// The rule with this name and these settings (PyTorch's names), on the parameters of a module.
    pub fn new(name: &str, attrs: &Attrs, module: &dyn Module) -> Result<Opt, Stop> {
        let betas = match attrs.get("betas") {
            Some(Value::Array(pair)) if pair.len() == 2 => {
                (pair[0].as_f64().unwrap_or(f64::NAN), pair[1].as_f64().unwrap_or(f64::NAN))
            }
            _ => (0.9, 0.999),
        };
        let (lr, eps) = (attrs.need("lr")?, attrs.number_or("eps", 1e-8)?);
        let decay = |default| attrs.number_or("weight_decay", default);
        let (amsgrad, maximize) = (attrs.flag("amsgrad", false)?, attrs.flag("maximize", false)?);
        Ok(match name.to_lowercase().as_str() {
            "sgd" => {
                let (momentum, dampening) = (attrs.number_or("momentum", 0.0)?, attrs.number_or("dampening", 0.0)?);
                let nesterov = attrs.flag("nesterov", false)?;
                let rule = Sgd { lr, momentum, dampening, weight_decay: decay(0.0)?, nesterov, maximize };
                Opt::Sgd(rule.init(module)?)
            }
            "adam" => {
                attrs.only("decoupled_weight_decay", false.into())?;
                let (beta1, beta2) = betas;
                let rule = Adam { lr, beta1, beta2, eps, weight_decay: decay(0.0)?, amsgrad, maximize };
                Opt::Adam(rule.init(module)?)
            }
            "adamw" => {
                attrs.only("decoupled_weight_decay", true.into())?;
                let (beta1, beta2) = betas;
                let rule = AdamW { lr, beta1, beta2, eps, weight_decay: decay(0.01)?, amsgrad, maximize };
                Opt::AdamW(rule.init(module)?)
            }
            _ => return Err(Stop::Unsupported(format!("optimizer {name}"))),
        })
    }

    pub fn clip_norm(self, norm: f64) -> Opt {
        map!(self, o => o.clip_norm(norm))
    }

    pub fn clip_value(self, value: f64) -> Opt {
        map!(self, o => o.clip_value(value))
    }

    pub fn loss_scale(self, scaling: LossScale) -> Result<Opt> {
        Ok(map!(self, o => o.loss_scale(scaling)?))
    }

    pub fn backward(&self, loss: &Tensor) -> Result<Grads> {
        each!(self, o => o.backward(loss))
    }

    pub fn step(&mut self, module: &mut impl Module, loss: &Tensor) -> Result<()> {
        each!(self, o => o.step(module, loss))
    }

    pub fn apply(&mut self, module: &mut impl Module, grads: Grads) -> Result<()> {
        each!(self, o => o.apply(module, grads))
    }

    pub fn report(&self) -> Result<Report> {
        each!(self, o => o.report())
    }

    /// The values of a state, flat.
    pub fn state(&self, name: &str) -> Result<Option<Vec<f64>>> {
        let states = each!(self, o => o.states());
        states.iter().find(|(n, _)| *n == name).map(|(_, s)| s.tensor().to_vec()).transpose()
    }
}

/// The loss scaling of a case.
pub fn scaling(attrs: &Attrs) -> Result<LossScale, Stop> {
    let interval = attrs.sizes("growth_interval")?.and_then(|i| i.first().copied()).unwrap_or(2000);
    Ok(LossScale {
        init: attrs.number_or("init_scale", 65_536.0)?,
        growth: attrs.number_or("growth_factor", 2.0)?,
        backoff: attrs.number_or("backoff_factor", 0.5)?,
        interval: u32::try_from(interval).unwrap_or(u32::MAX),
        // The reference has no ceiling.
        max: f64::from(f32::MAX),
    })
}
