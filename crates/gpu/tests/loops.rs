//! The loop template on a device, against plain loops over the same launch.

#![allow(missing_docs)]

#[path = "support/case.rs"]
mod case;

use std::sync::LazyLock;

use case::{Case, noise};
use thalweg_gpu::{GpuBackend, Selector};
use thalweg_graph::{
    DType, ReduceOp,
    backend::Label,
    ops::{binary::BinaryOp, unary::UnaryOp},
    schedule::ir::*,
};
use thalweg_ir::bytes::decode;

/// Any device will do, software included; `THALWEG_DEVICE` names one.
fn open() -> GpuBackend {
    let name = std::env::var("THALWEG_DEVICE").unwrap_or_default();
    GpuBackend::open(&Selector::Name(name)).expect("a device with Vulkan, Metal or DX12 (mesa-vulkan-drivers will do)")
}

fn gpu() -> &'static GpuBackend {
    static GPU: LazyLock<GpuBackend> = LazyLock::new(open);
    &GPU
}

const KINDS: [DType; 3] = [DType::F32, DType::F16, DType::BF16];

fn tolerance(dtype: DType) -> f64 {
    if dtype == DType::F32 { 1e-5 } else { 1e-4 }
}

#[test]
fn maps_of_every_kind_and_divisibility() {
    let gpu = gpu();
    for from in KINDS {
        for to in KINDS {
            for n in [1, 3, 64, 127, 1024, 1025] {
                let mut c = Case::new(1);
                let x = c.leaf(from, noise(1, n));
                let y = c.output(to, n);
                let x = c.load(x, 0, &[1]);
                let e = c.inst(Inst::Unary(UnaryOp::Exp, x), DType::F32);
                let e = c.inst(Inst::Binary(BinaryOp::Mul, e, x), DType::F32);
                c.store(y, 0, &[1], e);
                c.check(gpu, &[n], &[], 1e-5, &format!("map {from} to {to}, {n} elements"));
            }
        }
    }
}

#[test]
fn integers_and_truth_values() {
    let gpu = gpu();
    for n in [5, 64] {
        let mut c = Case::new(1);
        let ints: Vec<f64> = (0..n).map(|i| i as f64 * 7.0 - 20.0).collect();
        let x = c.leaf(DType::I32, ints.clone());
        let m = c.leaf(DType::Bool, (0..n).map(|i| f64::from(u8::from(i % 3 == 0))).collect());
        let (a, b, d) = (c.output(DType::I32, n), c.output(DType::Bool, n), c.output(DType::U32, n));
        let x = c.load(x, 0, &[1]);
        let m = c.load(m, 0, &[1]);
        let five = c.inst(Inst::Const(5.0), DType::I32);
        let q = c.inst(Inst::Binary(BinaryOp::Div, x, five), DType::I32);
        let r = c.inst(Inst::Binary(BinaryOp::Fmod, x, five), DType::I32);
        let s = c.inst(Inst::Binary(BinaryOp::Max, q, r), DType::I32);
        let s = c.inst(Inst::Select(m, s, x), DType::I32);
        let big = c.inst(Inst::Binary(BinaryOp::Gt, s, five), DType::Bool);
        let both = c.inst(Inst::Binary(BinaryOp::Xor, big, m), DType::Bool);
        let i = c.inst(Inst::Index(Linear::new(3, &[2])), DType::U32);
        c.store(a, 0, &[1], s);
        c.store(b, 0, &[1], both);
        c.store(d, 0, &[1], i);
        c.check(gpu, &[n], &[], 0.0, &format!("integers, {n}"));
    }
}

