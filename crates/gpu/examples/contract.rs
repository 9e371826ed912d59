//! Rates of contractions: `cargo run --release -p thalweg-gpu --example contract -- [part of a name]`.
//!
//! For each workload: the first call (compilation included), median and best of a synchronised call, and the CPU time
//! that this process took for one, which on software Vulkan is what a shared machine leaves comparable.

use std::{sync::Arc, time::Instant};

use thalweg_gpu::{GpuBackend, Selector};
use thalweg_graph::{DType, Device, Result, Tensor, ops::contraction::ConvConfig};

fn main() -> Result<()> {
    let name = std::env::var("THALWEG_DEVICE").unwrap_or_default();
    let device = Device::new(Arc::new(GpuBackend::open(&Selector::Name(name))?));
    println!("{device}");
    let wanted = std::env::args().nth(1).unwrap_or_default();
    let fill = |seed: u32, shape: &[usize], scale: f32| {
        let n: usize = shape.iter().product();
        let data: Vec<f32> = (0..n as u32).map(|i| value(seed, i) * scale).collect();
        Tensor::from_slice(&device, &data, shape)
    };
    let run = |name: &str, flop: f64, f: &dyn Fn() -> Result<Vec<Tensor>>| -> Result<()> {
        if !name.contains(&wanted) {
            return Ok(());
        }
        let call = || -> Result<f64> {
            let start = Instant::now();
            for output in f()? {
                output.eval()?;
            }
            device.synchronize()?;
            Ok(start.elapsed().as_secs_f64() * 1e3)
        };
        let first = call()?;
        call()?;
        let before = cpu_ms();
        let mut times = Vec::new();
        while times.len() < 5 || (times.len() < 50 && times.iter().sum::<f64>() < 1000.0) {
            times.push(call()?);
        }
        let cpu = (cpu_ms() - before) / times.len() as f64;
        times.sort_by(f64::total_cmp);
        let (best, median) = (times[0], times[times.len() / 2]);
        let rate = |ms: f64| flop / ms / 1e6;
        println!(
            "{name:10} first {first:7.1} ms, median {median:8.2} ms {:6.2} GFLOP/s, best {best:8.2} ms {:6.2}, cpu {cpu:8.2} ms {:6.2}",
            rate(median),
            rate(best),
            rate(cpu),
        );
        Ok(())
    };
    for n in [256, 512, 1024] {
        let (a, b) = (fill(1, &[n, n], 1.0), fill(2, &[n, n], 1.0));
        let flop = 2.0 * (n as f64).powi(3);
        run(&format!("W1 {n}"), flop, &|| Ok(vec![a.matmul(&b)]))?;
        let (ha, hb) = (a.cast(DType::F16), b.cast(DType::F16));
        ha.eval()?;
        hb.eval()?;
        run(&format!("W2 {n}"), flop, &|| Ok(vec![ha.matmul(&hb)]))?;
        let (at, bt) = (a.permute([1, 0]), b.permute([1, 0]));
        run(&format!("NT {n}"), flop, &|| Ok(vec![a.matmul(&bt)]))?;
        run(&format!("TN {n}"), flop, &|| Ok(vec![at.matmul(&b)]))?;
    }
    let (a, b) = (fill(1, &[64, 128, 64], 1.0), fill(2, &[64, 64, 128], 1.0));
    run("W3", 64.0 * 2.0 * 128.0 * 128.0 * 64.0, &|| Ok(vec![a.matmul(&b)]))?;

    let (x, w, g) =
        (fill(1, &[32, 64, 32, 32], 1.0), fill(2, &[64, 64, 3, 3], 1.0 / 24.0), fill(3, &[32, 64, 32, 32], 1.0));
    let config = ConvConfig { padding: vec![1], ..ConvConfig::default() };
    let forward = 2.0 * 32.0 * 64.0 * 64.0 * 1024.0 * 9.0;
    run("W4f", forward, &|| Ok(vec![x.conv(&w, &config)]))?;
    let (tx, tw) = (x.track(), w.track());
    for (name, leaf) in [("W4 input", &tx), ("W4 weight", &tw)] {
        run(name, forward, &|| {
            let grads = tx.conv(&tw, &config).backward_from(&g)?;
            Ok(grads.get(leaf).cloned().into_iter().collect())
        })?;
    }
    let depth = fill(2, &[64, 1, 3, 3], 1.0 / 3.0);
    let config = ConvConfig { padding: vec![1], groups: 64, ..ConvConfig::default() };
    run("W5", 2.0 * 32.0 * 64.0 * 1024.0 * 9.0, &|| Ok(vec![x.conv(&depth, &config)]))
}

/// A counter hash in [-1, 1).
fn value(seed: u32, i: u32) -> f32 {
    let mut h = i.wrapping_add(seed.wrapping_mul(0x9e37_79b9));
    h = (h ^ (h >> 16)).wrapping_mul(0x7feb_352d);
    h = (h ^ (h >> 15)).wrapping_mul(0x846c_a68b);
    ((h ^ (h >> 16)) >> 8) as f32 / (1 << 23) as f32 - 1.0
}

/// CPU time of this process, in milliseconds; NaN where the system does not say.
fn cpu_ms() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |i: usize| fields.get(i).and_then(|f| f.parse::<f64>().ok()).unwrap_or(f64::NAN);
    (ticks(11) + ticks(12)) * 10.0
}
