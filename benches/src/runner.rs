//! Runs workloads, each in a process of its own.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    sync::mpsc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail};
use clap::Args;
use thalweg_device::DeviceExt;
use thalweg_graph::Device;

use crate::{clock::Clock, line::Line, table, workloads};

/// Options of `bench`.
#[derive(Args, Clone, Debug)]
pub struct BenchArgs {
    /// Workloads, say W1,W12; all if none. W4 and W8 mean each of theirs.
    #[arg(long, value_delimiter = ',')]
    pub workload: Vec<String>,
    /// Devices by name; the CPU and every adapter if none.
    #[arg(long, value_delimiter = ',')]
    pub device: Vec<String>,
    /// Print a line of JSON for each measurement instead of the table.
    #[arg(long)]
    pub json: bool,
    /// Calls between two synchronisations.
    #[arg(long, default_value_t = 1)]
    pub inner: usize,
    /// Seconds of samples for each size.
    #[arg(long, default_value_t = 2.0)]
    pub budget: f64,
    /// Largest matrix of W1 and W2.
    #[arg(long, default_value_t = 2048)]
    pub max_size: usize,
    /// Seconds after which a workload counts as failed.
    #[arg(long, default_value_t = 120)]
    pub timeout: u64,
    /// Measure in this process.
    #[arg(long, hide = true)]
    pub child: bool,
}

/// Measures, and prints lines or a table.
pub fn run(args: &BenchArgs) -> Result<()> {
    let names = names(&args.workload)?;
    if args.child {
        return child(args, &names);
    }
    let devices = if args.device.is_empty() { every_device() } else { args.device.clone() };
    let cache = tempfile()?;
    let mut lines = Vec::new();
    for name in &names {
        for device in &devices {
            let start = lines.len();
            if let Err(error) = measured(args, name, device, &cache, &mut lines) {
                let error = Some(format!("{error:#}"));
                let (backend, workload, peer) = (device.clone(), name.to_string(), "thalweg".to_string());
                lines.push(Line { peer, backend, workload, error, ..Line::default() });
            }
            for line in &lines[start..] {
                match (args.json, &line.error) {
                    (true, _) => line.print(),
                    (false, Some(error)) => eprintln!("{} on {device}: {error}", line.row()),
                    (false, None) => {
                        eprintln!("{} on {device}: {:.3} ms", line.row(), line.median_ms.unwrap_or(f64::NAN))
                    }
                }
            }
        }
    }
    let _ = std::fs::remove_dir_all(&cache);
    if !args.json {
        print!("{}", table::table(&lines, &devices));
    }
    if lines.iter().any(|line| line.error.is_some()) {
        bail!("some workloads failed");
    }
    Ok(())
}

/// The CPU and each adapter, software ones too.
fn every_device() -> Vec<String> {
    std::iter::once("cpu".to_string()).chain(thalweg_device::adapters().into_iter().map(|a| a.name)).collect()
}

/// The workloads that the user means.
fn names(wanted: &[String]) -> Result<Vec<&'static str>> {
    if wanted.is_empty() {
        return Ok(workloads::ALL.to_vec());
    }
    let mut names = Vec::new();
    for want in wanted {
        let want = want.trim().to_lowercase();
        let exact = workloads::ALL.iter().filter(|name| name.to_lowercase() == want);
        let parts =
            workloads::ALL.iter().filter(|name| name.trim_end_matches(char::is_lowercase).to_lowercase() == want);
        let before = names.len();
        names.extend(exact.chain(parts));
        names.dedup();
        if names.len() == before {
            bail!("there is no workload {want}; there are {}", workloads::ALL.join(", "));
        }
    }
    Ok(names)
}

/// In the child: measures here.
fn child(args: &BenchArgs, names: &[&str]) -> Result<()> {
    let name = args.device.first().context("--child needs --device")?;
    let device = Device::named(name)?;
    let budget = Duration::from_secs_f64(args.budget.clamp(0.0, 600.0));
    let mut clock = Clock::new(device, name.clone(), args.inner, budget, args.max_size);
    names.iter().try_for_each(|name| workloads::run(name, &mut clock))
}

/// In the parent: starts the child and collects its lines.
fn measured(args: &BenchArgs, name: &str, device: &str, cache: &std::path::Path, lines: &mut Vec<Line>) -> Result<()> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["bench", "--child", "--workload", name, "--device", device]);
    command.args(["--inner", &args.inner.to_string(), "--budget", &args.budget.to_string()]);
    command.args(["--max-size", &args.max_size.to_string()]);
    // First calls are measured with a cold shader cache.
    command.env("MESA_SHADER_CACHE_DIR", cache);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos());
    let mut child = command.env("BENCH_T0_NS", now.to_string()).stdout(Stdio::piped()).spawn()?;
    let stdout = child.stdout.take().context("the child's output")?;
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || BufReader::new(stdout).lines().map_while(Result::ok).try_for_each(|l| sender.send(l)));
    let deadline = std::time::Instant::now() + Duration::from_secs(args.timeout);
    loop {
        match receiver.recv_timeout(deadline.saturating_duration_since(std::time::Instant::now())) {
            Ok(text) => lines.push(serde_json::from_str(&text).with_context(|| format!("not a line of JSON: {text}"))?),
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                let _ = child.kill();
                let _ = child.wait();
                bail!("stopped after {} s", args.timeout);
            }
        }
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("the process ended with {status}; its own words are above");
    }
    Ok(())
}

/// An empty folder for the driver's shader cache.
fn tempfile() -> Result<std::path::PathBuf> {
    let dir = std::env::temp_dir().join(format!("thalweg-bench-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
    Ok(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_exact_or_a_family() {
        let chosen = |text: &str| names(&text.split(',').map(String::from).collect::<Vec<_>>());
        assert_eq!(chosen("W1,w12").unwrap(), ["W1", "W12"]);
        assert_eq!(chosen("W4").unwrap(), ["W4f", "W4b"]);
        assert_eq!(chosen("w8").unwrap(), ["W8r", "W8c", "W8a"]);
        assert!(chosen("W99").unwrap_err().to_string().contains("there is no workload w99; there are W1, W2"));
        assert_eq!(names(&[]).unwrap().len(), workloads::ALL.len());
    }
}
