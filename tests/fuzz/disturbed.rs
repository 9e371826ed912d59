//! The strict executor with every rounding made larger and random.

use std::sync::{Mutex, PoisonError};

use thalweg_cpu::StrictCpu;
use thalweg_graph::{
    DType, Op, Result,
    backend::{Backend, Bindings, Draft, Node, PlanReport, Program, Properties, ReadFuture, Region, Stats, Storage},
    ops::{binary::BinaryOp, unary::UnaryOp},
    shape::count,
};

/// How many times half a unit in the last place a sound f32 kernel may be off.
const UNITS: f64 = 8.0;

/// Runs programs on the strict executor with factors `1 + a r` put behind every node that rounds, and in front of those that
/// sum; r is random between -1 and 1. Of the values that are 16-bit floats, half are not rounded, as in a fused kernel: there
/// they neither overflow nor vanish. If it flushes, what is below f32's normal numbers becomes 0, as devices may do.
///
/// In mixed precision whatever a device stores in f32 may be rounded to the dtype that its contractions compute in.
#[derive(Debug)]
pub struct Disturbed {
    strict: StrictCpu,
    state: Mutex<u64>,
    flush: bool,
    compute: Option<DType>,
}

/// How an op rounds: by so many units, before and after.
struct Rounding {
    operands: f64,
    result: f64,
}

impl Disturbed {
    /// One whose numbers are drawn from this seed.
    pub fn new(seed: u64, flush: bool, compute: Option<DType>) -> Disturbed {
        Disturbed { strict: StrictCpu::new(), state: Mutex::new(seed), flush, compute }
    }

    /// Half a unit in the last place of 1, as a device may store what has this dtype here.
    fn unit(&self, dtype: DType) -> f64 {
        unit(self.compute.filter(|_| dtype == DType::F64).unwrap_or(dtype))
    }

    /// Between -1 and 1: splitmix64 (Steele et al. 2014), as there are many to draw.
    fn random(&self, n: usize, a: f64) -> Vec<f64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = || {
            *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (z ^ (z >> 31)) as i64 as f64 / 9_223_372_036_854_775_808.0
        };
        (0..n).map(|_| a * next()).collect()
    }

    /// The node times random factors.
    fn disturb(&self, draft: &mut Draft, node: usize, units: f64) -> Result<usize> {
        let Node { shape, dtype, label, .. } = draft.nodes[node].clone();
        if units == 0.0 || !dtype.is_float() {
            return Ok(node);
        }
        let of = |op, inputs: &[usize], dtype| {
            let (inputs, shape, label) = (inputs.into(), shape.clone(), label.clone());
            Node { op, inputs, shape, dtype, compute: None, label, source: 0, slot: None }
        };
        let mut push = |node| {
            draft.nodes.push(node);
            draft.nodes.len() - 1
        };
        let n = count(&shape);
        let mut leaves = Vec::new();
        let mut leaf = |values: Vec<f64>, at: usize| -> Result<()> {
            let storage = self.strict.upload(&values.iter().flat_map(|f| f.to_le_bytes()).collect::<Vec<_>>())?;
            leaves.push((at, Region { storage, offset: 0, len: values.len(), dtype: DType::F64 }, false));
            Ok(())
        };
        let factors = push(of(Op::Leaf, &[], DType::F64));
        leaf(self.random(n, units * self.unit(dtype)).iter().map(|r| 1.0 + r).collect(), factors)?;
        let mut y = push(of(Op::Binary(BinaryOp::Mul), &[node, factors], dtype));
        if self.flush {
            let (least, zero) = (push(of(Op::Leaf, &[], DType::F64)), push(of(Op::Leaf, &[], DType::F64)));
            leaf(vec![f64::from(f32::MIN_POSITIVE); n], least)?;
            leaf(vec![0.0; n], zero)?;
            let size = push(of(Op::Unary(UnaryOp::Abs), &[y], DType::F64));
            let tiny = push(of(Op::Binary(BinaryOp::Lt), &[size, least], DType::Bool));
            y = push(of(Op::Select, &[tiny, zero, y], dtype));
        }
        draft.leaves.extend(leaves);
        Ok(y)
    }
}

/// Half a unit in the last place of 1, as a device stores what is F64 here.
pub fn unit(dtype: DType) -> f64 {
    match dtype {
        DType::F16 => 2f64.powi(-11),
        DType::BF16 => 2f64.powi(-8),
        _ => 2f64.powi(-24),
    }
}

/// In which way ops of some names round.
enum Way {
    /// Not at all.
    Exact,
    /// To the nearest.
    Nearest,
    /// As functions that are computed in several roundings.
    Function,
    /// As sums of so many terms, from the shapes of inputs and result.
    Sum(fn(&[&[usize]], &[usize]) -> usize),
}

