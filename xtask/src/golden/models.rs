//! The models whose training the index describes by formula, built of this framework's layers.

use anyhow::Context;
use serde_json::Value;
use thalweg_derive::Module;
use thalweg_graph::{DType, Device, Param, Pool, Rng, State, Tensor};
use thalweg_nn::{BatchNorm2d, Conv2d, Linear, Losses};

use super::outcome::{Run, Stop};

/// A model and the names that the index has for its parts.
pub trait Model: thalweg_graph::Module {
    /// Logits of a batch.
    fn forward(&self, x: &Tensor) -> Tensor;
    /// What is made small.
    fn loss(&self, x: &Tensor, y: &Tensor) -> Tensor {
        self.forward(x).cross_entropy(y)
    }
    /// Parameters by the index's names.
    fn named(&self) -> Vec<(String, Param)>;
    /// Running statistics by the index's names.
    fn buffers(&self) -> Vec<(&'static str, State)> {
        Vec::new()
    }
}

/// `relu(x w1ᵀ + b1) w2ᵀ + b2`.
#[derive(Module)]
pub struct Mlp {
    first: Linear,
    second: Linear,
}

impl Mlp {
    pub fn new(run: &Run) -> Result<Mlp, Stop> {
        let linear = |w: &str, b: &str| -> Result<Linear, Stop> {
            Ok(Linear { weight: param(run, w)?, bias: Some(param(run, b)?) })
        };
        Ok(Mlp { first: linear("w1", "b1")?, second: linear("w2", "b2")? })
    }
}

impl Model for Mlp {
    fn forward(&self, x: &Tensor) -> Tensor {
        self.second.forward(&self.first.forward(x).relu())
    }

    fn named(&self) -> Vec<(String, Param)> {
        let bias = |l: &Linear| l.bias.clone();
        let all = [
            ("w1", Some(self.first.weight.clone())),
            ("b1", bias(&self.first)),
            ("w2", Some(self.second.weight.clone())),
            ("b2", bias(&self.second)),
        ];
        all.into_iter().filter_map(|(n, p)| Some((n.into(), p?))).collect()
    }
}

/// conv 3×3, batch norm, relu, max pool 2, conv 3×3, relu, mean pool 2, linear.
#[derive(Module)]
pub struct Cnn {
    conv1: Conv2d,
    norm: BatchNorm2d,
    conv2: Conv2d,
    fc: Linear,
}

impl Cnn {
    pub fn new(run: &Run) -> Result<Cnn, Stop> {
        let conv = |w: &str, b: &str| -> Result<Conv2d, Stop> {
            let shape = &run.store.get(&format!("common/{w}"))?.shape;
            let [outputs, inputs, ..] = shape[..] else { return Err(Stop::wrong("a filter with fewer than two axes")) };
            let mut conv = Conv2d::new(inputs, outputs, 3).padding(1).init(run.device, &mut Rng::seed(0))?;
            conv.weight = param(run, w)?;
            conv.bias = Some(param(run, b)?);
            Ok(conv)
        };
        let channels = run.store.get("common/bn_w")?.values.len();
        let mut norm = BatchNorm2d::new(channels).init(run.device, &mut Rng::seed(0))?;
        norm.weight = Some(param(run, "bn_w")?);
        norm.bias = Some(param(run, "bn_b")?);
        norm.running_mean = Some(State::new(common(run, "bn_running_mean")?)?);
        norm.running_var = Some(State::new(common(run, "bn_running_var")?)?);
        let fc = Linear { weight: param(run, "fc_w")?, bias: Some(param(run, "fc_b")?) };
        Ok(Cnn { conv1: conv("conv1_w", "conv1_b")?, norm, conv2: conv("conv2_w", "conv2_b")?, fc })
    }
}

impl Model for Cnn {
    fn forward(&self, x: &Tensor) -> Tensor {
        let x = self.norm.forward(&self.conv1.forward(x)).relu().max_pool2d(2);
        let x = self.conv2.forward(&x).relu().avg_pool(&Pool::new(&[2, 2]));
        self.fc.forward(&x.flatten(1..))
    }

    fn named(&self) -> Vec<(String, Param)> {
        let all = [
            ("conv1_w", Some(self.conv1.weight.clone())),
            ("conv1_b", self.conv1.bias.clone()),
            ("bn_w", self.norm.weight.clone()),
            ("bn_b", self.norm.bias.clone()),
            ("conv2_w", Some(self.conv2.weight.clone())),
            ("conv2_b", self.conv2.bias.clone()),
            ("fc_w", Some(self.fc.weight.clone())),
            ("fc_b", self.fc.bias.clone()),
        ];
        all.into_iter().filter_map(|(n, p)| Some((n.into(), p?))).collect()
    }

    fn buffers(&self) -> Vec<(&'static str, State)> {
        let all = [("bn_running_mean", &self.norm.running_mean), ("bn_running_var", &self.norm.running_var)];
        all.into_iter().filter_map(|(name, state)| Some((name, state.clone()?))).collect()
    }
}

/// The start value of a part.
pub fn common(run: &Run, name: &str) -> Result<Tensor, Stop> {
    Ok(run.store.get(&format!("common/{name}"))?.upload(run.device, run.dtype))
}

fn param(run: &Run, name: &str) -> Result<Param, Stop> {
    Ok(Param::new(common(run, name)?)?)
}

/// The data of a family, on the host.
pub struct Data<'a> {
    run: &'a Run<'a>,
    steps: usize,
}

impl<'a> Data<'a> {
    pub fn new(run: &'a Run<'a>, case: &Value) -> Result<Data<'a>, Stop> {
        let steps = case["steps"].as_u64().context("a case without steps")? as usize;
        Ok(Data { run, steps })
    }

    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Inputs and targets of a step: rows of the data, or of every sequence all but the last and all but the first.
    pub fn step(&self, step: usize) -> Result<(Tensor, Tensor), Stop> {
        let (device, dtype) = (self.run.device, self.run.dtype);
        let Some(tokens) = self.run.store.find("common/tokens") else {
            return self.rows(device, dtype, &self.batch(step)?);
        };
        let ids = tokens.row(step).upload(device, dtype);
        let context = ids.dim(1)?.saturating_sub(1);
        Ok((ids.narrow(1, 0, context), ids.narrow(1, 1, context)))
    }

    /// Inputs and targets of these rows.
    pub fn rows(&self, device: &Device, dtype: DType, rows: &[usize]) -> Result<(Tensor, Tensor), Stop> {
        let (x, y) = (self.run.store.get("common/x")?, self.run.store.get("common/y")?);
        Ok((x.rows(rows).upload(device, dtype), y.rows(rows).upload(device, dtype)))
    }

    /// The rows of a step's batch.
    pub fn batch(&self, step: usize) -> Result<Vec<usize>, Stop> {
        Ok(self.run.store.get("common/batch")?.row(step).values.iter().map(|r| *r as usize).collect())
    }

    /// Every row.
    pub fn all(&self) -> Result<Vec<usize>, Stop> {
        Ok((0..self.run.store.get("common/y")?.values.len()).collect())
    }
}
