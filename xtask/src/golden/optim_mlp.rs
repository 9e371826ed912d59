//! Optimizers on a real loss: full batches through a small perceptron, its losses and parameters on the way.

use anyhow::Context;
use serde_json::Value;
use thalweg_graph::{Param, Tensor};
use thalweg_nn::{Linear, Losses};

use super::{
    attrs::Attrs,
    compare::variant_name,
    holds::{Holds, need},
    outcome::{Outcome, Run, Stop},
    rule::optimizer,
};

/// The parameters by the index's names.
const PARAMS: [&str; 4] = ["w1", "b1", "w2", "b2"];
/// The steps after which the index has them.
const LOOKS: [usize; 3] = [1, 10, 20];

/// Runs a case.
pub fn run(run: &Run, case: &Value) -> Result<Outcome, Stop> {
    let name = case["name"].as_str().context("a case without name")?;
    let attrs = Attrs::new(&case["attrs"]);
    let load = |tensor: &str| Ok::<_, Stop>(run.store.get(&format!("common/{tensor}"))?.upload(run.device, run.dtype));
    let params = PARAMS.iter().map(|p| Ok(Param::new(load(p)?)?)).collect::<Result<Vec<_>, Stop>>()?;
    let (x, y) = (load("x")?, load("y")?);
    let loss = || loss(&params, &x, &y, case["l2"].as_f64().unwrap_or(0.0));
    let rule = case["op"].as_str().unwrap_or_default();
    if rule == "LBFGS" {
        // It goes by differences of gradients, and rounding grows along it beyond what the index allows.
        return Err(Stop::Unsupported("L-BFGS on a perceptron".into()));
    }
    let mut opt = optimizer(rule, &attrs, &params)?;
    if let Some(norm) = case["clip_grad_norm"].as_f64() {
        opt = opt.clip_norm(norm);
    }
    if let Some(unread) = attrs.unread() {
        return Err(Stop::Unsupported(format!("attribute {unread}")));
    }
    let tol = |what: &str| need(&case["tol"], what, variant_name(run.dtype));
    let (mut holds, mut losses) = (Holds::default(), Vec::new());
    for t in 1..=case["steps"].as_u64().context("a case without steps")? as usize {
        losses.push(opt.step_closure(loss)?.item()?);
        let Some(look) = LOOKS.iter().position(|at| *at == t) else { continue };
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