/// Every op, once.
const WAYS: &[(&str, Way)] = &[
    ("leaf scalar iota random cast detach again argmax argmin max min where gather", Way::Exact),
    ("reshape permute expand slice pad windows windows_adjoint concat pack", Way::Exact),
    ("segment_max segment_min scan", Way::Exact),
    ("neg abs sign relu floor ceil trunc round not is_nan is_inf", Way::Exact),
    ("maximum minimum eq ne lt le gt ge and or xor shl shr", Way::Exact),
    ("add sub mul div", Way::Nearest),
    (
        "pow fmod atan2 exp exp2 expm1 log log2 log1p sqrt rsqrt recip sigmoid erf erfc erfinv lgamma digamma",
        Way::Function,
    ),
    ("sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh", Way::Function),
    ("sum prod", Way::Sum(|x, y| count(x[0]) / count(y).max(1))),
    ("matmul", Way::Sum(|x, _| x[0].last().copied().unwrap_or(1))),
    ("conv", Way::Sum(|x, _| count(&x[1][1..]))),
    ("conv_input conv_weight", Way::Sum(|x, _| count(x[1]) / x[1].get(1).copied().unwrap_or(1).max(1))),
    ("segment_sum segment_prod", Way::Sum(|x, _| x[0][1])),
];

fn rounding(program: &Program, node: &Node) -> Rounding {
    let name = node.op.name();
    let way = WAYS.iter().find(|(names, _)| names.split(' ').any(|n| n == name)).map(|(_, way)| way);
    let of = |operands: f64, result: f64| Rounding { operands: UNITS * operands, result: UNITS * result };
    match way.unwrap_or_else(|| panic!("how does {name} round?")) {
        Way::Exact => of(0.0, 0.0),
        Way::Nearest => of(0.0, 1.0),
        Way::Function => of(1.0, 1.0),
        Way::Sum(terms) => {
            let shapes: Vec<&[usize]> = node.inputs.iter().map(|i| &program.nodes[*i].shape[..]).collect();
            // Terms that are equal are off in one direction, and partial sums of √n of them keep that to √n.
            let root = (terms(&shapes, &node.shape).max(1) as f64).sqrt();
            of(root, 1.0 + root / 4.0)
        }
    }
}

impl Backend for Disturbed {
    fn properties(&self) -> &Properties {
        self.strict.properties()
    }

    fn upload(&self, bytes: &[u8]) -> Result<Storage> {
        self.strict.upload(bytes)
    }

    fn allocate(&self, size_bytes: usize) -> Result<Storage> {
        self.strict.allocate(size_bytes)
    }

    fn read(&self, region: &Region) -> Result<Vec<u8>> {
        self.strict.read(region)
    }

    fn read_async(&self, region: &Region) -> ReadFuture {
        self.strict.read_async(region)
    }

    fn copy(&self, copies: &[(Region, Region)]) -> Result<()> {
        self.strict.copy(copies)
    }

    fn run(&self, program: &Program, bindings: &Bindings) -> Result<Vec<Region>> {
        let mut disturbed = Draft { step: program.step, ..Draft::default() };
        // Where each node's value is to be had.
        let mut at: Vec<usize> = Vec::with_capacity(program.nodes.len());
        for node in &program.nodes {
            let Rounding { operands, result } = rounding(program, node);
            let mut node = node.clone();
            for input in &mut node.inputs {
                *input = self.disturb(&mut disturbed, at[*input], operands)?;
            }
            let half = matches!(node.dtype, DType::F16 | DType::BF16);
            let rounded = matches!(node.op, Op::Leaf | Op::Scalar(_) | Op::Cast);
            if half && !rounded && self.random(1, 1.0)[0] > 0.0 {
                node.dtype = DType::F64;
            }
            let here = disturbed.nodes.len();
            match (&node.op, node.slot) {
                (Op::Leaf, Some(slot)) => disturbed.leaves.push((here, bindings.leaves[slot].clone(), false)),
                (Op::Scalar(_), Some(slot)) => {
                    let mut number = bindings.scalars[slot];
                    // What f32 cannot hold is another number on a device.
                    if node.dtype == DType::F64 && f64::from(number as f32) != number {
                        number *= 1.0 + self.random(1, UNITS * unit(node.dtype))[0];
                    }
                    disturbed.scalars.push((here, number));
                }
                _ => {}
            }
            disturbed.nodes.push(node);
            at.push(self.disturb(&mut disturbed, here, result)?);
        }
        // What is stored is rounded, though what reads it in the same kernel may see it before.
        for (output, target) in program.outputs.iter().zip(&bindings.targets) {
            disturbed.outputs.push((disturbed.nodes.len(), target.clone()));
            let node = &program.nodes[output.node];
            disturbed.nodes.push(Node { op: Op::Cast, inputs: [at[output.node]][..].into(), ..node.clone() });
        }
        let (program, bindings) = disturbed.finish();
        self.strict.run(&program, &bindings)
    }

    fn synchronize(&self) -> Result<()> {
        Ok(())
    }

    fn stats(&self) -> Stats {
        self.strict.stats()
    }

    fn last_step(&self) -> Option<PlanReport> {
        self.strict.last_step()
    }
}