#[test]
fn conversions_round_to_even_overflow_and_keep_subnormals() {
    let gpu = gpu();
    let mut tricky = vec![
        65504.0,
        65519.0,
        65519.996,
        65520.0,
        65536.0,
        -65520.0,
        1.00048828125,
        1.00146484375,
        5.96e-8,
        2.98e-8,
        2.9802325e-8,
        8.94e-8,
        6.1e-5,
        -3.05e-5,
        1e-10,
        -0.0,
        3.4e38,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
    ];
    tricky.extend(noise(3, 44).iter().map(|x| x * 1e-4));
    for to in [DType::F16, DType::BF16] {
        // One of an even and one of an odd length, so that every way of storing is used.
        for n in [64, 63] {
            let data: Vec<f64> = tricky[..n].iter().map(|x| f64::from(*x as f32)).collect();
            let mut c = Case::new(1);
            let x = c.leaf(DType::F32, data.clone());
            let (y, z, w) = (c.output(to, n), c.output(DType::F32, n), c.output(to, 2 * n));
            let x = c.load(x, 0, &[1]);
            let r = c.inst(Inst::Cast(x), to);
            c.store(y, 0, &[1], x);
            c.store(z, 0, &[1], r);
            c.store(w, 0, &[2], x);
            c.store(w, 1, &[2], r);
            c.check(gpu, &[n], &[], 0.0, &format!("rounding to {to}"));
        }
    }
}

#[test]
fn broadcasts_transposes_and_slices() {
    let gpu = gpu();
    for dtype in KINDS {
        for (a, b) in [(3, 5), (4, 8), (16, 64)] {
            let mut c = Case::new(2);
            let x = c.leaf(dtype, noise(1, a * b));
            let row = c.leaf(dtype, noise(2, b));
            let col = c.leaf(dtype, noise(3, a));
            let one = c.leaf(dtype, noise(4, 1));
            let y = c.output(dtype, a * b);
            let t = c.output(dtype, a * b);
            let (ai, bi) = (a as i64, b as i64);
            let values = [
                c.load(x, 0, &[bi, 1]),
                c.load(row, 0, &[0, 1]),
                c.load(col, ai - 1, &[-1, 0]),
                c.load(one, 0, &[0, 0]),
            ];
            let sum =
                values[1..].iter().fold(values[0], |sum, v| c.inst(Inst::Binary(BinaryOp::Add, sum, *v), DType::F32));
            c.store(y, 0, &[bi, 1], sum);
            c.store(t, 0, &[1, ai], sum);
            c.check(gpu, &[a, b], &[], tolerance(dtype), &format!("broadcast {dtype} {a}x{b}"));
        }
    }
}

#[test]
fn guards_pad_and_window() {
    let gpu = gpu();
    for dtype in [DType::F32, DType::BF16] {
        for (h, kernel, stride, pad) in [(6, 3, 1, 1), (8, 2, 2, 0), (9, 3, 2, 1)] {
            let out = (h + 2 * pad - kernel) / stride + 1;
            let mut c = Case::new(3);
            let x = c.leaf(dtype, noise(5, 4 * h));
            let (best, where_) = (c.output(dtype, 4 * out), c.output(DType::I32, 4 * out));
            let at = Linear::new(-(pad as i64), &[0, stride as i64, 1]);
            let term = Term { at, div: 1, bound: h as i64, stride: 1 };
            let base = Linear::new(0, &[h as i64, 0, 0]);
            let access = Access { base, terms: vec![term], fill: f64::NEG_INFINITY };
            let inside = c.inst(Inst::InBounds(access.clone()), DType::Bool);
            let v = c.inst(Inst::Load { buf: x, at: access }, dtype);
            let zero = c.inst(Inst::Const(-3.5), DType::F32);
            let v = c.inst(Inst::Select(inside, v, zero), DType::F32);
            let m = c.inst(Inst::Reduce(ReduceOp::Max, v), DType::F32);
            let p = c.inst(Inst::Reduce(ReduceOp::ArgMax, v), DType::I32);
            c.store(best, 0, &[out as i64, 1, 0], m);
            c.store(where_, 0, &[out as i64, 1, 0], p);
            c.check(gpu, &[4, out], &[kernel], 0.0, &format!("max pool {dtype} {h} {kernel} {stride} {pad}"));
        }
    }
}

#[test]
fn divided_guards_are_the_adjoint_of_a_strided_window() {
    let gpu = gpu();
    // y[l] = Σ_k x[(l + pad - k) / stride, k] where that is whole and inside.
    let (l, kernel, stride, pad, outs) = (11usize, 3usize, 2i64, 1i64, 6usize);
    let mut c = Case::new(2);
    let x = c.leaf(DType::F32, noise(5, outs * kernel));
    let y = c.output(DType::F32, l);
    let at = Linear::new(pad, &[1, -1]);
    let term = Term { at, div: stride, bound: outs as i64, stride: kernel as i64 };
    let base = Linear::new(0, &[0, 1]);
    let v = c.inst(Inst::Load { buf: x, at: Access { base, terms: vec![term], fill: 0.0 } }, DType::F32);
    let s = c.inst(Inst::Reduce(ReduceOp::Sum, v), DType::F32);
    c.store(y, 0, &[1, 0], s);
    c.check(gpu, &[l], &[kernel], 1e-6, "adjoint");
}

