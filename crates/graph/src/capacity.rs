//! What an error about memory says beside the bytes: how large a batch would fit.

use std::collections::HashSet;

use thalweg_ir::{
    DType, Error, ErrorKind,
    backend::Properties,
    program::{Bindings, Program},
    schedule::{self, Options},
    shape::count,
};

use crate::tensor::{Role, Tensor};

/// The error of a run, with the largest batch that fits where that can be said.
///
/// A run needs what is there whatever the batch (parameters, states, everything in a leaf that is no input) and what grows with
/// it: its inputs, results and the activation pool. The batch is taken to be the leading extent of the largest leaf that is
/// neither a parameter nor a state.
pub(crate) fn explain(
    error: Error,
    program: &Program,
    bindings: &Bindings,
    nodes: &[Tensor],
    properties: &Properties,
) -> Error {
    let ErrorKind::Memory(text) = error.kind() else { return error };
    let Some(capacity) = properties.memory_bytes else { return error };
    let is_input = |node: usize| matches!(nodes[node].0.role, Role::Plain) && nodes[node].rank() > 1;
    let written: Vec<usize> = program.outputs.iter().filter_map(|o| Some(o.target?.storage)).collect();
    let inputs = program.leaves.iter().filter(|leaf| is_input(leaf.node) && !written.contains(&leaf.footprint.storage));
    let Some(largest) = inputs.max_by_key(|leaf| leaf.footprint.len) else { return error };
    let batch = nodes[largest.node].shape()[0];
    let Some((grows, stays)) = needs(program, bindings, properties, batch) else { return error };
    if batch < 2 || grows == 0 {
        return error;
    }
    let fits = (capacity.saturating_sub(stays) as f64 / (grows as f64 / batch as f64)).floor();
    let advice = match fits as usize {
        0 => format!("no batch fits into {}", mib(capacity)),
        fits if fits < batch => format!("a batch of {fits} instead of {batch} would fit into {}", mib(capacity)),
        // Then something else is in the way.
        _ => return error,
    };
    Error::at(error.op(), ErrorKind::Memory(format!("{text}; {advice}")), error.location(), None)
}

/// Bytes that grow with the batch, and those that do not.
fn needs(program: &Program, bindings: &Bindings, properties: &Properties, batch: usize) -> Option<(u64, u64)> {
    let bytes = |shape: &[usize], dtype: DType| (count(shape) * dtype.size_bytes()) as u64;
    let of_batch = |shape: &[usize]| shape.first() == Some(&batch);
    let (mut grows, mut stays) = (0, 0);
    let mut seen = HashSet::new();
    for (leaf, region) in
        program.leaves.iter().zip(&bindings.leaves).filter(|(leaf, _)| seen.insert(leaf.footprint.storage))
    {
        let part = if of_batch(&program.nodes[leaf.node].shape) { &mut grows } else { &mut stays };
        *part += region.storage.size_bytes() as u64;
    }
    for output in program.outputs.iter().filter(|o| o.target.is_none()) {
        let node = &program.nodes[output.node];
        let part = if of_batch(&node.shape) { &mut grows } else { &mut stays };
        *part += bytes(&node.shape, node.dtype);
    }
    if properties.scheduled {
        let schedule = schedule::build(program, &Options::of(properties)).ok()?;
        grows += schedule.slots.iter().map(|s| *s as u64).sum::<u64>();
    }
    // And an eighth for what kernels take for themselves and pools waste.
    Some((grows + grows / 8, stays))
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / (1 << 20) as f64)
}
