//! Schedules: the rate of every step as the device applied it, of each group, and the momentum where that cycles.

use anyhow::Context;
use serde_json::Value;
use thalweg_graph::{Param, Tensor};
use thalweg_optim::{
    Goal, Plateau, RuleExt, Sgd, Threshold,
    schedule::{
        Constant, Cosine, CosineWave, Curve, Cyclic, Exponential, Family, Lambda, Linear, MultiStep, Multiplicative,
        OneCycle, Peaks, Phases, Polynomial, Restarts, Schedule, StepDecay, constant_factor,
    },
};

use super::{
    attrs::Attrs,
    compare::variant_name,
    formula,
    holds::{Holds, need},
    outcome::{Outcome, Run, Stop},
};

/// A schedule, and how momentum goes with it.
struct Both {
    rate: Schedule,
    momentum: Option<Schedule>,
}

impl<F: Family> From<F> for Both {
    fn from(rate: F) -> Both {
        Both { rate: rate.into(), momentum: None }
    }
}

/// Builds a schedule for the group `i`, whose own rate is `base`.
type Build = fn(&Attrs, f64, usize) -> Result<Both, Stop>;

/// PyTorch's classes.
const CLASSES: &[(&str, Build)] = &[
    ("StepLR", |a, rate, _| {
        Ok(StepDecay { rate, every: a.need("step_size")?, gamma: a.number_or("gamma", 0.1)? }.into())
    }),
    ("MultiStepLR", |a, rate, _| {
        let at = a.numbers("milestones")?.context("no milestones")?;
        Ok(MultiStep { rate, at, gamma: a.number_or("gamma", 0.1)? }.into())
    }),
    ("ConstantLR", |a, base, _| {
        Ok(constant_factor(base, a.number_or("factor", 1.0 / 3.0)?, a.number_or("total_iters", 5.0)?).into())
    }),
    ("LinearLR", |a, base, _| {
        let from = base * a.number_or("start_factor", 1.0 / 3.0)?;
        let to = base * a.number_or("end_factor", 1.0)?;
        Ok(Linear { from, to, over: a.number_or("total_iters", 5.0)? }.into())
    }),
    ("ExponentialLR", |a, rate, _| Ok(Exponential { rate, gamma: a.need("gamma")? }.into())),
    ("PolynomialLR", |a, base, _| {
        Ok(Polynomial::new(base, a.number_or("total_iters", 5.0)?, a.number_or("power", 1.0)?).into())
    }),
    ("CosineAnnealingLR", |a, from, _| {
        Ok(CosineWave { from, to: a.number_or("eta_min", 0.0)?, half: a.need("T_max")? }.into())
    }),
    ("CosineAnnealingWarmRestarts", |a, from, _| {
        let (to, mult) = (a.number_or("eta_min", 0.0)?, a.number_or("T_mult", 1.0)?);
        Ok(Restarts { to, mult, ..Restarts::new(from, a.need("T_0")?) }.into())
    }),
    ("CyclicLR", cyclic),
    ("OneCycleLR", one_cycle),
    ("LambdaLR", |a, base, i| {
        let (name, factor) = factor(a, i)?;
        Ok(Lambda::new(&name, factor).times(base).into())
    }),
    ("MultiplicativeLR", |a, rate, i| {
        let (name, factor) = factor(a, i)?;
        Ok(Multiplicative::new(rate, &name, factor).into())
    }),
    ("SWALR", |a, from, i| {
        let (to, over) = (of_group(a, "swa_lr", i)?.context("no swa_lr")?, a.number_or("anneal_epochs", 10.0)?);
        match a.word("anneal_strategy", "cos")?.as_str() {
            "cos" => Ok(Cosine { from, to, over }.into()),
            "linear" => Ok(Linear { from, to, over }.into()),
            other => Err(Stop::Unsupported(format!("attribute anneal_strategy = {other}"))),
        }
    }),
    ("SequentialLR", sequential),
    ("ChainedScheduler", chained),
];

