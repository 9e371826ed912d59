//! What a plan depends on, and how numbers of the host come into it.

use std::{
    collections::HashSet,
    hash::{Hash, Hasher},
};

use crate::{
    backend::{PlanSlot, Region, Trace},
    bits::Bits,
    dtype::{Class, DType},
    op::Op,
};

/// A host number as a run gets it.
pub fn scalar_bits(value: f64, dtype: DType) -> u32 {
    match dtype.class() {
        Class::Float => (value as f32).to_bits(),
        Class::Int => value as i64 as i32 as u32,
        Class::Uint | Class::Bool => value as i64 as u32,
    }
}

/// Host numbers that are part of a plan because passes and kernels treat them specially.
pub fn is_structural(value: f64) -> bool {
    [0.0, 1.0, -1.0, 2.0].contains(&value) && !(value == 0.0 && value.is_sign_negative())
}

/// Stands for every number that is an input of a plan.
pub static ANY_NUMBER: Op = Op::Scalar(Bits(f64::NAN));

/// The part of a trace that a plan depends on, whole: what is hashed into it is kept.
#[derive(Debug, Default)]
pub struct Key {
    /// So far.
    pub words: Vec<u64>,
}

impl Key {
    /// One more word.
    pub fn push(&mut self, word: u64) {
        self.words.push(word);
    }

    /// A region by which storage it is in, so that aliases are part of the key and addresses are not.
    pub fn region(&mut self, region: &Region, storages: &mut Vec<Region>) {
        let found = storages.iter().position(|known| known.storage.same(&region.storage));
        let ordinal = found.unwrap_or_else(|| {
            storages.push(region.clone());
            storages.len() - 1
        });
        (ordinal, region.offset, region.len).hash(self);
    }

    /// A node, which is known by all of its op but a number that is an input; of a contraction also by what it computes in.
    pub fn node(&mut self, op: &Op, inputs: &[usize], shape: &[usize], dtype: DType, compute: Option<DType>) {
        let op = match op {
            Op::Scalar(value) if !is_structural(value.0) => &ANY_NUMBER,
            op => op,
        };
        (op, inputs, shape, dtype).hash(self);
        if op.is_contraction() {
            compute.hash(self);
        }
    }
}

impl Hasher for Key {
    fn write(&mut self, bytes: &[u8]) {
        let (whole, rest) = bytes.as_chunks::<8>();
        self.words.extend(whole.iter().map(|word| u64::from_le_bytes(*word)));
        if !rest.is_empty() {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            self.words.push(u64::from_le_bytes(last));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.words.push(word);
    }

    fn write_usize(&mut self, word: usize) {
        self.words.push(word as u64);
    }

    /// Nobody asks: keys are compared whole, so that no two graphs are taken for one.
    fn finish(&self) -> u64 {
        self.words.iter().fold(0, |hash, word| hash.rotate_left(5) ^ word)
    }
}

impl Trace {
    /// The same after its nodes, leaves or outputs were changed: with a key of its own and no plan.
    pub fn changed(mut self) -> Trace {
        let mut key = Key::default();
        // Keys of traces that were built as they are begin with a small number.
        key.push(u64::MAX);
        let scalars: HashSet<usize> = self.scalars.iter().map(|(node, _)| *node).collect();
        for (i, node) in self.nodes.iter().enumerate() {
            let op = if scalars.contains(&i) { &ANY_NUMBER } else { &node.op };
            key.node(op, &node.inputs, &node.shape, node.dtype, node.compute);
        }
        let mut storages = Vec::new();
        for (node, region) in &self.leaves {
            key.push(*node as u64);
            key.region(region, &mut storages);
            key.push(u64::from(self.variables.contains(node)));
        }
        for output in &self.outputs {
            key.push(output.node as u64);
            if let Some(region) = &output.target {
                key.region(region, &mut storages);
            }
        }
        self.key = key.words;
        self.plan = PlanSlot::default();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::{ReduceOp, Window};

    fn key(op: &Op, inputs: &[usize], shape: &[usize], dtype: DType) -> Vec<u64> {
        let mut key = Key::default();
        key.node(op, inputs, shape, dtype, None);
        key.words
    }

    /// Whatever a node differs in, its key does; but for a number that is an input of the plan.
    #[test]
    fn everything_but_numbers_is_in_the_key() {
        let window = Window { kernel: vec![2], stride: vec![1], dilation: vec![1], pad: vec![0] };
        let windows = |fill: f64, aligned: bool| Op::Windows { window: window.clone(), fill: Bits(fill), aligned };
        let ops = [
            Op::Reduce(ReduceOp::Sum, vec![0]),
            Op::Reduce(ReduceOp::Max, vec![0]),
            Op::Reduce(ReduceOp::Sum, vec![0, 1]),
            Op::Iota(0),
            Op::Iota(1),
            Op::Gather(0),
            Op::Pad { before: vec![1], fill: Bits(0.0) },
            Op::Pad { before: vec![1], fill: Bits(-0.0) },
            Op::Slice { start: vec![1], step: vec![-1] },
            Op::Slice { start: vec![1], step: vec![1] },
            windows(0.0, false),
            windows(0.0, true),
            windows(1.0, false),
            Op::Scalar(Bits(0.0)),
            Op::Scalar(Bits(2.0)),
            Op::Scalar(Bits(0.5)),
        ];
        let mut keys: Vec<Vec<u64>> = ops.iter().map(|op| key(op, &[3], &[2, 5], DType::F32)).collect();
        let sum = &ops[0];
        keys.push(key(sum, &[3, 2], &[5], DType::F32));
        keys.push(key(sum, &[3], &[2, 5, 1], DType::F32));
        keys.push(key(sum, &[3], &[2, 5], DType::F16));
        for (i, a) in keys.iter().enumerate() {
            assert!(!keys[i + 1..].contains(a), "the key of {:?} is another's too", ops.get(i));
        }
        let mut in_f16 = Key::default();
        in_f16.node(&Op::Matmul, &[3, 4], &[2, 5], DType::F32, Some(DType::F16));
        assert_ne!(in_f16.words, key(&Op::Matmul, &[3, 4], &[2, 5], DType::F32));
        let number = |x: f64| key(&Op::Scalar(Bits(x)), &[], &[], DType::F32);
        assert_eq!(number(0.5), number(3.25));
        assert_eq!(number(-0.0), number(3.25));
    }
}
