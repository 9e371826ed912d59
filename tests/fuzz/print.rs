//! A program as a test that can be pasted.

use std::fmt::Write;

use thalweg_graph::{DType, Device, Tensor};

use crate::strict;

use super::{
    caught::caught,
    check::Failure,
    draws::{Draws, tensor},
    program::Program,
    script::{Node, Script, Step, weights},
};

/// The program as a Rust test against the strict executor, in the terms of the public interface.
pub fn print(program: &Program, failure: &Failure) -> String {
    let device = strict();
    let script = Script::settle(program);
    let (mut text, mut tracked, mut tensors) = (String::new(), Vec::new(), Vec::<Tensor>::new());
    let (seed, Failure { contender, what }) = (program.seed, failure);
    let _ = writeln!(text, "/// Fuzz seed {seed}; {contender}: {what}");
    let _ = writeln!(text, "#[test]\nfn fuzz_{seed}() {{");
    let _ = writeln!(text, "    let run = |device: &Device| -> Result<Vec<Vec<f64>>> {{");
    for (at, node) in script.nodes.iter().enumerate() {
        match node {
            Node::Leaf(leaf) => {
                let state = script.habits.writes.iter().any(|(state, _)| *state == at);
                let x = leaf.tensor(&device, DType::F32, script.habits.gradient && !state);
                if x.is_tracked() {
                    tracked.push(format!("t{at}"));
                }
                let track = if x.is_tracked() { ".track()" } else { "" };
                let _ = match state {
                    true => {
                        writeln!(
                            text,
                            "        let s{at} = State::new({})?;\n        let t{at} = s{at}.tensor();",
                            leaf.code()
                        )
                    }
                    false => writeln!(text, "        let t{at} = {}{track};", leaf.code()),
                };
                tensors.push(x);
            }
            Node::Step(step) => {
                let y = self::step(&mut text, at, step, &script, &tensors, program.limit, &mut tracked, &device);
                tensors.push(y);
            }
        }
        if script.habits.peek == Some(at) {
            let _ = writeln!(text, "        t{at}.eval()?;");
        }
    }
    readings(&mut text, &script, &tensors, &tracked);
    let _ = writeln!(text, "    }};");
    let _ = writeln!(text, "    let (want, got) = (run(&strict()).unwrap(), run(&{}).unwrap());", named(contender));
    let _ = writeln!(text, "    for (want, got) in want.iter().flatten().zip(got.iter().flatten()) {{");
    let _ =
        writeln!(text, "        assert!((want - got).abs() <= 1e-4 * want.abs().max(1.0), \"{{got}}, not {{want}}\");");
    let _ = writeln!(text, "    }}\n}}");
    text
}

/// One step, and what it is.
fn step(
    text: &mut String,
    at: usize,
    step: &Step,
    script: &Script,
    tensors: &[Tensor],
    limit: usize,
    tracked: &mut Vec<String>,
    device: &Device,
) -> Tensor {
    let mut draws = Draws::new(device, DType::F32, script.habits.gradient, limit, step.instruction.seed, true);
    let of: Vec<&Tensor> = step.operands.iter().map(|i| &tensors[*i]).collect();
    // What panics has drawn its attributes by then.
    let y = caught(|| Ok((step.row.apply)(&mut draws, &of))).ok().flatten().unwrap_or_else(|| of[0].clone());
    let (mut names, mut values): (Vec<String>, Vec<String>) = Default::default();
    for (name, i) in step.row.operands.iter().zip(&step.operands) {
        names.push(name.to_string());
        values.push(format!("&t{i}"));
    }
    for (name, code) in draws.notes {
        let leaf = draws.leaves.iter().find(|(leaf, _)| *leaf == name);
        names.push(name.to_string());
        match leaf {
            Some((_, leaf)) => {
                let _ = writeln!(text, "        let t{at}_{name} = {code};");
                values.push(format!("t{at}_{name}.clone()"));
                if leaf.is_tracked() {
                    tracked.push(format!("t{at}_{name}"));
                }
            }
            None => values.push(code),
        }
    }
    let scale = step.scale.map_or(String::new(), |s| format!(" * {s:?}"));
    // A printed test has no function to leave early.
    let call = step.row.text.replace(".ok()?", ".unwrap()").trim_end_matches('?').to_string();
    let call = if step.row.text.ends_with('?') { format!("{call}.unwrap()") } else { call };
    let _ = writeln!(
        text,
        "        let t{at} = {{ let ({},) = ({},); {call} }}{scale}; // {:?}",
        names.join(", "),
        values.join(", "),
        y.shape()
    );
    match step.scale {
        Some(scale) => y * scale,
        None => y,
    }
}

/// What is read, and in what order.
fn readings(text: &mut String, script: &Script, tensors: &[Tensor], tracked: &[String]) {
    let habits = &script.habits;
    let outputs: Vec<String> = habits.outputs.iter().map(|i| format!("t{i}")).collect();
    let writes: Vec<String> =
        habits.writes.iter().map(|(leaf, y)| format!("(s{leaf}.clone(), t{y}.clone())")).collect();
    if !writes.is_empty() {
        let _ = writeln!(text, "        let writes = vec![{}];", writes.join(", "));
    }
    if !habits.hold {
        let dropped: Vec<String> = (0..tensors.len())
            .map(|i| format!("t{i}"))
            .filter(|t| !outputs.contains(t) && !tracked.contains(t))
            .collect();
        let _ = writeln!(text, "        drop(({}));", dropped.iter().map(|t| format!("{t}, ")).collect::<String>());
    }
    if habits.read_first {
        outputs.iter().for_each(|y| {
            let _ = writeln!(text, "        {y}.eval()?;");
        });
    }
    let _ = writeln!(
        text,
        "        let mut wanted = vec![{}];",
        outputs.iter().map(|y| format!("{y}.clone()")).collect::<Vec<_>>().join(", ")
    );
    let float = |i: &usize| tensors[*i].is_tracked() && tensors[*i].dtype().is_float();
    let terms: Vec<String> = habits
        .outputs
        .iter()
        .enumerate()
        .filter(|(_, i)| float(i))
        .map(|(k, i)| {
            let y = &tensors[*i];
            format!("(&t{i} * {}).sum(..)", tensor(&weights(1000 + k as u64, y.count()), y.shape(), DType::F32))
        })
        .collect();
    if !terms.is_empty() {
        let _ = writeln!(text, "        let grads = ({}).backward()?;", terms.join("\n            + "));
        for leaf in tracked {
            let _ = writeln!(text, "        wanted.extend(grads.get(&{leaf}).cloned());");
        }
        if habits.second {
            let _ = writeln!(text, "        // And then the gradients of a random sum of the gradients.");
        }
    }
    if !writes.is_empty() {
        let _ = writeln!(text, "        write_states(device, writes, &wanted)?;");
    }
    for (leaf, _) in &habits.writes {
        let _ = writeln!(text, "        wanted.push(s{leaf}.tensor());");
    }
    if habits.together {
        let _ = writeln!(text, "        Tensor::eval_all(&wanted)?;");
    }
    let _ = writeln!(text, "        wanted.iter().map(|y| y.to_vec::<f64>()).collect()");
}

fn named(contender: &str) -> String {
    let (name, eager) = contender.split_once(", op").map_or((contender, false), |(name, _)| (name, true));
    let device = match name {
        "cpu" => "cpu()",
        _ if name.starts_with("strict") => "strict()",
        _ => "test_gpu!()",
    };
    format!("{device}{}", if eager { ".op_by_op()" } else { "" })
}
