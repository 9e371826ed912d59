//! Whether the devices agree on a program. The module above says what that means.

use std::sync::Arc;

use thalweg_graph::{DType, Device};

use crate::strict;

use super::{
    caught::caught,
    disturbed::{Disturbed, unit},
    program::Program,
    script::{Reading, Script, World},
};

/// An executor that is held to the strict one.
#[derive(Clone)]
pub struct Contender {
    /// What messages call it.
    pub name: String,
    /// Where it runs.
    pub device: Device,
}

impl Contender {
    /// A device that fuses, and the same op by op.
    pub fn both(name: &str, device: &Device) -> Vec<Contender> {
        vec![
            Contender { name: name.to_string(), device: device.clone() },
            Contender { name: format!("{name}, op by op"), device: device.op_by_op() },
        ]
    }
}

/// A disagreement.
#[derive(Clone, Debug)]
pub struct Failure {
    /// On whose side.
    pub contender: String,
    /// Which numbers, or what it said.
    pub what: String,
}

/// Runs that are off on purpose: those that every program gets.
const FEW: u64 = 3;
/// And those before a disagreement is one.
const MANY: u64 = 32;

/// The first disagreement of the executors on a program.
pub fn check(program: &Program, contenders: &[Contender]) -> Result<(), Failure> {
    let fail = |contender: &str, what: String| Failure { contender: contender.into(), what };
    let device = strict();
    let script = Script::settle(program);
    if let Some(trouble) = &script.trouble {
        return Err(fail("strict", trouble.clone()));
    }
    let reference = |device: &Device| {
        caught(|| script.run(&World { device, float: DType::F64 })).map_err(|e| fail("strict in f64", e))
    };
    let want = reference(&device)?;
    // Every node rounded to f32 is one way to be off.
    let rounded = caught(|| script.run(&World { device: &device, float: DType::F32 }));
    let mut off: Vec<Vec<Reading>> = vec![rounded.map_err(|e| fail("strict in f32", e))?];
    for contender in contenders {
        let world = World { device: &contender.device, float: DType::F32 };
        let got = caught(|| script.run(&world)).map_err(|what| fail(&contender.name, what))?;
        for runs in [FEW, MANY] {
            while off.len() < runs as usize {
                let run = off.len() as u64;
                let executor = Disturbed::new(
                    program.seed.wrapping_mul(MANY).wrapping_add(run),
                    run > FEW && run.is_multiple_of(2),
                    contender.device.compute_dtype(),
                );
                off.push(reference(&Device::new(Arc::new(executor)))?);
            }
            match compare(&got, &want, &off, script.has_half) {
                Some(what) if runs == MANY => return Err(fail(&contender.name, what)),
                Some(_) => {}
                None => break,
            }
        }
    }
    Ok(())
}

/// The first element that is further off than disturbances explain.
fn compare(got: &[Reading], want: &[Reading], off: &[Vec<Reading>], has_half: bool) -> Option<String> {
    if got.len() != want.len() {
        let names = |of: &[Reading]| of.iter().map(|r| r.name.clone()).collect::<Vec<_>>().join(", ");
        return Some(format!("there is {}, not {}", names(got), names(want)));
    }
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        if got.values.len() != want.values.len() || got.name != want.name {
            return Some(format!("{}: {} elements, not {}", got.name, got.values.len(), want.values.len()));
        }
        for (at, (g, w)) in got.values.iter().zip(&want.values).enumerate() {
            let others = || off.iter().filter_map(|run| run.get(i)?.values.get(at)).copied();
            let allowed = if w.is_finite() && g.is_finite() {
                let spread =
                    others().map(|o| (o - w).abs()).fold(0.0, |m, d| if d.is_nan() { f64::INFINITY } else { d.max(m) });
                match got.dtype.is_float() {
                    // The smallest numbers of a dtype may be flushed to 0.
                    true => 2.0 * spread + 4.0 * unit(got.dtype) * w.abs() + if has_half { 4e-6 } else { 1e-36 },
                    false if spread > 0.0 => f64::INFINITY,
                    false => 0.0,
                }
            } else {
                let alike = |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan()) || (a.is_finite() && b.is_finite());
                if alike(*g, *w) || others().any(|o| !alike(o, *w)) { f64::INFINITY } else { -1.0 }
            };
            let may_be_chosen = || got.name.starts_with("gradient") && others().chain([*w]).any(is_nothing);
            let allowed = match (g - w).abs() > allowed && may_be_chosen() {
                true => allowed.max(2.0 * largest_if_chosen(i, want, off)),
                false => allowed,
            };
            if allowed < f64::INFINITY && (g - w).abs() > allowed || allowed < 0.0 {
                return Some(format!("{}, element {at}: {g:e}, not {w:e} (allowed {allowed:e})", got.name));
            }
        }
    }
    None
}

fn is_nothing(x: f64) -> bool {
    x.abs() < 1e-36
}

/// The largest element of a gradient in any run, if some element is nothing in one and something in another: there a choice among
/// ties falls differently, and each run shows one of more ways than there are runs. What is something in all is part of every way.
fn largest_if_chosen(i: usize, want: &Reading, off: &[Vec<Reading>]) -> f64 {
    let runs = || off.iter().filter_map(|run| run.get(i)).chain([want]);
    let element = |at: usize| runs().filter_map(move |run| run.values.get(at).copied());
    let falls = |at: usize| element(at).any(is_nothing) && !element(at).all(is_nothing);
    match (0..want.values.len()).any(falls) {
        true => runs().flat_map(|run| &run.values).fold(0.0, |m, x| x.abs().max(m)),
        false => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(name: &str, values: &[f64]) -> Vec<Reading> {
        vec![Reading { name: name.into(), dtype: DType::F32, values: values.to_vec() }]
    }

    /// A choice among the last three, of which no run is seen to make the last.
    #[test]
    fn what_no_run_chooses_may_be_chosen() {
        let differs = |name: &str, got: [f64; 4], other: [f64; 4]| {
            let want = [1.0, 0.5, 0.0, 0.0];
            compare(&run(name, &got), &run(name, &want), &[run(name, &want), run(name, &other)], false).is_some()
        };
        let (third, last) = ([1.0, 0.0, 0.25, 0.0], [1.0, 0.0, 0.0, 0.75]);
        assert!(!differs("gradient of t0", last, third));
        // What all runs agree on is so, and what is too large for any of them; where none differs there is no choice.
        assert!(differs("gradient of t0", [1.1, 0.0, 0.0, 0.75], third));
        assert!(differs("gradient of t0", [1.0, 0.0, 0.0, 3.0], third));
        assert!(differs("gradient of t0", last, [1.0, 0.5, 0.0, 0.0]));
        assert!(differs("t1", last, third));
    }
}
