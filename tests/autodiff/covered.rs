//! Nothing that has a gradient is without a case: held against the op set, and against the text of the methods.

use std::collections::BTreeSet;

use thalweg_graph::{Op, Primitive, Result, Rng, Tensor, backend::program, ops::binary::BinaryOp, ops::unary::UnaryOp};
use thalweg_tests::{Case, Seed, cases, sources, strict};

/// Methods whose results have no gradient: positions, counts, truth values, constants, and reads.
const WITHOUT: &str = "all all_keepdim any any_keepdim argmax argmin argsort bit_not bucketize copy count_nonzero eval eval_all full \
    is_finite item nonzero one_hot ones ones_like read_async sound_positions to to_vec track zeros";

/// The ops that have a gradient, beside those of the tables: each has a case that goes through its rule. Users' ops have their own
/// tests (`tests/ops/custom.rs`).
const RULES: &str = "again aligned_windows concat conv conv_input conv_weight expand gather matmul max min pack pad permute prod reshape \
    scan segment_max segment_min segment_prod segment_sum slice sum where windows windows_adjoint";

/// Those without, and those whose gradient differences cannot see: rounding, and what lies in front of a detach.
const NO_RULE: &str =
    "and argmax argmin cast detach eq ge gt iota is_inf is_nan le leaf lt ne not or random scalar shl shr xor";

/// What the rule of an op is called here. A count of segments has none.
fn rule(op: &Op) -> Option<&'static str> {
    match op {
        Op::Part(of, 1) if matches!(**of, Primitive::Segments(_)) => None,
        Op::Windows { aligned: true, .. } => Some("aligned_windows"),
        op => Some(op.name()).filter(|name| has_rule(name)),
    }
}

fn has_rule(name: &str) -> bool {
    !NO_RULE.split(' ').any(|none| none == name)
}

/// The rules that the derivatives of a case go through: those of the ops in its graph, and, where it has a second derivative,
/// of the ops in its gradients' graphs.
fn rules(case: &Case) -> Result<Vec<&'static str>> {
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
    let found: BTreeSet<&str> =
        cases.iter().flat_map(|case| rules(case).unwrap_or_else(|e| panic!("{}: {e}", case.name))).collect();
    let tables = UnaryOp::ALL.iter().map(|op| op.name()).chain(BinaryOp::ALL.iter().map(|op| op.name()));
    let all: BTreeSet<&str> = RULES.split(' ').chain(tables.filter(|name| has_rule(name))).collect();
    let missing: Vec<&&str> = all.difference(&found).collect();
    assert!(missing.is_empty(), "no case differentiates {missing:?}");
    let unknown: Vec<&&str> = found.difference(&all).collect();
    assert!(unknown.is_empty(), "{unknown:?} are neither among the ops with a gradient nor among those without");
    // Rules of nodes of their own go by the cases that make them.
    for name in ["max along 1 of [2, 3, 4]", "sort of 600", "dynamic slice along 1", "checkpoint", "with_gradient"] {
        assert!(cases.iter().any(|case| case.name == name), "there is no case '{name}'");
    }
}

#[test]
fn every_method_and_layer_has_a_case() {
    let cases = sources::texts("cases").concat();
    let called = |name: &str| {
        [".", "::"].iter().any(|by| ["(", "::<"].iter().any(|open| cases.contains(&format!("{by}{name}{open}"))))
    };
    let without: Vec<&str> = WITHOUT.split(' ').collect();
    let methods: BTreeSet<String> =
        sources::texts("../crates/graph/src/ops").iter().flat_map(|text| sources::methods(text)).collect();
    assert!(methods.len() > 150, "found {} methods", methods.len());
    let missing: Vec<&String> =
        methods.iter().filter(|name| !called(name) && !without.contains(&name.as_str())).collect();
    assert!(missing.is_empty(), "no case calls {missing:?}, and they are not listed as having no gradient");
    let gone: Vec<&&str> = without.iter().filter(|name| !methods.contains(**name)).collect();
    assert!(gone.is_empty(), "{gone:?} are no methods");

    // Models are made of layers.
    let all = |folder| sources::texts(folder).iter().flat_map(|text| layers(text)).collect::<BTreeSet<String>>();
    let layers = &all("../crates/nn/src") - &all("../crates/nn/src/models");
    assert!(layers.len() > 30, "found {} layers and losses", layers.len());
    let missing: Vec<&String> = layers.iter().filter(|name| !cases.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "no case has {missing:?}");
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
