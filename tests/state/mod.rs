//! The rules of docs/semantics.md as programs: each is one that went wrong once, or its sibling.

mod accumulate;
mod aliases;
mod clip;
mod compiled;
mod constants;
mod forks;
mod frozen;
mod gradients;
mod groups;
mod held;
mod in_place;
mod looks;
mod modes;
mod outside;
mod overlays;
mod pending;
mod resumed;
mod schedules;
mod shared;
mod sixteen_bits;
mod skipped;
mod threads;
mod twice;

use std::panic::Location;

use thalweg::{
    module::snapshot::{Snapshot, Stateful},
    prelude::*,
};
use thalweg_tests::{cpu, strict, test_gpu};

/// The executors.
fn devices() -> [Device; 3] {
    [strict(), cpu(), test_gpu!()]
}

fn vector(device: &Device, values: &[f32]) -> Tensor {
    Tensor::from_slice(device, values, [values.len()])
}

fn param(device: &Device, values: &[f32]) -> Result<Param> {
    Param::new(vector(device, values))
}

fn state(device: &Device, values: &[f32]) -> Result<State> {
    State::new(vector(device, values))
}

fn sgd(lr: f64) -> Sgd {
    Sgd { lr, ..Sgd::default() }
}

/// The rules for parameters of any shape: Muon is for matrices.
fn rules_of_any_shape() -> impl Iterator<Item = &'static str> {
    thalweg::optim::RULES.iter().copied().filter(|rule| *rule != "Muon")
}

/// θ ← θ - η for every element.
#[track_caller]
fn down(opt: &Optimizer, params: &[&Param]) -> Result<()> {
    opt.step(&sum(params))
}

/// A loss whose gradient is 1 everywhere.
#[track_caller]
fn sum(params: &[&Param]) -> Tensor {
    let mut total = params[0].tensor().sum(..);
    for p in &params[1..] {
        total += p.tensor().sum(..);
    }
    total
}

/// A parameter and a state.
#[derive(Clone, Module)]
struct Pair {
    p: Param,
    s: State,
}

impl Pair {
    fn new(device: &Device, p: &[f32], s: &[f32]) -> Result<Pair> {
        let pair = Pair { p: param(device, p)?, s: state(device, s)? };
        // Which tells both their names.
        pair.count();
        Ok(pair)
    }
}

/// Fails unless a tensor holds these numbers, to f32's digits.
#[track_caller]
fn assert_values(tensor: &Tensor, want: &[f64]) {
    let got = tensor.to_vec::<f64>().unwrap_or_else(|error| panic!("{}: {error}", tensor.device()));
    let near = |(g, w): (&f64, &f64)| g == w || (g - w).abs() <= 2e-6 * w.abs().max(1e-3);
    assert!(got.len() == want.len() && got.iter().zip(want).all(near), "{}: {got:?}, not {want:?}", tensor.device());
}

/// Fails unless two tensors hold the same bits.
#[track_caller]
fn assert_same(got: &Tensor, want: &Tensor, what: &str) {
    let bits = |t: &Tensor| t.to_vec::<f64>().unwrap_or_else(|error| panic!("{what} on {}: {error}", t.device()));
    let (got, want) = (bits(got), bits(want));
    let differ = got.iter().zip(&want).filter(|(g, w)| g.to_bits() != w.to_bits()).count();
    assert!(got.len() == want.len() && differ == 0, "{what}: {differ} of {} elements differ", want.len());
}

/// Fails unless this is an error of this line of the caller's file that says all of the parts.
#[track_caller]
fn refuses<T>(result: Result<T>, line: u32, parts: &[&str]) {
    let text = result.err().expect("an error").to_string();
    let place = format!("{}:{line}:", Location::caller().file());
    for part in parts.iter().chain([&place.as_str()]) {
        assert!(text.contains(part), "'{text}' does not say '{part}'");
    }
}

/// Two layers.
#[derive(Clone, Module)]
struct Net {
    body: Linear,
    head: Linear,
}

impl Net {
    fn new(device: &Device) -> Result<Net> {
        let rng = &mut Rng::seed(7);
        Ok(Net { body: Linear::new(3, 4).init(device, rng)?, head: Linear::new(4, 2).init(device, rng)? })
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        self.head.forward(&self.body.forward(x).tanh())
    }

    fn loss(&self, x: &Tensor) -> Tensor {
        self.forward(x).square().mean(..)
    }
}

/// A batch of six rows for [`Net`].
fn rows(device: &Device, seed: u64) -> Tensor {
    let mut rng = Rng::seed(seed);
    let values: Vec<f32> = (0..18).map(|_| rng.normal() as f32).collect();
    Tensor::from_slice(device, &values, [6, 3])
}

/// All that a model, an optimizer and the like hold, to the bit.
fn snapshot(parts: &[&dyn Stateful]) -> Result<Snapshot> {
    let mut all = Snapshot::new();
    for (i, part) in parts.iter().enumerate() {
        let mut own = Snapshot::new();
        part.save(&mut own)?;
        all.add(&i.to_string(), own);
    }
    Ok(all)
}

/// What differs between two snapshots.
fn changed(before: &Snapshot, after: &Snapshot) -> Vec<String> {
    let (before, after) = (shown(before), shown(after));
    let differs = |(name, value): &(&str, &thalweg::module::snapshot::Value)| after.get(name) != Some(value);
    before.iter().filter(differs).map(|(name, _)| name.to_string()).collect()
}

/// With the values that states show: one that was set and is not written yet stands beside the one in memory.
fn shown(snapshot: &Snapshot) -> Snapshot {
    let mut shown = snapshot.clone();
    for (name, value) in snapshot.iter().filter(|(name, _)| name.contains("#set.")) {
        shown.remove(name);
        shown.insert(name.replace("#set.", ""), value.clone());
    }
    shown
}

fn load(from: &Snapshot, parts: &[&dyn Stateful]) -> Result<()> {
    parts.iter().enumerate().try_for_each(|(i, part)| part.load(&from.part(&i.to_string())))
}