/// Runs a case: in each step the parameter of each group, at 0 with a gradient of -1, becomes the rate.
pub fn run(run: &Run, case: &Value) -> Result<Outcome, Stop> {
    let op = case["op"].as_str().context("a case without op")?;
    let attrs = Attrs::new(&case["attrs"]);
    let (bases, wanted) = (list(&case["base_lr"])?, of_groups(&case["lr"])?);
    if bases.len() != wanted.len() {
        return Err(Stop::wrong(format!("{} rates to begin with, and {} lists", bases.len(), wanted.len())));
    }
    let tol = need(case, "tol", variant_name(run.dtype))?;
    let mut holds = Holds::default();
    for (i, (base, want)) in bases.iter().zip(&wanted).enumerate() {
        let zero = Tensor::scalar(run.device, 0.0, run.dtype);
        let param = Param::new(zero.clone())?;
        let opt = Sgd { lr: *base, ..Sgd::default() }.init(&param)?;
        let (mut reports, mut plateau) = (Vec::new(), None);
        if op == "ReduceLROnPlateau" {
            plateau = Some(reduce_on_plateau(&attrs, i)?.start(*base)?);
            reports = list(&case["metrics"])?;
        } else {
            let both = build(op, &attrs, *base, i)?;
            both.rate.check().map_err(Stop::wrong)?;
            opt.set_schedule(both.rate);
            if let (Some(momentum), true) = (both.momentum, case["momentum"].is_array()) {
                let want = &of_groups(&case["momentum"])?[i];
                holds.check(run, &format!("momentum of group {i}"), &momentum.rates(want.len()), want, tol);
            }
        }
        if let Some(unread) = attrs.unread() {
            return Err(Stop::Unsupported(format!("attribute {unread}")));
        }
        let mut rates = Vec::with_capacity(want.len());
        for t in 0..want.len() {
            param.set(&zero)?;
            opt.step(&-param.tensor())?;
            rates.push(param.tensor().item()?);
            if let Some(plateau) = &plateau {
                opt.set_lr(plateau.report(*reports.get(t).context("too few metrics")?))?;
            }
        }
        holds.check(run, &format!("rates of group {i}"), &rates, want, tol);
    }
    Ok(holds.outcome())
}

fn build(class: &str, attrs: &Attrs, base: f64, i: usize) -> Result<Both, Stop> {
    attrs.only("last_epoch", (-1).into())?;
    match CLASSES.iter().find(|(known, _)| *known == class) {
        Some((_, build)) => build(attrs, base, i),
        None => Err(Stop::Unsupported(format!("schedule {class}"))),
    }
}

fn cyclic(a: &Attrs, _: f64, i: usize) -> Result<Both, Stop> {
    let low = of_group(a, "base_lr", i)?.context("no base_lr")?;
    let high = of_group(a, "max_lr", i)?.context("no max_lr")?;
    let up = a.number_or("step_size_up", 2000.0)?;
    let (down, gamma) = (a.number_or("step_size_down", up)?, a.number_or("gamma", 1.0)?);
    // The mode says what the scale is counted in.
    a.get("scale_mode");
    let peaks = match a.word("mode", "triangular")?.as_str() {
        "triangular" => Peaks::Equal,
        "triangular2" => Peaks::Halved,
        "exp_range" => Peaks::Exponential(gamma),
        other => return Err(Stop::Unsupported(format!("attribute mode = {other}"))),
    };
    let cycle = Cyclic { low, high, up, down, peaks };
    let (low, high) = (of_group(a, "base_momentum", i)?.unwrap_or(0.8), of_group(a, "max_momentum", i)?.unwrap_or(0.9));
    let momentum = a.flag("cycle_momentum", true)?.then(|| cycle.momentum(low, high).into());
    Ok(Both { rate: cycle.into(), momentum })
}

fn one_cycle(a: &Attrs, _: f64, i: usize) -> Result<Both, Stop> {
    let over = match (a.number("total_steps")?, a.number("epochs")?, a.number("steps_per_epoch")?) {
        (Some(steps), ..) => steps,
        (None, Some(epochs), Some(steps)) => epochs * steps,
        _ => return Err(Stop::wrong("neither total_steps nor epochs and steps_per_epoch")),
    };
    let curve = match a.word("anneal_strategy", "cos")?.as_str() {
        "cos" => Curve::Cosine,
        "linear" => Curve::Linear,
        other => return Err(Stop::Unsupported(format!("attribute anneal_strategy = {other}"))),
    };
    let usual = OneCycle::new(of_group(a, "max_lr", i)?.context("no max_lr")?, over);
    let cycle = OneCycle {
        rise: a.number_or("pct_start", usual.rise)?,
        div: a.number_or("div_factor", usual.div)?,
        final_div: a.number_or("final_div_factor", usual.final_div)?,
        curve,
        phases: if a.flag("three_phase", false)? { Phases::Three } else { Phases::Two },
        ..usual
    };
    let (low, high) =
        (of_group(a, "base_momentum", i)?.unwrap_or(0.85), of_group(a, "max_momentum", i)?.unwrap_or(0.95));
    let momentum = a.flag("cycle_momentum", true)?.then(|| cycle.momentum(low, high).into());
    Ok(Both { rate: cycle.into(), momentum })
}

/// Classes with their attributes, in order.
fn members(a: &Attrs) -> Result<Vec<(String, Attrs)>, Stop> {
    let list = a.get("schedules").and_then(Value::as_array).context("no schedules")?;
    let one = |member: &Value| -> Result<(String, Attrs), Stop> {
        let (class, attrs) = member.as_object().and_then(|m| m.iter().next()).context("a schedule without class")?;
        Ok((class.clone(), Attrs::new(attrs)))
    };
    list.iter().map(one).collect()
}

