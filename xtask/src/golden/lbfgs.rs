//! L-BFGS on the Rosenbrock function: the point after every call, and how much work that was.

use anyhow::Context;
use serde_json::Value;
use thalweg_graph::{DType, Param, Tensor};
use thalweg_optim::{Lbfgs, StrongWolfe};

use super::{
    attrs::Attrs,
    compare::variant_name,
    holds::{Holds, need},
    outcome::{Outcome, Run, Stop},
};

/// What of the way down may be missing in f32, where the index asks for a last loss that is "about as low", besides rounding.
const F32_SHARE: f64 = 1e-2;
const F32_ROUNDING: f64 = 1e-5;

/// Runs a case.
pub fn run(run: &Run, case: &Value) -> Result<Outcome, Stop> {
    let name = case["name"].as_str().context("a case without name")?;
    let attrs = Attrs::new(&case["attrs"]);
    let settings = settings(&attrs)?;
    if let Some(unread) = attrs.unread() {
        return Err(Stop::Unsupported(format!("attribute {unread}")));
    }
    let climbs = settings.maximize;
    let param = Param::new(run.store.get(&format!("{name}/x0"))?.upload(run.device, run.dtype))?;
    let loss = || if climbs { -rosenbrock(&param.tensor()) } else { rosenbrock(&param.tensor()) };
    let opt = settings.init(&param)?;
    let (points, losses) = (run.store.get(&format!("{name}/f64/x"))?, run.store.get(&format!("{name}/f64/loss"))?);
    let first = loss().item()?;
    let tol = need(&case["tol"], "x", variant_name(run.dtype))?;
    let mut holds = Holds::default();
    let mut last = first;
    for step in 0..case["steps"].as_u64().context("a case without steps")? as usize {
        opt.step(loss)?;
        last = loss().item()?;
        if run.dtype == DType::F64 {
            let got = param.tensor().to_vec::<f64>()?;
            holds.check(run, &format!("x after call {step}"), &got, &points.row(step).values, tol);
            holds.check(run, &format!("loss after call {step}"), &[last], &losses.values[step..=step], tol);
        }
    }
    let want = case["final_loss"].as_f64().context("a case without its last loss")?;
    if run.dtype == DType::F64 {
        for (what, got) in [("func_evals", opt.evaluations()), ("n_iter", opt.iterations())] {
            let want = case[what].as_u64();
            holds.must(want.is_none_or(|want| want == got), || format!("{what} = {got}, not {want:?}"));
        }
    } else {
        let missing = if climbs { want - last } else { last - want };
        let allowed = F32_SHARE * (first - want).abs() + F32_ROUNDING * want.abs();
        holds.must(missing <= allowed, || format!("the last loss is {last:e}, and {want:e} is within reach"));
    }
    Ok(holds.outcome())
}

/// L-BFGS by PyTorch's settings.
fn settings(a: &Attrs) -> Result<Lbfgs, Stop> {
    let usual = Lbfgs::default();
    let size = |key: &str| a.int_or(key, -1).map(|n| usize::try_from(n).ok());
    Ok(Lbfgs {
        lr: a.number_or("lr", usual.lr)?,
        max_iter: size("max_iter")?.unwrap_or(usual.max_iter),
        max_eval: size("max_eval")?,
        tolerance_grad: a.number_or("tolerance_grad", usual.tolerance_grad)?,
        tolerance_change: a.number_or("tolerance_change", usual.tolerance_change)?,
        history: size("history_size")?.unwrap_or(usual.history),
        line_search: match a.word("line_search_fn", "none")?.as_str() {
            "none" => None,
            "strong_wolfe" => Some(StrongWolfe::default()),
            other => return Err(Stop::Unsupported(format!("attribute line_search_fn = {other}"))),
        },
        maximize: a.flag("maximize", false)?,
    })
}

/// `Σ 100 (x_{i+1} - x_i²)² + (1 - x_i)²`.
fn rosenbrock(x: &Tensor) -> Tensor {
    let n = x.count();
    let (here, next) = (x.narrow(0, 0, n - 1), x.narrow(0, 1, n - 1));
    ((next - here.square()).square() * 100.0 + (1.0 - here).square()).sum(..)
}
