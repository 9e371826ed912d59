//! What the runtime promises: steady memory, few waits, errors that say what happened.

#![allow(missing_docs)]

#[path = "support/case.rs"]
mod case;

use case::{Case, noise};
use thalweg_gpu::{GpuBackend, Selector, adapters};
use thalweg_graph::{
    DType, ErrorKind,
    backend::{Backend, Draft, Region},
    ops::binary::BinaryOp,
    schedule::ir::*,
};
use thalweg_ir::bytes::{decode, encode};

fn gpu() -> GpuBackend {
    let name = std::env::var("THALWEG_DEVICE").unwrap_or_default();
    GpuBackend::open(&Selector::Name(name)).expect("a device with Vulkan, Metal or DX12 (mesa-vulkan-drivers will do)")
}

#[test]
fn an_unknown_device_is_an_error_that_lists_the_others() {
    let error = GpuBackend::open(&Selector::Name("no such card".into())).map(drop).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NoDevice { .. }), "{error}");
    for adapter in adapters() {
        assert!(error.to_string().contains(&adapter.name), "{error}");
    }
    assert!(GpuBackend::open(&Selector::Index(999)).is_err());
}

#[test]
fn bytes_come_back_as_they_went() {
    let gpu = gpu();
    for n in [1usize, 2, 3, 5, 64, 1001] {
        let data = noise(1, n);
        let storage = gpu.upload(&encode(DType::F16, &data)).unwrap();
        let want: Vec<f64> = data.iter().map(|x| DType::F16.round(*x)).collect();
        let region = Region { storage, offset: 0, len: n, dtype: DType::F16 };
        assert_eq!(decode(DType::F16, &gpu.read(&region).unwrap()), want);
        assert_eq!(decode(DType::F16, &pollster::block_on(gpu.read_async(&region)).unwrap()), want);
        let tail = Region { offset: n / 2, len: n - n / 2, ..region };
        assert_eq!(decode(DType::F16, &gpu.read(&tail).unwrap()), want[n / 2..]);
    }
}

#[test]
fn allocated_memory_is_zero_and_is_used_again() {
    let gpu = gpu();
    let bytes = |gpu: &GpuBackend| gpu.stats().device_bytes;
    drop(gpu.upload(&[0xff; 4096]).unwrap());
    let before = bytes(&gpu);
    for _ in 0..4 {
        let storage = gpu.allocate(4096).unwrap();
        let region = Region { storage, offset: 0, len: 1024, dtype: DType::U32 };
        assert!(gpu.read(&region).unwrap().iter().all(|b| *b == 0));
    }
    let staging = 8192;
    assert!(bytes(&gpu) <= before + staging, "{} bytes after {before}", bytes(&gpu));
}

/// `y = x · s + x` over `n` elements, in two launches through a slot.
fn two_launches(n: usize) -> Case {
    let mut c = Case::new(1);
    c.scalars = vec![2f32.to_bits()];
    let x = c.leaf(DType::F32, noise(1, n));
    let y = c.output(DType::F32, n);
    c.schedule.buffers.push(BufferSpec { dtype: DType::F32, len: n, place: Place::Slot(0) });
    let slot = c.schedule.buffers.len() - 1;
    c.schedule.slots = vec![n * 4];
    let launch = |c: &mut Case, from: BufId, to: BufId, scale: bool| {
        let a = c.load(x, 0, &[1]);
        let b = if scale { c.inst(Inst::Scalar(0), DType::F32) } else { c.load(from, 0, &[1]) };
        let op = if scale { BinaryOp::Mul } else { BinaryOp::Add };
        let v = c.inst(Inst::Binary(op, a, b), DType::F32);
        c.store(to, 0, &[1], v);
        let nest = Loop { outer: vec![n], inner: vec![], body: std::mem::take(&mut c.body) };
        c.schedule.launches.push(Launch::here(LaunchKind::Loop(nest), "two launches"));
    };
    launch(&mut c, x, slot, true);
    launch(&mut c, slot, y, false);
    c.schedule.scalars = 1;
    c
}

#[test]
fn replay_allocates_nothing_and_waits_for_the_step_before_the_last() {
    let gpu = gpu();
    let c = two_launches(1000);
    let (program, mut bindings) = Draft { step: true, ..c.draft(&gpu) }.finish();
    let mut run = gpu.prepare(c.schedule.clone()).unwrap();
    let mut results = vec![run(&program, &bindings).unwrap(), run(&program, &bindings).unwrap()];
    let start = gpu.stats();
    assert_eq!((start.runs, start.launches, start.waits), (2, 4, 0));
    for i in 0..10u32 {
        bindings.scalars[0] = f64::from(i);
        results.remove(0);
        results.push(run(&program, &bindings).unwrap());
        let got = decode(DType::F32, &gpu.read(&results[1][0]).unwrap());
        assert!(got.iter().zip(&c.leaves[0]).all(|(y, x)| (y - x * (f64::from(i) + 1.0)).abs() < 1e-5), "run {i}");
    }
    let end = gpu.stats();
    assert_eq!(end.submits - start.submits, 20, "one for each run and one for each read");
    assert_eq!(end.waits - start.waits, 20, "one for each read and one for each step");
    assert_eq!(end.kernels, start.kernels);
    // A third result and a buffer to read through.
    assert!(end.device_bytes - start.device_bytes <= 3 * 8192, "{start:?} {end:?}");
}