const OPS: [ReduceOp; 6] =
    [ReduceOp::Sum, ReduceOp::Prod, ReduceOp::Max, ReduceOp::Min, ReduceOp::ArgMax, ReduceOp::ArgMin];

/// Every reduction over rows or columns, in every form that the template may choose.
fn reductions(rows: usize, cols: usize, by_column: bool, dtype: DType) {
    let gpu = gpu();
    let mut c = Case::new(2);
    let mut data = noise(7, rows * cols);
    if rows > 2 && cols > 5 {
        // A NaN wins; of equal ones the first.
        let at = |r: usize, j: usize| if by_column { j * rows + r } else { r * cols + j };
        data[at(1, cols / 2)] = f64::NAN;
        data[at(1, cols - 1)] = f64::NAN;
        data[at(2, 1)] = 2.0;
        data[at(2, cols - 2)] = 2.0;
        for j in 0..cols {
            data[at(0, j)] = f64::NEG_INFINITY;
        }
    }
    let x = c.leaf(dtype, data);
    let outs: Vec<BufId> = OPS
        .iter()
        .map(|op| {
            let search = matches!(op, ReduceOp::ArgMax | ReduceOp::ArgMin);
            c.output(if search { DType::I32 } else { DType::F32 }, rows)
        })
        .collect();
    let coef = if by_column { [1, rows as i64] } else { [cols as i64, 1] };
    let x = c.load(x, 0, &coef);
    for (op, out) in OPS.iter().zip(outs) {
        let search = matches!(op, ReduceOp::ArgMax | ReduceOp::ArgMin);
        let r = c.inst(Inst::Reduce(*op, x), if search { DType::I32 } else { DType::F32 });
        c.store(out, 0, &[1, 0], r);
    }
    c.check(gpu, &[rows], &[cols], 1e-4, &format!("reduce {rows}x{cols} {dtype} columns {by_column}"));
}

#[test]
fn reductions_of_rows() {
    for (rows, cols) in [(1, 1), (3, 7), (4, 16), (5, 4096), (2, 257), (300, 64), (300, 30), (70, 33)] {
        reductions(rows, cols, false, DType::F32);
        reductions(rows, cols, false, DType::BF16);
    }
}

#[test]
fn reductions_of_columns() {
    for (rows, cols) in [(4, 7), (8, 100), (7, 300), (64, 64), (260, 20), (1024, 5), (6, 3000)] {
        reductions(rows, cols, true, DType::F32);
        reductions(rows, cols, true, DType::F16);
    }
}

#[test]
fn softmax_in_one_kernel() {
    let gpu = gpu();
    for dtype in KINDS {
        for (rows, cols) in [(3, 7), (4, 64), (5, 1025), (300, 64), (100, 33), (2, 4096)] {
            let mut c = Case::new(2);
            let x = c.leaf(dtype, noise(8, rows * cols).iter().map(|x| x * 4.0).collect());
            let y = c.output(dtype, rows * cols);
            let lse = c.output(DType::F32, rows);
            let ci = cols as i64;
            let v = c.load(x, 0, &[ci, 1]);
            let m = c.inst(Inst::Reduce(ReduceOp::Max, v), DType::F32);
            let d = c.inst(Inst::Binary(BinaryOp::Sub, v, m), DType::F32);
            let e = c.inst(Inst::Unary(UnaryOp::Exp, d), DType::F32);
            let s = c.inst(Inst::Reduce(ReduceOp::Sum, e), DType::F32);
            let p = c.inst(Inst::Binary(BinaryOp::Div, e, s), DType::F32);
            let log = c.inst(Inst::Unary(UnaryOp::Log, s), DType::F32);
            let total = c.inst(Inst::Binary(BinaryOp::Add, log, m), DType::F32);
            c.store(y, 0, &[ci, 1], p);
            c.store(lse, 0, &[1, 0], total);
            c.check(gpu, &[rows], &[cols], 2e-5, &format!("softmax {dtype} {rows}x{cols}"));
        }
    }
}

