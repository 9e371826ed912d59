//! Thousands of steps of training and evaluation, whose memory must stay where it was.

use anyhow::{Result, bail};
use clap::Args;
use thalweg::prelude::*;

/// Options of `soak`.
#[derive(Args)]
pub struct SoakArgs {
    /// best, cpu, gpu, gpu:1, lavapipe, or part of an adapter's name.
    #[arg(long)]
    device: Option<String>,
    /// auto, f32, mixed-f16 or mixed-bf16.
    #[arg(long, default_value = "auto")]
    precision: Precision,
    /// Training steps.
    #[arg(long, default_value_t = 5000)]
    steps: usize,
}

/// Steps between two evaluations.
const CYCLE: usize = 50;
/// The step after which host memory may grow by no more than [`HOST_GROWTH`].
const SETTLED: usize = 1000;
/// Bytes.
const HOST_GROWTH: u64 = 1 << 20;

#[derive(Module)]
struct Net {
    conv: Conv2d,
    norm: BatchNorm2d,
    dropout: Dropout,
    head: Linear,
}

impl Net {
    fn forward(&self, x: &Tensor) -> Tensor {
        let x = self.norm.forward(&self.conv.forward(x)).relu().max_pool2d(2);
        self.head.forward(&self.dropout.forward(&x.flatten(1..)))
    }
}

/// Trains on the digits, evaluates every [`CYCLE`] steps, and fails when device bytes change after the first cycle or host
/// memory grows after step [`SETTLED`].
pub fn run(args: &SoakArgs) -> Result<()> {
    let device = match &args.device {
        Some(name) => Device::named(name)?,
        None => Device::best()?,
    };
    let device = device.with_precision(args.precision);
    let rng = &mut Rng::seed(0);
    let net = Net {
        conv: Conv2d::new(1, 8, 3).padding(1).init(&device, rng)?,
        norm: BatchNorm2d::new(8).init(&device, rng)?,
        dropout: Dropout::new(0.1).init(&device, rng)?,
        head: Linear::new(8 * 4 * 4, 10).init(&device, rng)?,
    };
    let opt = Adam::default().init(&net)?;
    let digits = Digits::embedded()?;
    let (mut step, mut epoch, mut after_cycle, mut settled) = (0, 0, None, None);
    println!("device: {device}, {}", thalweg::train::precision(&device));
    while step < args.steps {
        net.train();
        let batches = digits.train.batches(24, Seed(0))?.epoch(epoch);
        epoch += 1;
        for batch in batches.take(CYCLE.min(args.steps - step)) {
            let loss = net.forward(&batch.images.to(&device)).cross_entropy(&batch.labels.to(&device));
            opt.step(&loss)?;
            step += 1;
        }
        net.eval();
        let score = evaluate(&digits.test, 199, &device, |x| net.forward(x))?;
        let (bytes, host) = (device.stats().device_bytes, resident_bytes());
        let expected = *after_cycle.get_or_insert(bytes);
        if step % SETTLED == 0 || step == CYCLE || step >= args.steps {
            let host = host.map_or("unknown".into(), |b| format!("{:.2} MiB", mib(b)));
            println!("step {step}: device {:.2} MiB, host {host}, test loss {:.4}", mib(bytes), score.loss);
        }
        if bytes != expected {
            bail!("device memory went from {expected} bytes after the first cycle to {bytes} at step {step}");
        }
        if step == SETTLED {
            settled = host;
        }
        if let (Some(before), Some(now)) = (settled, host)
            && now > before + HOST_GROWTH
        {
            bail!("host memory grew from {before} bytes at step {SETTLED} to {now} at step {step}");
        }
    }
    let report = opt.report()?;
    println!("{} steps, {} of them skipped; memory is constant", report.steps, report.skipped);
    Ok(())
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Linux: resident memory of this process.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kib: u64 = status.lines().find_map(|l| l.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok())?;
    Some(kib * 1024)
}