#[test]
fn one_buffer_may_be_read_and_written_in_one_launch() {
    let gpu = gpu();
    for dtype in [DType::F32, DType::F16, DType::BF16] {
        let n = 64;
        let mut c = Case::new(1);
        let x = c.leaf(dtype, noise(1, n));
        let y = c.output(dtype, n);
        let v = c.load(x, 0, &[1]);
        let v = c.inst(Inst::Binary(BinaryOp::Add, v, v), DType::F32);
        c.store(y, 0, &[1], v);
        let nest = Loop { outer: vec![n], inner: vec![], body: std::mem::take(&mut c.body) };
        c.schedule.launches.push(Launch::here(LaunchKind::Loop(nest), "neighbours"));
        // The leaf lies behind what is written, in one buffer, not at its start.
        let storage = gpu.upload(&encode(dtype, &noise(1, 3 * n))).unwrap();
        let part = |offset| Region { storage: storage.clone(), offset, len: n, dtype };
        let (leaves, outputs) = (vec![(0, part(2 * n), false)], vec![(0, Some(part(n)))]);
        let (program, bindings) = Draft { leaves, outputs, ..c.draft(&gpu) }.finish();
        gpu.run_schedule(c.schedule.clone(), &program, &bindings).unwrap();
        let all = decode(dtype, &gpu.read(&Region { len: 3 * n, ..part(0) }).unwrap());
        for i in 0..n {
            assert_eq!(all[n + i], dtype.round(all[2 * n + i] * 2.0));
            assert_eq!(all[i], dtype.round(noise(1, 3 * n)[i]));
        }
    }
}

#[test]
fn packed_parts_leave_zeros_between() {
    let gpu = gpu();
    // Parts of 5 and 3 elements at 0 and 64 of a zeroed buffer of 128, then copied out.
    let mut c = Case::new(1);
    let x = c.leaf(DType::F32, noise(1, 8));
    let y = c.output(DType::F32, 128);
    let push = |c: &mut Case, len, place| {
        c.schedule.buffers.push(BufferSpec { dtype: DType::F32, len, place });
        c.schedule.buffers.len() - 1
    };
    let whole = push(&mut c, 128, Place::Zeroed);
    let first = push(&mut c, 5, Place::Window { of: whole, offset: 0 });
    let second = push(&mut c, 3, Place::Window { of: whole, offset: 64 });
    for (from, offset, to, n) in [(x, 0, first, 5), (x, 5, second, 3), (whole, 0, y, 128)] {
        let v = c.load(from, offset, &[1]);
        c.store(to, 0, &[1], v);
        let nest = Loop { outer: vec![n], inner: vec![], body: std::mem::take(&mut c.body) };
        c.schedule.launches.push(Launch::here(LaunchKind::Loop(nest), "pack"));
    }
    for _ in 0..2 {
        let got = c.run(&gpu, "pack").remove(0);
        for (i, y) in got.iter().enumerate() {
            let want = if i < 5 {
                c.leaves[0][i]
            } else if (64..67).contains(&i) {
                c.leaves[0][i - 59]
            } else {
                0.0
            };
            assert_eq!(*y, want, "element {i}");
        }
    }
}

#[test]
fn what_does_not_fit_is_an_error_with_its_size() {
    let gpu = gpu();
    let error = gpu.allocate(1 << 50).map(drop).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Memory(_)), "{error}");
    assert!(error.to_string().contains("1125899906842624"), "{error}");
    // The device works on.
    assert!(gpu.allocate(1024).is_ok());
    gpu.synchronize().unwrap();
}

#[test]
fn threads_may_share_a_device() {
    let gpu = gpu();
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let gpu = &gpu;
            scope.spawn(move || {
                for i in 0..10 {
                    let data = noise(seed * 100 + i, 500);
                    let storage = gpu.upload(&encode(DType::F32, &data)).unwrap();
                    let region = Region { storage, offset: 0, len: 500, dtype: DType::F32 };
                    let want: Vec<f64> = data.iter().map(|x| DType::F32.round(*x)).collect();
                    assert_eq!(decode(DType::F32, &gpu.read(&region).unwrap()), want);
                }
            });
        }
    });
}
