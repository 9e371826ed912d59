//! A model that is trained as a case says.

use anyhow::Context;
use serde_json::Value;
use thalweg_graph::{Tensor, module::discarding};
use thalweg_nn::{CrossEntropy, Reduction};
use thalweg_optim::{Optimizer, Select};

use super::{
    attrs::Attrs,
    models::{Data, Model},
    outcome::{Run, Stop},
    rule::{optimizer, rule},
};

/// Model, optimizer and data of a curve.
pub struct Training<'a, M> {
    pub net: M,
    run: &'a Run<'a>,
    opt: Optimizer,
    data: Data<'a>,
    /// The rate of each step, where the case lists them.
    rates: Option<Vec<f64>>,
    /// Parts that a batch is taken in.
    micro: usize,
}

impl<'a, M: Model> Training<'a, M> {
    /// Everything before the first step.
    pub fn new(run: &'a Run<'a>, case: &Value, net: M) -> Result<Training<'a, M>, Stop> {
        let mut settings = case["attrs"].clone();
        let rates: Option<Vec<f64>> = case["lr"].as_array().map(|all| all.iter().filter_map(Value::as_f64).collect());
        if let Some(first) = rates.as_ref().and_then(|rates| rates.first()) {
            settings["lr"] = (*first).into();
        }
        let attrs = Attrs::new(&settings);
        let micro = attrs.sizes("micro_batches")?.and_then(|m| m.first().copied()).unwrap_or(1);
        let mut opt = optimizer(&attrs.word("optimizer", "")?, &attrs, &net)?;
        match attrs.word("weight_decay_on", "all")?.as_str() {
            "all" => {}
            "tensors of two or more axes" => {
                settings["weight_decay"] = 0.0.into();
                let rule = rule(&attrs.word("optimizer", "")?, &Attrs::new(&settings))?;
                opt = opt.group(Select::by(|_, param| param.shape().len() < 2), rule)?;
            }
            other => return Err(Stop::Unsupported(format!("attribute weight_decay_on = {other}"))),
        }
        if rates.is_some() {
            // The words describe the list.
            attrs.get("schedule");
        }
        if let Some(unread) = attrs.unread() {
            return Err(Stop::Unsupported(format!("attribute {unread}")));
        }
        if let Some(norm) = case["clip_grad_norm"].as_f64() {
            opt = opt.clip_norm(norm);
        }
        Ok(Training { net, run, opt, data: Data::new(run, case)?, rates, micro })
    }

    /// How many steps there are.
    pub fn steps(&self) -> usize {
        self.data.steps()
    }

    /// Logits and targets of all data, in evaluation mode.
    pub fn evaluate(&self) -> Result<(Tensor, Tensor), Stop> {
        self.net.eval();
        let (x, y) = self.data.rows(self.run.device, self.run.dtype, &self.data.all()?)?;
        Ok((self.net.forward(&x), y))
    }

    /// The gradients of a batch at the weights as they are, by the parameters' names.
    pub fn gradients(&self, step: usize) -> Result<Vec<(String, Vec<f64>)>, Stop> {
        // Looking at a batch is no step: running statistics stay as they are.
        let loss = discarding(|| self.loss(step))?;
        let grads = loss.backward()?;
        let one = |(name, p): (String, thalweg_graph::Param)| {
            let grad = grads.get(&p.tensor()).with_context(|| format!("no gradient of {name}"))?.to_vec::<f64>()?;
            Ok((name, grad))
        };
        self.net.named().into_iter().map(one).collect()
    }

    /// Takes a step; its loss, and the norm of its gradients if it is asked for.
    pub fn step(&mut self, step: usize, norms: bool) -> Result<(f64, Option<f64>), Stop> {
        let loss = self.loss(step)?;
        // Not by a schedule on the device, which has rates in f32.
        if let Some(rate) = self.rates.as_ref().and_then(|rates| rates.get(step)) {
            self.opt.set_lr(*rate)?;
        }
        self.opt.step(&loss)?;
        let norm = if norms { Some(self.opt.report()?.grad_norm) } else { None };
        Ok((loss.item()?, norm))
    }

    /// The loss of a batch; in micro batches the sum of their sums of cross-entropy over the batch's size.
    fn loss(&self, step: usize) -> Result<Tensor, Stop> {
        let (net, data, device, dtype) = (&self.net, &self.data, self.run.device, self.run.dtype);
        if self.micro <= 1 {
            let (x, y) = data.step(step)?;
            return Ok(net.loss(&x, &y));
        }
        let rows = data.batch(step)?;
        let whole = rows.len();
        let sum = CrossEntropy { reduction: Reduction::Sum, ..CrossEntropy::default() };
        let mut total = Tensor::scalar(device, 0.0, dtype);
        for part in rows.chunks(whole.div_ceil(self.micro)) {
            let (x, y) = data.rows(device, dtype, part)?;
            total += sum.loss(&net.forward(&x), &y) * (1.0 / whole as f64);
        }
        Ok(total)
    }
}
