//! Nothing that has a gradient is without a case: held against the op set, and against the text of the methods.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use thalweg_graph::{
    Op, Primitive, ReduceOp, Result, Rng, Tensor, backend::program, ops::binary::BinaryOp, ops::unary::UnaryOp,
};
use thalweg_tests::{Case, Seed, cases, strict};

/// Methods whose results have no gradient: positions, counts, truth values, constants, and reads.
const WITHOUT: &str = "all all_keepdim any any_keepdim argmax argmin argsort bit_not bucketize copy count_nonzero eval eval_all full \
    is_finite item nonzero one_hot ones ones_like read_async sound_positions to to_vec track zeros";

/// What an op is called here; `None` if no gradient passes through it, or if differences cannot see the one that does.
fn rule(op: &Op) -> Option<String> {
    let name = match op {
        // Nothing to differentiate with respect to.
        Op::Leaf | Op::Scalar(_) | Op::Iota(_) | Op::Random => return None,
        // Differences see what these hide on purpose: rounding, and what lies in front of a detach.
        Op::Cast | Op::Detach => return None,
        // Its rule is the user's: `tests/ops/custom.rs`.
        Op::Part(Primitive::Custom(_), _) => return None,
        // A count has none.
        Op::Part(Primitive::Segments(_), 1) => return None,
        Op::Part(primitive, _) => primitive.name(),
        Op::Reduce(ReduceOp::ArgMax | ReduceOp::ArgMin, _) => return None,
        Op::Reduce(op, _) => return Some(format!("{op:?}")),
        Op::Unary(op) => return Some(op.name().into()),
        Op::Binary(op) => return Some(op.name().into()),
        Op::Select => "where",
        Op::Reshape => "reshape",
        Op::Permute(_) => "permute",
        Op::Expand => "expand",
        Op::Slice { .. } => "slice",
        Op::Pad { .. } => "pad",
        Op::Windows { aligned: false, .. } => "windows",
        Op::Windows { aligned: true, .. } => "aligned windows",
        Op::WindowsAdjoint(_) => "windows_adjoint",
        Op::Matmul => "matmul",
        Op::Conv(_) => "conv",
        Op::ConvInput(_) => "conv_input",
        Op::ConvWeight(_) => "conv_weight",
        Op::Gather(_) => "gather",
        Op::Concat(_) => "concat",
        Op::Again(_) => "again",
        Op::Pack(_) => "pack",
    };
    Some(name.into())
}

/// The rules that the derivatives of a case go through: those of the ops in its graph, and, where it has a second derivative,
/// of the ops in its gradients' graphs.
fn rules(case: &Case) -> Result<Vec<String>> {
    let (device, mut rng) = (strict(), Rng::seed(Seed::of(&case.name).0));
    let inputs = case.inputs.iter().map(|draw| {
        let tensor = draw.tensor(&device, &draw.values(&mut rng), thalweg_graph::DType::F64);
        if draw.is_float() { tensor.track() } else { tensor }
    });
    let inputs: Vec<Tensor> = inputs.collect();
    let y = (case.f)(&inputs);
    if !y.is_tracked() {
        return Ok(Vec::new());
    }
    let mut nodes = program(std::slice::from_ref(&y))?.0.nodes;
    if case.smooth {
        let grads = y.sum(..).backward()?;
        let grads: Vec<Tensor> = inputs.iter().filter_map(|x| grads.get(x).cloned()).collect();
        nodes.extend(program(&grads)?.0.nodes);
    }
    Ok(nodes.iter().filter_map(|node| rule(&node.op)).collect())
}

#[test]
fn every_rule_of_the_op_set_has_a_case() {
    let cases = cases::small();
    let found: BTreeSet<String> =
        cases.iter().flat_map(|case| rules(case).unwrap_or_else(|e| panic!("{}: {e}", case.name))).collect();
    let others = "Sum, Prod, Max, Min, where, reshape, permute, expand, slice, pad, windows, aligned windows, windows_adjoint, \
        matmul, conv, conv_input, conv_weight, gather, segment_sum, segment_prod, segment_max, segment_min, concat, again, pack";
    let bits = |op: &BinaryOp| {
        op.compares() || matches!(op, BinaryOp::And | BinaryOp::Or | BinaryOp::Xor | BinaryOp::Shl | BinaryOp::Shr)
    };
    let truth = |op: &UnaryOp| matches!(op, UnaryOp::Not | UnaryOp::IsNan | UnaryOp::IsInf);
    let unary = UnaryOp::ALL.iter().filter(|op| !truth(op)).map(|op| op.name());
    let binary = BinaryOp::ALL.iter().filter(|op| !bits(op)).map(|op| op.name());
    let missing: Vec<&str> =
        others.split(", ").chain(unary).chain(binary).filter(|rule| !found.contains(*rule)).collect();
    assert!(missing.is_empty(), "no case differentiates {missing:?}");
    // Rules of nodes of their own go by the cases that make them.
    for name in ["max along 1 of [2, 3, 4]", "sort of 600", "dynamic slice along 1", "checkpoint", "with_gradient"] {
        assert!(cases.iter().any(|case| case.name == name), "there is no case '{name}'");
    }
}

#[test]
fn every_method_and_layer_has_a_case() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: PathBuf| fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let texts = |folder: &str| files(&here.join(folder)).into_iter().map(read).collect::<Vec<String>>();
    let cases = texts("cases").concat();
    let called = |name: &str| {
        [".", "::"].iter().any(|by| ["(", "::<"].iter().any(|open| cases.contains(&format!("{by}{name}{open}"))))
    };
    let without: Vec<&str> = WITHOUT.split(' ').collect();
    let methods: BTreeSet<String> = texts("../crates/graph/src/ops").iter().flat_map(|text| methods(text)).collect();
    assert!(methods.len() > 150, "found {} methods", methods.len());
    let missing: Vec<&String> =
        methods.iter().filter(|name| !called(name) && !without.contains(&name.as_str())).collect();
    assert!(missing.is_empty(), "no case calls {missing:?}, and they are not listed as having no gradient");
    let gone: Vec<&&str> = without.iter().filter(|name| !methods.contains(**name)).collect();
    assert!(gone.is_empty(), "{gone:?} are no methods");

    let layers: BTreeSet<String> = texts("../crates/nn/src").iter().flat_map(|text| layers(text)).collect();
    assert!(layers.len() > 30, "found {} layers and losses", layers.len());
    let missing: Vec<&String> = layers.iter().filter(|name| !cases.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "no case has {missing:?}");
}

/// The sources in a folder and in those below it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let paths = entries.map(|entry| entry.unwrap_or_else(|e| panic!("{e}")).path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// The public functions of `impl Tensor`.
fn methods(text: &str) -> Vec<String> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.starts_with("impl") {
            inside = line == "impl Tensor {";
        }
        if let Some(rest) = line.strip_prefix("    pub fn ").filter(|_| inside) {
            found.extend(rest.split(['(', '<']).next().map(String::from));
        }
    }
    found
}

/// The types that have a `forward`, a `loss`, or `apply` something.
fn layers(text: &str) -> Vec<String> {
    let (mut of, mut found) = ("", Vec::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("impl") {
            // `impl<L: Weighted> WeightNorm<L> {`
            let generic = rest.starts_with('<').then(|| rest.split_once("> ")).flatten();
            let rest = generic.map_or(rest, |(_, rest)| rest).trim();
            of = rest.split(['<', ' ']).next().unwrap_or_default();
        }
        if ["forward(", "loss(", "apply("].iter().any(|f| line.starts_with(&format!("    pub fn {f}"))) {
            found.push(of.to_string());
        }
    }
    found
}
