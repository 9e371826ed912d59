//! `docs/mixed-precision.md`, row by row: which ops read 16 bits in mixed precision, and what becomes of 16-bit tensors.

use thalweg::prelude::*;
use thalweg_tests::{Case, Draw, Seed, cases, cpu, test_gpu};

const PAGE: &str = include_str!("../../docs/mixed-precision.md");
const HALVES: [DType; 2] = [DType::F16, DType::BF16];

/// Cases whose names are not those of what they are about.
const ABOUT: [(&str, &str); 4] =
    [("x xᵀ", "matmul"), ("causal attention", "attention"), ("trilinear", "interpolate"), ("Sequential", "Linear")];

/// The table of a section: what stands in backticks, and what is said of it.
fn table(heading: &str) -> Vec<(Vec<&'static str>, &'static str)> {
    let part = PAGE.split("\n## ").find(|part| part.starts_with(heading)).unwrap_or_else(|| panic!("no {heading}"));
    let row = |line: &'static str| {
        let (names, of) = line.trim_matches('|').split_once('|').unwrap_or_else(|| panic!("'{line}' is no row"));
        (names.split('`').skip(1).step_by(2).collect(), of.trim())
    };
    part.lines().filter(|line| line.starts_with('|')).skip(2).map(row).collect()
}

/// What a case gives on a device.
fn run(case: &Case, device: &Device) -> Vec<f64> {
    let rng = &mut Rng::seed(Seed::of(&case.name).0);
    let input = |draw: &Draw| {
        let x = draw.tensor(device, &draw.values(rng), DType::F32);
        if draw.is_float() { x.track() } else { x }
    };
    let inputs: Vec<Tensor> = case.inputs.iter().map(input).collect();
    (case.f)(&inputs).to_vec().unwrap_or_else(|e| panic!("{} on {device}: {e}", case.name))
}

fn same(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a == b || (a.is_nan() && b.is_nan()))
}

/// Of all cases those read 16 bits whose row says so, and of each name there is one that does, or one that does not.
#[test]
fn what_reads_sixteen_bits() {
    let rows = table("Op by op");
    // What is rounded is settled before a device sees it: one is enough.
    let device = cpu();
    for precision in [Precision::MixedF16, Precision::MixedBf16] {
        let mixed = device.with_precision(precision);
        let (mut wrong, mut narrow, mut seen) = (Vec::new(), Vec::new(), Vec::new());
        for case in cases::small() {
            let of = ABOUT.iter().find(|(name, _)| case.name.starts_with(name)).map_or(&*case.name, |(_, of)| of);
            let names = rows.iter().flat_map(|(names, reads)| names.iter().map(move |name| (*name, *reads)));
            let (name, reads) = names
                .filter(|(name, _)| of.starts_with(name))
                .max_by_key(|(name, _)| name.len())
                .unwrap_or(("", "f32"));
            seen.push(name);
            match (same(&run(&case, &device), &run(&case, &mixed)), reads) {
                (true, _) => {}
                (false, "16 bits") => narrow.push(name),
                (false, _) => wrong.push(case.name),
            }
        }
        assert!(wrong.is_empty(), "{mixed:?}: {wrong:?} read 16 bits");
        for (names, reads) in &rows {
            let of = match *reads {
                "f32" => &seen,
                "16 bits" => &narrow,
                _ => panic!("'{reads}' is nothing to read"),
            };
            let missing: Vec<&&str> = names.iter().filter(|name| !of.contains(*name)).collect();
            assert!(missing.is_empty(), "{mixed:?}: no case of {missing:?} reads {reads}");
        }
    }
}

/// A function of the page, of `x: [6, 4, 5, 3]`.
fn function(name: &str) -> fn(&Tensor) -> Tensor {
    fn rows(x: &Tensor) -> (Tensor, Tensor) {
        let x = x.reshape([-1, 5]);
        let labels = Tensor::arange(x.device(), x.shape()[0]).fmod(5);
        (x, labels)
    }
    fn zeros(x: &Tensor) -> Tensor {
        x.zeros_like()
    }
    match name {
        "softmax" => |x| x.softmax(1),
        "softmin" => |x| x.softmin(1),
        "log_softmax" => |x| x.log_softmax(-1),
        "logsumexp" => |x| x.logsumexp(2),
        "sum" => |x| x.sum([0, 2]),
        "mean" => |x| x.mean(..),
        "var" => |x| x.var(1, 1),
        "std" => |x| x.std(-1, 0),
        "cumsum" => |x| x.cumsum(0),
        "vector_norm" => |x| x.vector_norm(2.0, 1),
        "layer_norm" => |x| x.layer_norm(&[5, 3], None, None, 1e-5),
        "rms_norm" => |x| x.rms_norm(&[3], None, 1e-6),
        "group_norm" => |x| x.group_norm(2, None, None, 1e-5),
        "instance_norm" => |x| x.instance_norm(None, None, 1e-5),
        "avg_pool2d" => |x| x.avg_pool2d(2),
        "cross_entropy" => |x| rows(x).0.cross_entropy(&rows(x).1),
        "nll_loss" => |x| rows(x).0.nll_loss(&rows(x).1),
        "mse_loss" => |x| x.mse_loss(&zeros(x)),
        "l1_loss" => |x| x.l1_loss(&zeros(x)),
        "huber_loss" => |x| x.huber_loss(&zeros(x)),
        "bce_with_logits" => |x| x.bce_with_logits(&zeros(x)),
        _ => panic!("'{name}' is no function that this knows"),
    }
}

