//! Absurd arguments: every public method on tensors that takes shapes, axes, positions, sizes or settings gets such as no
//! program should give it. It may answer with a tensor or with an error; it may not panic, hang or ask for absurd memory.

mod calls;
mod draws;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use draws::Draws;
use thalweg_graph::{Device, Tensor};
use thalweg_tests::{cpu, strict};

/// How often each method is called.
const ROUNDS: u64 = 40;

/// Results of more elements are not evaluated.
const SMALL: usize = 100_000;

/// No call of such operands takes as long.
const LONG: Duration = Duration::from_secs(20);

/// What a call gives.
trait Results {
    fn tensors(self) -> Vec<Tensor>;
}

impl Results for Tensor {
    fn tensors(self) -> Vec<Tensor> {
        vec![self]
    }
}
impl Results for (Tensor, Tensor) {
    fn tensors(self) -> Vec<Tensor> {
        vec![self.0, self.1]
    }
}
impl Results for Vec<Tensor> {
    fn tensors(self) -> Vec<Tensor> {
        self
    }
}
impl<R: Results> Results for thalweg_graph::Result<R> {
    fn tensors(self) -> Vec<Tensor> {
        match self {
            Ok(results) => results.tensors(),
            Err(error) => {
                said(&error.to_string());
                Vec::new()
            }
        }
    }
}

/// A method's name, and a call of it with whatever is drawn.
type Call = (&'static str, fn(&mut Draws) -> Vec<Tensor>);

/// An error names the op and a place outside the libraries.
fn said(text: &str) {
    let place = text.rsplit("(at ").next().unwrap_or_default();
    assert!(text.contains("(at ") && !place.contains("crates/"), "an error without the caller's place: {text}");
}

/// Evaluates what a call gave, if that is little; an error is an answer.
fn answer(results: &[Tensor], evaluate: bool) {
    for result in results {
        match result.check() {
            Err(error) => said(&error.to_string()),
            Ok(()) if evaluate && result.count() <= SMALL => drop(result.to_vec::<f64>()),
            Ok(()) => {}
        }
    }
}

/// What is wrong with a call, if anything.
fn hold(device: &Device, (name, call): &Call, round: u64, seed: u64) -> Option<String> {
    let (mut draws, start) = (Draws::new(device, seed), Instant::now());
    let caught = catch_unwind(AssertUnwindSafe(|| answer(&call(&mut draws), !draws.huge)));
    let text = || format!("{name}({}), round {round}", draws.said.join(", "));
    match caught {
        Err(_) => Some(format!("{} panicked", text())),
        Ok(()) => (start.elapsed() > LONG).then(|| format!("{} took {:?}", text(), start.elapsed())),
    }
}

/// Each method until it fails.
fn on(device: &Device) {
    let calls = [calls::MOVEMENT, calls::NUMBERS, calls::POSITIONS, calls::WINDOWS].concat();
    let rounds = |(i, call): (usize, &Call)| (0..ROUNDS).find_map(|r| hold(device, call, r, r * 1000 + i as u64));
    let failed: Vec<String> = calls.iter().enumerate().filter_map(rounds).collect();
    assert!(failed.is_empty(), "on {device}:\n{}", failed.join("\n"));
}

#[test]
fn the_strict_executor_survives() {
    on(&strict());
}

#[test]
fn the_fast_executor_survives() {
    on(&cpu());
}
