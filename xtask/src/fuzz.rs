//! Random programs, as many as there is time for.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use clap::Args;
use thalweg_device::DeviceExt;
use thalweg_graph::{Device, Precision};
use thalweg_tests::fuzz::{Contender, Series, Tally, silence_panics, state};

/// Options of `fuzz`.
#[derive(Args)]
pub struct FuzzArgs {
    /// Sequences of actions on modules, optimizers and states against a model of what they mean, instead of programs of ops.
    #[arg(long)]
    state: bool,
    /// Stop after so many minutes; 5 where neither this nor a count is given.
    #[arg(long)]
    minutes: Option<f64>,
    /// Stop after so many programs.
    #[arg(long)]
    count: Option<u64>,
    /// cpu, gpu, lavapipe, or part of an adapter's name.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// f32, or mixed-bf16, whose numbers reach as far.
    #[arg(long, default_value = "f32")]
    precision: Precision,
    /// The seed of the first program; the others follow it. A failure names its own, to be run with `--count 1`.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Stop after so many failures.
    #[arg(long, default_value_t = 20)]
    failures: u64,
    /// Seconds that a failure may shrink.
    #[arg(long, default_value_t = 60)]
    shrink: u64,
}

/// Programs between two lines that say how far it got.
const STRIDE: u64 = 1000;

/// Runs programs on the strict executor and a device, fused and op by op, and prints those on which they disagree.
pub fn run(args: &FuzzArgs) -> Result<()> {
    ensure!(matches!(args.precision, Precision::F32 | Precision::MixedBf16), "the fuzzer knows f32 and mixed-bf16");
    let device = Device::named(&args.device)?.with_precision(args.precision);
    let minutes = args.minutes.or(args.count.is_none().then_some(5.0));
    let (seed, count) = (args.seed, args.count);
    let until = minutes.map(|m| Instant::now() + Duration::from_secs_f64(m * 60.0));
    let contenders = Contender::both(if args.device == "cpu" { "cpu" } else { &device.properties().name }, &device);
    let shrink = Duration::from_secs(args.shrink);
    println!("device: {device}, first seed {seed}");
    // Panics are caught and reported with their program.
    silence_panics();
    let what = if args.state { "sequences" } else { "programs" };
    let report = |failure: Option<String>, tally: Tally| {
        if let Some(test) = failure {
            println!("\n{test}");
        }
        if tally.ran.is_multiple_of(STRIDE) {
            println!("{} {what}, {} failed", tally.ran, tally.failed);
        }
        tally.failed < args.failures
    };
    let Tally { ran, failed } = match args.state {
        true => state::Series { seed, count, until, contenders, shrink }.run(report),
        false => Series { seed, count, until, contenders, shrink }.run(report),
    };
    if args.state {
        println!("{ran} sequences, {failed} failed");
    } else {
        println!("{ran} programs ran on {device}, {failed} failed");
    }
    if failed > 0 {
        bail!("{failed} of {ran} {what} failed");
    }
    Ok(())
}