#[test]
fn random_words_are_those_of_the_reference() {
    let gpu = gpu();
    for n in [7, 64] {
        let mut c = Case::new(1);
        c.scalars = vec![0x1234_5678, 0x9abc_def0, 3, 70_000];
        let y = c.output(DType::U32, n);
        let stream = [0, 1, 2, 3].map(|i| c.inst(Inst::Scalar(i), DType::U32));
        let r = c.inst(Inst::Random { at: Linear::new(0, &[1]), stream }, DType::U32);
        c.store(y, 0, &[1], r);
        c.check(gpu, &[n], &[], 0.0, &format!("random {n}"));
    }
}

#[test]
fn what_a_gather_reads_outside_is_no_number_and_is_reported() {
    use thalweg_graph::backend::Backend;
    // A flag is the device's: other tests must not meet it.
    let gpu = &open();
    for bad in [false, true] {
        let (n, width, table) = (6usize, 8i64, 10usize);
        let mut c = Case::new(2);
        let x = c.leaf(DType::F32, noise(9, table * 8));
        let last = if bad { 99.0 } else { 9.0 };
        let index = c.leaf(DType::I32, vec![3.0, 0.0, 7.0, 7.0, if bad { -1.0 } else { 1.0 }, last]);
        let y = c.output(DType::F32, n * 8);
        let i = c.load(index, 0, &[1, 0]);
        let at = Access { base: Linear::new(0, &[0, 1]), terms: vec![], fill: 0.0 };
        let index = Indirect { index: i, stride: width, bound: table as i64, check: 0 };
        let label = Label::here("embedding");
        c.body.checks.push(Check { label, axis: 0, node: usize::MAX });
        let v = c.inst(Inst::Gather { buf: x, at, index }, DType::F32);
        c.store(y, 0, &[width, 1], v);
        if !bad {
            c.check(gpu, &[n, 8], &[], 0.0, "gather");
            continue;
        }
        let nest = Loop { outer: vec![n, 8], inner: vec![], body: std::mem::take(&mut c.body) };
        c.schedule.launches.push(Launch::here(LaunchKind::Loop(nest), "embedding of tokens"));
        let want = c.interpret();
        let (program, bindings) = c.program(gpu);
        let regions = gpu.run_schedule(c.schedule.clone(), &program, &bindings).unwrap();
        let error = gpu.read(&regions[0]).unwrap_err().to_string();
        let outside = |i: i64| error.contains(&format!("embedding: index {i} is out of range for axis 0 of extent 10"));
        assert!(outside(-1) || outside(99), "{error}");
        let got = decode(DType::F32, &gpu.read(&regions[0]).unwrap());
        assert!(got.iter().zip(&want[2]).all(|(got, want)| got == want || (got.is_nan() && want.is_nan())));
        assert_eq!(got.iter().filter(|x| x.is_nan()).count(), 16);
    }
}

#[test]
fn grids_above_the_limit_are_folded() {
    let gpu = gpu();
    let n = 65_535 * 256 + 7;
    let mut c = Case::new(1);
    let y = c.output(DType::U32, n);
    let i = c.inst(Inst::Index(Linear::new(0, &[1])), DType::U32);
    c.store(y, 0, &[1], i);
    let nest = Loop { outer: vec![n], inner: vec![], body: std::mem::take(&mut c.body) };
    c.schedule.launches.push(Launch::here(LaunchKind::Loop(nest), "iota"));
    let got = c.run(gpu, "iota");
    assert!(got[0].iter().enumerate().all(|(i, x)| *x == i as f64));
}

#[test]
fn an_update_in_place_reads_before_it_writes() {
    let gpu = gpu();
    for dtype in KINDS {
        for n in [64, 63] {
            let mut c = Case::new(1);
            let x = c.leaf(dtype, noise(1, n));
            c.schedule.outputs.push(x);
            let v = c.load(x, 0, &[1]);
            let two = c.inst(Inst::Const(3.0), DType::F32);
            let v = c.inst(Inst::Binary(BinaryOp::Mul, v, two), DType::F32);
            c.store(x, 0, &[1], v);
            c.check(gpu, &[n], &[], tolerance(dtype), &format!("in place {dtype} {n}"));
        }
    }
}