/// Fused or not: what f32 gives of the same numbers, rounded where the page says so.
#[test]
fn what_becomes_of_sixteen_bits() {
    let draw = Draw::Uniform(vec![6, 4, 5, 3], -3.0, 3.0);
    for device in [cpu(), cpu().op_by_op(), test_gpu!(), test_gpu!().op_by_op()] {
        for half in HALVES {
            let narrow = draw.tensor(&device, &draw.values(&mut Rng::seed(1)), half);
            let wide = narrow.cast(DType::F32);
            for (names, gives) in table("16-bit tensors") {
                let dtype = match gives {
                    "f32" => DType::F32,
                    "16 bits, rounded once" => half,
                    _ => panic!("'{gives}' is nothing to give"),
                };
                for name in names {
                    let f = function(name);
                    let (got, want) = (f(&narrow), f(&wide).to_vec::<f64>().unwrap());
                    assert_eq!(got.dtype(), dtype, "{name} of {half} on {device}");
                    let want: Vec<f64> = want.into_iter().map(|x| dtype.round(x)).collect();
                    let got = got.to_vec::<f64>().unwrap();
                    assert!(same(&got, &want), "{name} of {half} on {device}: {got:?}, not {want:?}");
                }
            }
        }
    }
}

/// What the host counts goes on when a step is skipped, and what the device counts does not.
#[test]
fn what_a_skipped_step_advances() -> Result<()> {
    for device in [cpu(), test_gpu!()] {
        let device = device.with_precision(Precision::MixedF16);
        let run = |bad: bool| -> Result<(f64, u64, Vec<f32>)> {
            let rng = &mut Rng::seed(1);
            let net = (Linear::new(1, 1).init(&device, rng)?, Dropout::new(0.5).init(&device, rng)?);
            let before: f64 = net.0.weight.tensor().item()?;
            let scale = LossScale { init: 4.0, ..LossScale::default() };
            let opt = Sgd::default().init(&net)?.loss_scale(scale)?.schedule(|t| if t == 0 { 0.5 } else { 0.0 });
            let x = Tensor::ones(&device, [1, 1]);
            let wide = Tensor::ones(&device, [64]);
            if bad {
                let _ = net.1.forward(&wide).to_vec::<f32>()?;
                opt.step(&(net.0.forward(&x) * f64::INFINITY).sum(..))?;
            }
            let draw = net.1.forward(&wide).to_vec::<f32>()?;
            opt.step(&net.0.forward(&x).sum(..))?;
            Ok((before - net.0.weight.tensor().item()?, opt.report()?.skipped, draw))
        };
        let (plain, skipped) = (run(false)?, run(true)?);
        assert_eq!((plain.1, skipped.1), (0, 1), "{device}");
        assert_eq!((plain.0, skipped.0), (0.5, 0.5), "{device}: the schedule is where it was");
        assert_ne!(plain.2, skipped.2, "{device}: the host has counted the draw");
    }
    Ok(())
}

/// A loss scale goes along from one optimizer that scales to another; where only one of the two does, it begins anew.
#[test]
fn a_scale_is_loaded_where_both_scale() -> Result<()> {
    let optimizer = |precision| {
        let net = Linear::new(2, 2).init(&cpu().with_precision(precision), &mut Rng::seed(1))?;
        AdamW::default().init(&net)
    };
    let custom = LossScale { init: 512.0, ..LossScale::default() };
    let plain = || optimizer(Precision::F32);
    let scaled = || optimizer(Precision::MixedF16);
    // (saved from, loaded into, the scale that is to be there)
    let cases = [
        (plain()?, scaled()?, 65_536.0),
        (plain()?, scaled()?.loss_scale(custom.clone())?, 512.0),
        (scaled()?.loss_scale(custom.clone())?, scaled()?, 512.0),
        (scaled()?, plain()?, 1.0),
        (scaled()?, optimizer(Precision::MixedBf16)?, 1.0),
        (plain()?, plain()?, 1.0),
        (plain()?.loss_scale(custom)?, plain()?, 1.0),
    ];
    for (i, (from, to, want)) in cases.into_iter().enumerate() {
        let mut saved = thalweg::module::snapshot::Snapshot::new();
        from.save(&mut saved)?;
        to.load(&saved)?;
        assert_eq!(to.report()?.loss_scale, want, "case {i}");
    }
    Ok(())
}
