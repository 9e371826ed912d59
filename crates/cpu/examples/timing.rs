//! Times of single operations on the fast CPU executor: the median of several calls, each with the graph built anew.
//!
//! `cargo run --release -p thalweg-cpu --example timing [-- NAME…]`

use std::{sync::Arc, time::Instant};

use thalweg_cpu::FastCpu;
use thalweg_graph::{ConvConfig, DType, Device, Result, Tensor};

fn fill(device: &Device, seed: u32, shape: &[usize], scale: f32) -> Tensor {
    let hash = |i: u32| {
        let mut h = i.wrapping_add(seed.wrapping_mul(0x9E37_79B9));
        h = (h ^ h >> 16).wrapping_mul(0x7FEB_352D);
        h = (h ^ h >> 15).wrapping_mul(0x846C_A68B);
        h ^ h >> 16
    };
    let count: usize = shape.iter().product();
    let data: Vec<f32> = (0..count as u32).map(|i| ((hash(i) >> 8) as f32 / 8_388_608.0 - 1.0) * scale).collect();
    Tensor::from_slice(device, &data, shape)
}

/// What all threads of this process have worked, where the system tells: on a busy machine the steadier number.
fn cpu_seconds() -> Option<f64> {
    let mut total = 0.0;
    for task in std::fs::read_dir("/proc/self/task").ok()? {
        let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        total += text.split(' ').next()?.parse::<f64>().ok()? / 1e9;
    }
    Some(total)
}

/// Times `call`, which gives the tensors to compute.
fn time(name: &str, rate: (f64, &str), mut call: impl FnMut() -> Result<Vec<Tensor>>) -> Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if !wanted.is_empty() && !wanted.iter().any(|w| name.starts_with(w.as_str())) {
        return Ok(());
    }
    let mut times = Vec::new();
    call()?.iter().try_for_each(Tensor::eval)?;
    let (begin, busy) = (Instant::now(), cpu_seconds());
    while times.len() < 5 || (begin.elapsed().as_secs_f64() < 1.0 && times.len() < 50) {
        let start = Instant::now();
        for tensor in call()? {
            tensor.eval()?;
        }
        times.push(start.elapsed().as_secs_f64());
    }
    let busy = cpu_seconds().zip(busy).map_or(f64::NAN, |(end, begin)| (end - begin) / times.len() as f64);
    times.sort_by(f64::total_cmp);
    let median = times[times.len() / 2];
    println!(
        "{name:10} {:9.3} ms  (least {:9.3}, busy {:9.3})  {:8.1} {}",
        median * 1e3,
        times[0] * 1e3,
        busy * 1e3,
        rate.0 / median / 1e9,
        rate.1
    );
    Ok(())
}

