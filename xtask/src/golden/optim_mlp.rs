//! Optimizers on a real loss: full batches through a small perceptron, its losses and parameters on the way.

use anyhow::Context;
use serde_json::Value;
use thalweg_graph::{DType, Param, Tensor};
use thalweg_nn::{Linear, Losses};

use super::{
    attrs::Attrs,
    compare::variant_name,
    holds::{Holds, need},
    lbfgs,
    outcome::{Outcome, Run, Stop},
    rule::optimizer,
};

/// The parameters by the index's names.
const PARAMS: [&str; 4] = ["w1", "b1", "w2", "b2"];
/// The steps after which the index has them.
const LOOKS: [usize; 3] = [1, 10, 20];

/// L-BFGS goes by differences of gradients, and rounding grows along it: PyTorch's own runs, with the hidden units in another order, are off
/// by up to 4.1 of the index's allowances. So these count so many times.
const LBFGS_SPREAD: f64 = 8.0;

/// Runs a case.
pub fn run(run: &Run, case: &Value) -> Result<Outcome, Stop> {
    let name = case["name"].as_str().context("a case without name")?;
    let attrs = Attrs::new(&case["attrs"]);
    let load = |tensor: &str| Ok::<_, Stop>(run.store.get(&format!("common/{tensor}"))?.upload(run.device, run.dtype));
    let params = PARAMS.iter().map(|p| Ok(Param::new(load(p)?)?)).collect::<Result<Vec<_>, Stop>>()?;
    let (x, y) = (load("x")?, load("y")?);
    let loss = || loss(&params, &x, &y, case["l2"].as_f64().unwrap_or(0.0));
    // One step; gives the loss before it.
    let step: Box<dyn Fn() -> thalweg_graph::Result<f64>> = match case["op"].as_str().unwrap_or_default() {
        "LBFGS" => {
            let opt = lbfgs::settings(&attrs)?.init(&params)?;
            Box::new(move || opt.step(loss))
        }
        rule => {
            let mut opt = optimizer(rule, &attrs, &params)?;
            if let Some(norm) = case["clip_grad_norm"].as_f64() {
                opt = opt.clip_norm(norm);
            }
            Box::new(move || opt.step_closure(loss)?.item())
        }
    };
    if let Some(unread) = attrs.unread() {
        return Err(Stop::Unsupported(format!("attribute {unread}")));
    }
    let is_lbfgs = case["op"] == "LBFGS";
    let tol = |what: &str| {
        let tol = need(&case["tol"], what, variant_name(run.dtype))?;
        Ok::<_, Stop>(if is_lbfgs { tol.times(LBFGS_SPREAD) } else { tol })
    };
    // In f32 the index asks for its losses only.
    let holds_params = !is_lbfgs || run.dtype == DType::F64;
    let (mut holds, mut losses) = (Holds::default(), Vec::new());
    for t in 1..=case["steps"].as_u64().context("a case without steps")? as usize {
        losses.push(step()?);
        let Some(look) = LOOKS.iter().position(|at| *at == t).filter(|_| holds_params) else { continue };
        for (param, p) in PARAMS.iter().zip(&params) {
            let want = run.store.get(&format!("{name}/f64/{param}"))?.row(look);
            let got = p.tensor().to_vec::<f64>()?;
            holds.check(run, &format!("{param} after step {t}"), &got, &want.values, tol(param)?);
        }
    }
    let want = |what: &str| Ok::<_, Stop>(&run.store.get(&format!("{name}/f64/{what}"))?.values);
    holds.check(run, "losses", &losses, want("loss")?, tol("loss")?);
    holds.check(run, "last loss", &[loss().item()?], want("final_loss")?, tol("final_loss")?);
    Ok(holds.outcome())
}

/// The mean cross entropy of `tanh(x w1ᵀ + b1) w2ᵀ + b2`, and a share of the sum of all squares.
fn loss(params: &[Param], x: &Tensor, y: &Tensor, l2: f64) -> Tensor {
    let linear = |w: usize| Linear { weight: params[w].clone(), bias: Some(params[w + 1].clone()) };
    let loss = linear(2).forward(&linear(0).forward(x).tanh()).cross_entropy(y);
    match l2 {
        0.0 => loss,
        l2 => params.iter().fold(loss, |loss, p| loss + p.tensor().square().sum(..) * l2),
    }
}
