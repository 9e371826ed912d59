//! Update rules by the index's names.

use serde_json::Value as Json;
use thalweg_graph::{
    Module, Stateful,
    module::snapshot::{Snapshot, Value as Entry},
};
use thalweg_optim::{LossScale, Optimizer, RULES, Rule, RuleExt, Value};

use super::{attrs::Attrs, outcome::Stop};

/// PyTorch's settings of rules, and what they are called here: a list is a setting for each element.
const SETTINGS: &[(&str, &[&str])] = &[
    ("adjust_lr", &["adjust"]),
    ("adjust_lr_fn", &["adjust"]),
    ("alpha", &["alpha"]),
    ("amsgrad", &["amsgrad"]),
    ("beta2_decay", &["beta2_decay"]),
    ("betas", &["beta1", "beta2"]),
    ("centered", &["centered"]),
    ("d", &["clip"]),
    ("dampening", &["dampening"]),
    ("decoupled_weight_decay", &["decoupled_weight_decay"]),
    ("eps", &["eps"]),
    ("eps", &["eps1", "eps2"]),
    ("etas", &["eta_minus", "eta_plus"]),
    ("initial_accumulator_value", &["initial_accumulator_value"]),
    ("lambd", &["lambd"]),
    ("lr", &["lr"]),
    ("lr_decay", &["lr_decay"]),
    ("maximize", &["maximize"]),
    ("momentum", &["momentum"]),
    ("momentum_decay", &["momentum_decay"]),
    ("nesterov", &["nesterov"]),
    ("ns_coefficients", &["a", "b", "c"]),
    ("ns_steps", &["ns_steps"]),
    ("rho", &["rho"]),
    ("step_sizes", &["step_min", "step_max"]),
    ("t0", &["t0"]),
    ("weight_decay", &["weight_decay"]),
];
/// Those that say how PyTorch computes, and nothing about what.
const HOW: &[&str] = &["foreach", "fused", "capturable", "differentiable"];

/// An optimizer by the rule with this name and these settings (PyTorch's names), of the parameters of a module.
pub fn optimizer(name: &str, attrs: &Attrs, module: &dyn Module) -> Result<Optimizer, Stop> {
    Ok(rule(name, attrs)?.init(module)?)
}

/// A rule with this name and these settings.
pub fn rule(name: &str, attrs: &Attrs) -> Result<Box<dyn Rule>, Stop> {
    for how in HOW {
        attrs.get(how);
    }
    let mut settings: Vec<(&str, Value)> = Vec::new();
    for (theirs, ours) in SETTINGS {
        let Some(given) = attrs.get(theirs) else { continue };
        let values = given.as_array().map_or(std::slice::from_ref(given), Vec::as_slice);
        if values.len() == ours.len() {
            let known = ours.iter().zip(values).filter(|(_, value)| !value.is_null());
            settings.extend(known.map(|(name, value)| (*name, setting(value))));
        }
    }
    let name = match name.to_lowercase().as_str() {
        // Adam with decoupled decay is what AdamW is.
        plain @ ("adam" | "adamw") => {
            let decoupled = attrs.flag("decoupled_weight_decay", plain == "adamw")?;
            settings.retain(|(setting, _)| *setting != "decoupled_weight_decay");
            if decoupled { "AdamW" } else { "Adam" }
        }
        "adafactor" => {
            settings.push(("eps_mode", "clamped".into()));
            name
        }
        "muonexact" => "Muon",
        _ => name,
    };
    if !RULES.iter().any(|known| known.eq_ignore_ascii_case(name)) {
        return Err(Stop::Unsupported(format!("optimizer {name}")));
    }
    Ok(thalweg_optim::rule(name, &settings)?)
}

fn setting(value: &Json) -> Value {
    match value {
        Json::Bool(flag) => (*flag).into(),
        Json::String(word) => word.parse::<f64>().map_or(word.as_str().into(), Value::from),
        number => number.as_f64().unwrap_or(f64::NAN).into(),
    }
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