fn main() -> Result<()> {
    let device = Device::new(Arc::new(FastCpu::new()?));
    let d = &device;
    for n in [256, 512, 1024, 2048] {
        let (a, b) = (fill(d, 1, &[n, n], 1.0), fill(d, 2, &[n, n], 1.0));
        let flop = 2.0 * (n as f64).powi(3);
        time(&format!("W1 {n}"), (flop, "GFLOP/s"), || Ok(vec![a.matmul(&b)]))?;
        if n == 1024 {
            let (a, b) = (a.cast(DType::F16), b.cast(DType::F16));
            a.eval()?;
            b.eval()?;
            time("W2 1024", (flop, "GFLOP/s"), || Ok(vec![a.matmul(&b)]))?;
        }
    }
    let (a, b) = (fill(d, 1, &[64, 128, 64], 1.0), fill(d, 2, &[64, 64, 128], 1.0));
    time("W3", (64.0 * 2.0 * 128.0 * 128.0 * 64.0, "GFLOP/s"), || Ok(vec![a.matmul(&b)]))?;

    let (x, w) = (fill(d, 1, &[32, 64, 32, 32], 1.0), fill(d, 2, &[64, 64, 3, 3], 1.0 / 24.0));
    let g = fill(d, 3, &[32, 64, 32, 32], 1.0);
    let same = ConvConfig { padding: vec![1, 1], ..ConvConfig::default() };
    let flop = 2.0 * 32.0 * 64.0 * 64.0 * 32.0 * 32.0 * 9.0;
    time("W4f", (flop, "GFLOP/s"), || Ok(vec![x.conv2d(&w, &same)]))?;
    let (tx, tw) = (x.track(), w.track());
    time("W4bx", (flop, "GFLOP/s"), || {
        let grads = tx.conv2d(&w, &same).backward_from(&g)?;
        Ok(grads.get(&tx).into_iter().cloned().collect())
    })?;
    time("W4bw", (flop, "GFLOP/s"), || {
        let grads = x.conv2d(&tw, &same).backward_from(&g)?;
        Ok(grads.get(&tw).into_iter().cloned().collect())
    })?;
    let depthwise = ConvConfig { groups: 64, ..same.clone() };
    let wd = fill(d, 2, &[64, 1, 3, 3], 1.0 / 3.0);
    time("W5", (2.0 * 4.0 * x.count() as f64, "GB/s"), || Ok(vec![x.conv2d(&wd, &depthwise)]))?;

    let x = fill(d, 1, &[4096, 1024], 4.0);
    time("W6", (2.0 * 4.0 * x.count() as f64, "GB/s"), || Ok(vec![x.softmax(-1)]))?;
    let (x, g) = (fill(d, 1, &[4096, 1024], 1.0).track(), fill(d, 4, &[4096, 1024], 1.0));
    let (gamma, beta) = (fill(d, 2, &[1024], 1.0).track(), fill(d, 3, &[1024], 1.0).track());
    time("W7", (5.0 * 4.0 * x.count() as f64, "GB/s"), || {
        let mean = x.mean_keepdim(-1);
        let centred = &x - &mean;
        let var = centred.square().mean_keepdim(-1);
        let y = centred * (var + 1e-5).rsqrt() * &gamma + &beta;
        let loss = (y * &g).sum(..);
        let grads = loss.backward()?;
        let mut all: Vec<Tensor> = [&x, &gamma, &beta].into_iter().filter_map(|t| grads.get(t).cloned()).collect();
        all.push(loss);
        Ok(all)
    })?;

    let x = fill(d, 1, &[4096, 4096], 1.0);
    let bytes = (4.0 * x.count() as f64, "GB/s");
    time("W8r", bytes, || Ok(vec![x.sum(-1)]))?;
    time("W8c", bytes, || Ok(vec![x.sum(0)]))?;
    time("W8a", bytes, || Ok(vec![x.sum(..)]))?;
    time("T", (2.0 * bytes.0, "GB/s"), || Ok(vec![x.t() + 1.0]))?;
    let x = fill(d, 1, &[1 << 24], 4.0);
    time("W9", (2.0 * bytes.0, "GB/s"), || Ok(vec![(&x * 1.1 + 0.1).gelu() * 0.9]))?;
    time("W9t", (2.0 * bytes.0, "GB/s"), || Ok(vec![(&x * 1.1 + 0.1).gelu_tanh() * 0.9]))?;
    time("copy", (2.0 * bytes.0, "GB/s"), || Ok(vec![&x + 1.5]))?;

    let n = 10_000_000;
    let (p, g) = (fill(d, 1, &[n], 0.1), fill(d, 2, &[n], 0.1));
    let (m, v) = (fill(d, 3, &[n], 0.01), fill(d, 4, &[n], 0.01).abs());
    m.eval()?;
    v.eval()?;
    time("W15", (7.0 * 4.0 * n as f64, "GB/s"), || {
        let m = &m * 0.9 + &g * 0.1;
        let v = &v * 0.999 + &g.square() * 0.001;
        let p = &p - (&m / 0.9) / ((&v / 0.99).sqrt() + 1e-8) * 1e-3;
        Ok(vec![p + m + v])
    })?;

    let pool = fill(d, 1, &[64, 32, 28, 28], 1.0);
    time("maxpool", (4.0 * pool.count() as f64, "GB/s"), || Ok(vec![pool.max_pool2d(2)]))?;
    let tracked = pool.track();
    let g = fill(d, 2, &[64, 32, 14, 14], 1.0);
    time("maxpoolb", (4.0 * pool.count() as f64, "GB/s"), || {
        let grads = tracked.max_pool2d(2).backward_from(&g)?;
        Ok(grads.get(&tracked).into_iter().cloned().collect())
    })?;
    network(d)?;
    let logits = fill(d, 1, &[128, 10], 1.0);
    time("softmax10", (4.0 * logits.count() as f64, "GB/s"), || Ok(vec![logits.softmax(-1)]))?;
    time("add10", (4.0 * logits.count() as f64, "GB/s"), || Ok(vec![&logits + 1.5]))
}

/// The forward and backward pass of a small convolutional network (that of workload W12) on a batch of 64.
fn network(d: &Device) -> Result<()> {
    let x = fill(d, 1, &[64, 1, 28, 28], 1.0);
    let target = fill(d, 2, &[64, 10], 1.0);
    let same = ConvConfig { padding: vec![1, 1], ..ConvConfig::default() };
    let shapes: [&[usize]; 8] =
        [&[32, 1, 3, 3], &[32, 1, 1], &[64, 32, 3, 3], &[64, 1, 1], &[3136, 128], &[128], &[128, 10], &[10]];
    let params: Vec<Tensor> = shapes.iter().zip(3..).map(|(s, seed)| fill(d, seed, s, 0.05).track()).collect();
    let flop = 6.0 * 64.0 * f64::from(32 * 784 * 9 + 64 * 196 * 288 + 3136 * 128 + 1280);
    time("network", (flop, "GFLOP/s"), || {
        let [w1, b1, w2, b2, w3, b3, w4, b4] = &params[..] else { return Ok(Vec::new()) };
        let h = (x.conv2d(w1, &same) + b1).relu().max_pool2d(2);
        let h = (h.conv2d(w2, &same) + b2).relu().max_pool2d(2);
        let h = (h.flatten(1..).matmul(w3) + b3).relu();
        let logits = h.matmul(w4) + b4;
        let loss = (logits.log_softmax(-1) * &target).sum(..) * (-1.0 / 64.0);
        let grads = loss.backward()?;
        // One run for all of them.
        Ok(vec![params.iter().filter_map(|p| grads.get(p)).fold(loss, |sum, g| sum + g.sum(..))])
    })
}
