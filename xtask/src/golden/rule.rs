//! Update rules by the index's names.

use serde_json::Value;
use thalweg_graph::{
    Module, Stateful,
    module::snapshot::{Snapshot, Value as Entry},
};
use thalweg_optim::{LossScale, Optimizer, RULES, Rule, RuleExt};

use super::{attrs::Attrs, outcome::Stop};

/// The settings of PyTorch's rules that are called the same here.
const SETTINGS: &[&str] = &["eps", "weight_decay", "momentum", "dampening"];
const FLAGS: &[&str] = &["nesterov", "amsgrad", "maximize"];

/// An optimizer by the rule with this name and these settings (PyTorch's names), of the parameters of a module.
pub fn optimizer(name: &str, attrs: &Attrs, module: &dyn Module) -> Result<Optimizer, Stop> {
    Ok(rule(name, attrs)?.init(module)?)
}

/// A rule with this name and these settings.
pub fn rule(name: &str, attrs: &Attrs) -> Result<Box<dyn Rule>, Stop> {
    if !RULES.iter().any(|known| known.eq_ignore_ascii_case(name)) {
        return Err(Stop::Unsupported(format!("optimizer {name}")));
    }
    let mut settings = vec![("lr", attrs.need("lr")?)];
    if let Some(Value::Array(betas)) = attrs.get("betas") {
        for (name, beta) in ["beta1", "beta2"].into_iter().zip(betas) {
            settings.push((name, beta.as_f64().unwrap_or(f64::NAN)));
        }
    }
    for name in SETTINGS.iter().filter(|name| attrs.get(name).is_some()) {
        settings.push((name, attrs.need(name)?));
    }
    for name in FLAGS.iter().filter(|name| attrs.get(name).is_some()) {
        settings.push((name, f64::from(u8::from(attrs.flag(name, false)?))));
    }
    let decoupled = name.eq_ignore_ascii_case("adamw");
    if decoupled || name.eq_ignore_ascii_case("adam") {
        attrs.only("decoupled_weight_decay", decoupled.into())?;
    }
    Ok(thalweg_optim::rule(name, &settings)?)
}

/// What an optimizer keeps for a parameter under a name.
pub fn kept(opt: &Optimizer, name: &str, param: &str) -> Result<Option<Vec<f64>>, Stop> {
    let mut saved = Snapshot::new();
    opt.save(&mut saved)?;
    let device = opt.params()[0].1.tensor().device().clone();
    Ok(match saved.get(&format!("{name}.{param}")) {
        Some(Entry::Array(array)) => Some(array.upload(&device)?.to_vec()?),
        Some(Entry::Number(number)) => Some(vec![*number]),
        _ => None,
    })
}

/// The loss scaling of a case.
pub fn scaling(attrs: &Attrs) -> Result<LossScale, Stop> {
    let interval = attrs.sizes("growth_interval")?.and_then(|i| i.first().copied()).unwrap_or(2000);
    Ok(LossScale {
        init: attrs.number_or("init_scale", 65_536.0)?,
        growth: attrs.number_or("growth_factor", 2.0)?,
        backoff: attrs.number_or("backoff_factor", 0.5)?,
        interval: u32::try_from(interval).unwrap_or(u32::MAX),
        // The reference has no ceiling and no floor.
        max: f64::from(f32::MAX),
        min: f64::from(f32::MIN_POSITIVE),
    })
}
