//! The models of sequences whose training the index describes by formula.

use anyhow::Context;
use serde_json::Value;
use thalweg_derive::Module;
use thalweg_graph::{Module, Param, Rng, Tensor};
use thalweg_nn::{LearnedPosition, Linear, Losses, Lstm, TransformerEncoder, TransformerEncoderLayer};

use super::{
    models::{Model, common},
    outcome::{Run, Stop},
};

/// A number that the index gives with the model.
fn size(family: &Value, name: &str) -> Result<usize, Stop> {
    Ok(family["common"][name].as_u64().with_context(|| format!("a family without {name}"))? as usize)
}

/// A model with the start values that the index has.
fn started<M: Module>(run: &Run, net: M, called: fn(&str) -> String) -> Result<M, Stop> {
    let net = net.cast(run.dtype)?;
    for (name, param) in net.params() {
        param.set(&common(run, &called(&name))?)?;
    }
    Ok(net)
}

fn named(net: &dyn Module, called: fn(&str) -> String) -> Vec<(String, Param)> {
    net.params().into_iter().map(|(name, param)| (called(&name), param)).collect()
}

/// The last state of an LSTM, and a linear map.
#[derive(Module)]
pub struct Forecaster {
    lstm: Lstm,
    fc: Linear,
}

impl Forecaster {
    pub fn new(run: &Run, family: &Value) -> Result<Forecaster, Stop> {
        let (hidden, rng) = (size(family, "hidden")?, &mut Rng::seed(0));
        let inputs = *run.store.get("common/x")?.shape.last().context("data without axes")?;
        let lstm = Lstm::new(inputs, hidden).layers(size(family, "layers")?).batch_first(true).init(run.device, rng)?;
        started(run, Forecaster { lstm, fc: Linear::new(hidden, 1).init(run.device, rng)? }, Forecaster::called)
    }

    fn called(name: &str) -> String {
        name.replace("lstm.", "").replace("fc.weight", "fc_w").replace("fc.bias", "fc_b")
    }
}

impl Model for Forecaster {
    fn forward(&self, x: &Tensor) -> Tensor {
        let (_, state) = self.lstm.forward(x, None);
        self.fc.forward(&state.h.select(0, -1))
    }

    fn loss(&self, x: &Tensor, y: &Tensor) -> Tensor {
        self.forward(x).mse_loss(y)
    }

    fn named(&self) -> Vec<(String, Param)> {
        named(self, Forecaster::called)
    }
}

/// A Transformer that foretells the next character.
#[derive(Module)]
pub struct CharLm {
    tok: Param,
    pos: LearnedPosition,
    blocks: TransformerEncoder,
    head: Linear,
}

impl CharLm {
    pub fn new(run: &Run, family: &Value) -> Result<CharLm, Stop> {
        let [vocabulary, width, heads, context, layers] =
            ["vocabulary", "width", "heads", "context", "layers"].map(|name| size(family, name));
        let (vocabulary, width, rng) = (vocabulary?, width?, &mut Rng::seed(0));
        let inner = run.store.get("common/l0_fc_b")?.values.len();
        let block = TransformerEncoderLayer::new(width, heads?)
            .feedforward(inner)
            .activation(Tensor::gelu_tanh)
            .norm_first(true)
            .causal(true)
            .dropout(0.0);
        let net = CharLm {
            tok: Param::new(Tensor::zeros(run.device, [vocabulary, width]))?,
            pos: LearnedPosition::new(context?, width).init(run.device, rng)?,
            blocks: TransformerEncoder::new(block, layers?).norm(true).init(run.device, rng)?,
            head: Linear::new(width, vocabulary).bias(false).init(run.device, rng)?,
        };
        started(run, net, CharLm::called)
    }

    /// `blocks.layers.0.norm1.weight` is `l0_ln1_w`.
    fn called(name: &str) -> String {
        const PARTS: &[(&str, &str)] = &[
            ("blocks.layers.", "l"),
            ("blocks.norm", "lnf"),
            ("self_attn.in_proj_", "qkv."),
            ("self_attn.out_proj", "out"),
            ("linear1", "fc"),
            ("linear2", "proj"),
            ("norm", "ln"),
            ("pos.weight", "pos"),
            ("weight", "w"),
            ("bias", "b"),
            (".", "_"),
        ];
        PARTS.iter().fold(name.to_string(), |name, (ours, theirs)| name.replace(ours, theirs))
    }
}

impl Model for CharLm {
    fn forward(&self, ids: &Tensor) -> Tensor {
        let x = self.pos.forward(&self.tok.tensor().embedding(ids), 0);
        self.head.forward(&self.blocks.forward(&x, None))
    }

    fn loss(&self, ids: &Tensor, next: &Tensor) -> Tensor {
        self.forward(ids).flatten(..-1).cross_entropy(&next.flatten(..))
    }

    fn named(&self) -> Vec<(String, Param)> {
        named(self, CharLm::called)
    }
}
