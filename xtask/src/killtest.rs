//! Runs that are killed at random moments and gone on with, against runs that were never stopped.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use thalweg::prelude::*;
use thalweg_tests::Everything;

/// Options of `killtest`.
#[derive(Args)]
pub struct KilltestArgs {
    /// best, cpu, gpu, gpu:1, lavapipe, or part of an adapter's name.
    #[arg(long, default_value = "best")]
    device: String,
    /// Runs, each with another seed; every second one in mixed f16.
    #[arg(long, default_value_t = 20)]
    runs: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Steps of a run of the small net that has everything.
    #[arg(long, default_value_t = 60)]
    steps: usize,
    /// Kill this example instead: digits or mnist.
    #[arg(long, value_name = "NAME")]
    example: Option<String>,
    /// The folder with MNIST's files.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Be the run that is killed, and keep it in this file.
    #[arg(long, hide = true, value_name = "FILE")]
    victim: Option<PathBuf>,
    /// Of the victim.
    #[arg(long, hide = true, default_value = "auto")]
    precision: Precision,
    /// More options of the example, behind `--`; instead of `--limit 1280 --epochs 1 --every 3`.
    #[arg(last = true)]
    more: Vec<String>,
}

/// A file is there after so many attempts, or never.
const ATTEMPTS: usize = 200;

/// Kills and compares; fails where a bit differs.
pub fn run(args: &KilltestArgs) -> Result<()> {
    if let Some(file) = &args.victim {
        return victim(args, file);
    }
    let scratch = std::env::temp_dir().join(format!("thalweg-killtest-{}", std::process::id()));
    let mut rng = Rng::seed(args.seed ^ u64::from(std::process::id()));
    let (mut differ, mut kills) = (0, Kills::default());
    for i in 0..args.runs {
        let precision = if i % 2 == 0 { "f32" } else { "mixed-f16" };
        let [whole, killed] = ["whole", "killed"].map(|name| scratch.join(name));
        let child = |dir: &Path| command(args, dir, args.seed + i, precision);
        let begin = Instant::now();
        let status = child(&whole)?.status()?;
        ensure!(status.success(), "the run that nobody stopped failed: {status}");
        let of_run = kill(|| child(&killed), begin.elapsed(), &killed, &mut rng)?;
        let same = results(args).iter().map(|name| Ok(read(&whole.join(name))? == read(&killed.join(name))?));
        let same = same.collect::<Result<Vec<bool>>>()?.into_iter().all(|same| same);
        let Kills { all, with_checkpoint } = of_run;
        let word = if same { "the same bits" } else { "OTHER BITS" };
        println!("run {i}, {precision}: killed {all} times, {with_checkpoint} of them gone on with: {word}");
        differ += u64::from(!same);
        kills.all += all;
        kills.with_checkpoint += with_checkpoint;
        fs::remove_dir_all(&scratch)?;
    }
    let Kills { all, with_checkpoint } = kills;
    println!("killed {all} times on {}, {with_checkpoint} of them gone on with", args.device);
    println!("{} runs, {differ} differ", args.runs);
    ensure!(differ == 0, "{differ} of {} runs gave other bits", args.runs);
    ensure!(args.runs == 0 || with_checkpoint > 0, "no run was killed after its first checkpoint: nothing was tested");
    Ok(())
}

/// The files that must be the same.
fn results(args: &KilltestArgs) -> &'static [&'static str] {
    match args.example {
        Some(_) => &["run.safetensors", "model.safetensors", "loss.svg"],
        None => &["run.safetensors"],
    }
}

/// A run that keeps its checkpoint in this folder, and goes on from it.
fn command(args: &KilltestArgs, dir: &Path, seed: u64, precision: &str) -> Result<Command> {
    let file = dir.join("run.safetensors");
    let mut command = Command::new(std::env::current_exe()?);
    match &args.example {
        Some(example) => {
            command.arg(example).arg("--checkpoint").arg(&file).arg("--out").arg(dir);
            if let Some(data) = &args.data {
                command.arg("--data").arg(data);
            }
            match args.more.is_empty() {
                true => command.args(["--limit", "1280", "--epochs", "1", "--every", "3"]),
                false => command.args(&args.more),
            };
        }
        None => {
            command.arg("killtest").arg("--victim").arg(&file).arg("--steps").arg(args.steps.to_string());
        }
    }
    command.args(["--device", &args.device, "--precision", precision, "--seed", &seed.to_string()]);
    command.stdout(Stdio::null());
    Ok(command)
}

#[derive(Default)]
struct Kills {
    all: usize,
    /// When there was a checkpoint to go on from.
    with_checkpoint: usize,
}

/// Starts a run again and again, and kills it at a random moment of the time that a whole one takes, until it comes to its end.
fn kill(start: impl Fn() -> Result<Command>, time: Duration, dir: &Path, rng: &mut Rng) -> Result<Kills> {
    let mut kills = Kills::default();
    for _ in 0..ATTEMPTS {
        let mut child = start()?.spawn()?;
        let end = Instant::now() + time.mul_f64(rng.uniform());
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break Some(status);
            }
            if Instant::now() >= end {
                break None;
            }
            sleep(Duration::from_millis(1));
        };
        match status {
            Some(status) if status.success() => return Ok(kills),
            Some(status) => bail!("a run that was gone on with failed: {status}"),
            None => {
                // SIGKILL: nothing of the program's own runs any more.
                child.kill()?;
                child.wait()?;
                kills.all += 1;
                kills.with_checkpoint += usize::from(dir.join("run.safetensors").exists());
            }
        }
    }
    bail!("killed {ATTEMPTS} times within {time:?} each, and it is not at its end")
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| path.display().to_string())
}

/// The run that is killed: it keeps itself every one, two or three steps.
fn victim(args: &KilltestArgs, file: &Path) -> Result<()> {
    let device = Device::named(&args.device)?.with_precision(args.precision);
    let run = Everything::new(&device, args.seed as usize, args.seed)?;
    if file.exists() {
        run.checkpoint().load(file)?;
    }
    let every = 1 + args.seed as usize / 3 % 3;
    while run.steps() < args.steps {
        run.step()?;
        if run.steps() % every == 0 || run.steps() == args.steps {
            run.checkpoint().save(file)?;
        }
    }
    Ok(())
}