fn built(class: &str, attrs: &Attrs, base: f64, i: usize) -> Result<Schedule, Stop> {
    let schedule = build(class, attrs, base, i)?.rate;
    match attrs.unread() {
        Some(unread) => Err(Stop::Unsupported(format!("attribute {unread} of {class}"))),
        None => Ok(schedule),
    }
}

fn sequential(a: &Attrs, base: f64, i: usize) -> Result<Both, Stop> {
    let milestones = a.numbers("milestones")?.context("no milestones")?;
    let members = members(a)?;
    let Some(((class, attrs), rest)) = members.split_first().filter(|(_, rest)| rest.len() == milestones.len()) else {
        return Err(Stop::wrong("milestones must stand between schedules"));
    };
    let mut all = built(class, attrs, base, i)?;
    for ((class, attrs), at) in rest.iter().zip(milestones) {
        // These two go on from the rate that they find, the first with a factor at once.
        let found = |all: &Schedule| if at > 0.0 { all.at(at - 1.0) } else { base };
        let begins = match class.as_str() {
            "MultiplicativeLR" => found(&all) * factor(attrs, i)?.1(0.0),
            "SWALR" => found(&all),
            _ => base,
        };
        all = all.until(at, built(class, attrs, begins, i)?);
    }
    Ok(all.into())
}

/// Classes that multiply the rate they find.
const FACTORS: &[&str] = &[
    "StepLR",
    "MultiStepLR",
    "ConstantLR",
    "LinearLR",
    "ExponentialLR",
    "PolynomialLR",
    "CosineAnnealingLR",
    "MultiplicativeLR",
];

fn chained(a: &Attrs, base: f64, i: usize) -> Result<Both, Stop> {
    let mut all: Schedule = Constant(base).into();
    for (class, attrs) in members(a)? {
        if !FACTORS.contains(&class.as_str()) || attrs.number_or("eta_min", 0.0)? != 0.0 {
            return Err(Stop::Unsupported(format!("a chain with {class}, which is no factor")));
        }
        all = all.times(built(&class, &attrs, 1.0, i)?);
    }
    Ok(all.into())
}

fn reduce_on_plateau(a: &Attrs, i: usize) -> Result<Plateau, Stop> {
    let usual = Plateau::default();
    let threshold = a.number_or("threshold", 1e-4)?;
    a.get("verbose");
    Ok(Plateau {
        goal: match a.word("mode", "min")?.as_str() {
            "min" => Goal::Min,
            "max" => Goal::Max,
            other => return Err(Stop::Unsupported(format!("attribute mode = {other}"))),
        },
        threshold: match a.word("threshold_mode", "rel")?.as_str() {
            "rel" => Threshold::Relative(threshold),
            "abs" => Threshold::Absolute(threshold),
            other => return Err(Stop::Unsupported(format!("attribute threshold_mode = {other}"))),
        },
        factor: a.number_or("factor", usual.factor)?,
        patience: a.number_or("patience", 10.0)? as u64,
        cooldown: a.number_or("cooldown", 0.0)? as u64,
        min: of_group(a, "min_lr", i)?.unwrap_or(usual.min),
        eps: a.number_or("eps", usual.eps)?,
    })
}

/// A number that all groups have, or the one of this group.
fn of_group(a: &Attrs, key: &str, i: usize) -> Result<Option<f64>, Stop> {
    Ok(a.numbers(key)?.and_then(|all| if all.len() == 1 { all.first().copied() } else { all.get(i).copied() }))
}

/// The factor's formula, or that of this group.
fn factor(a: &Attrs, i: usize) -> Result<(String, formula::Formula), Stop> {
    let text = match a.get("factor").or_else(|| a.get("lr_lambda")) {
        Some(Value::Array(all)) => all.get(i),
        one => one,
    };
    let text = text.and_then(Value::as_str).context("no formula")?;
    Ok((text.into(), formula::parse(text)?))
}

fn list(value: &Value) -> Result<Vec<f64>, Stop> {
    let number = |v: &Value| match v.as_str() {
        Some("inf") => Some(f64::INFINITY),
        Some("-inf") => Some(f64::NEG_INFINITY),
        Some("nan") => Some(f64::NAN),
        _ => v.as_f64(),
    };
    let all = value.as_array().context("no list")?;
    Ok(all.iter().map(|v| number(v).context("a list of something else than numbers")).collect::<Result<_, _>>()?)
}

/// A list for each group; a list of numbers is that of the only one.
fn of_groups(value: &Value) -> Result<Vec<Vec<f64>>, Stop> {
    match value.as_array().map(Vec::as_slice) {
        Some([Value::Array(_), ..]) => value.as_array().into_iter().flatten().map(list).collect(),
        _ => Ok(vec![list(value)?]),
    }
}
