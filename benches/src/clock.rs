//! The clock: what is a call, how long to warm up, how many samples.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use serde_json::{Map, Value};
use thalweg_graph::{Device, Tensor};

use crate::line::Line;

/// Measures the workloads of one process.
pub struct Clock {
    /// Where they run.
    pub device: Device,
    /// What the device is called in the lines.
    pub backend: String,
    /// Calls between two synchronisations.
    pub inner: usize,
    /// Time for the samples of one size.
    pub budget: Duration,
    /// Largest size of workloads that have several.
    pub max_size: usize,
    startup_ms: Option<f64>,
}

/// What a workload is called, and how its rate is computed.
pub struct Work {
    /// `W1` …
    pub name: &'static str,
    /// Members of `params`.
    pub params: Vec<(&'static str, Value)>,
    /// Operations or bytes of one call, in units of 10⁹ per second.
    pub amount: f64,
    /// `GFLOP/s` or `GB/s`.
    pub unit: &'static str,
}

impl Work {
    /// Counted in operations.
    pub fn flop(name: &'static str, amount: f64) -> Work {
        Work { name, params: Vec::new(), amount, unit: "GFLOP/s" }
    }

    /// Counted in bytes moved.
    pub fn bytes(name: &'static str, amount: usize) -> Work {
        Work { name, params: Vec::new(), amount: amount as f64, unit: "GB/s" }
    }
}

/// Fewest and most samples.
const SAMPLES: (usize, usize) = (5, 50);
/// Fewest samples when a call takes longer than [`SLOW`].
const SLOW_SAMPLES: usize = 3;
/// See [`SLOW_SAMPLES`].
const SLOW: Duration = Duration::from_secs(5);

impl Clock {
    /// A clock for one device.
    pub fn new(device: Device, backend: String, inner: usize, budget: Duration, max_size: usize) -> Clock {
        Clock { device, backend, inner: inner.max(1), budget, max_size, startup_ms: None }
    }

    /// Measures a computation and adds the sum of its output.
    pub fn forward(&mut self, work: Work, f: impl Fn() -> Result<Tensor>) -> Result<()> {
        let mut last = None;
        let mut line = self.measure(work, |sync| {
            let y = f()?;
            y.eval()?;
            if sync {
                y.device().synchronize()?;
                first_element(&y)?;
            }
            last = Some(y);
            Ok(())
        })?;
        if let Some(y) = last {
            line.check = Some(y.to_vec::<f32>()?.iter().map(|v| f64::from(*v)).sum());
        }
        line.print();
        Ok(())
    }

    /// Measures training steps and adds the first and last loss and the plan.
    pub fn train(&mut self, work: Work, mut step: impl FnMut() -> Result<Tensor>) -> Result<()> {
        let mut losses: Vec<f64> = Vec::new();
        let mut line = self.measure(work, |sync| {
            let loss = step()?;
            if sync {
                loss.device().synchronize()?;
                losses.push(loss.item()?);
            }
            Ok(())
        })?;
        (line.loss_first, line.loss_last) = (losses.first().copied(), losses.last().copied());
        self.plan(&mut line);
        line.print();
        Ok(())
    }

    /// Adds what the latest step's plan costs.
    pub fn plan(&self, line: &mut Line) {
        if let Some(plan) = self.device.last_step() {
            line.launches = Some(plan.launches);
            line.kernels = Some(plan.kernels);
            line.planned_bytes = Some(plan.planned_bytes);
        }
    }

    /// Times `call(sync)`, which must drain the device and read one element back when `sync` is true.
    pub fn measure(&mut self, work: Work, call: impl FnMut(bool) -> Result<()>) -> Result<Line> {
        self.measure_after(work, || Ok(()), call)
    }

    /// The same, where something is to be there before each call that is not timed.
    pub fn measure_after(
        &mut self,
        work: Work,
        mut before: impl FnMut() -> Result<()>,
        mut call: impl FnMut(bool) -> Result<()>,
    ) -> Result<Line> {
        before()?;
        let start = Instant::now();
        call(true)?;
        let first = start.elapsed();
        let startup_ms = *self.startup_ms.get_or_insert_with(since_launch_ms);

        let start = Instant::now();
        let mut warm = 0;
        while warm < 2 || (start.elapsed() < Duration::from_millis(300) && warm < 10) {
            before()?;
            call(true)?;
            warm += 1;
        }
        let mut samples: Vec<Duration> = Vec::new();
        let start = Instant::now();
        loop {
            let least = if samples.first().is_some_and(|s| *s > SLOW) { SLOW_SAMPLES } else { SAMPLES.0 };
            if samples.len() >= least && (start.elapsed() >= self.budget || samples.len() >= SAMPLES.1) {
                break;
            }
            let mut took = Duration::ZERO;
            for i in 1..=self.inner {
                before()?;
                let sample = Instant::now();
                call(i == self.inner)?;
                took += sample.elapsed();
            }
            samples.push(took / self.inner as u32);
        }
        samples.sort_unstable();
        let (low, high) = (samples[(samples.len() - 1) / 2], samples[samples.len() / 2]);
        let median = (low + high) / 2;

        let mut params: Map<String, Value> = work.params.into_iter().map(|(k, v)| (k.to_string(), v)).collect();
        if self.inner > 1 {
            params.insert("inner".into(), self.inner.into());
        }
        Ok(Line {
            peer: "thalweg".into(),
            backend: self.backend.clone(),
            workload: work.name.into(),
            params,
            median_ms: Some(ms(median)),
            min_ms: samples.first().map(|s| ms(*s)),
            runs: Some(samples.len()),
            gflops_or_gbps: Some(work.amount / median.as_secs_f64() / 1e9),
            unit: Some(work.unit.into()),
            peak_rss_mb: peak_rss_mb(),
            first_call_ms: Some(ms(first)),
            startup_ms: Some(startup_ms),
            version: Some(env!("CARGO_PKG_VERSION").into()),
            ..Line::default()
        })
    }
}

/// Reads the first element, as proof that the value is there.
pub fn first_element(y: &Tensor) -> Result<f64> {
    // A scalar has no axis to flatten; as a vector it has one.
    Ok(y.reshape([y.count()]).narrow(0, 0, 1).item()?)
}

fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e7).round() / 1e4
}

/// Milliseconds since the runner started this process (`BENCH_T0_NS`), or 0 when nobody says.
fn since_launch_ms() -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos());
    let start = std::env::var("BENCH_T0_NS").ok().and_then(|t| t.parse().ok()).unwrap_or(now);
    (now.saturating_sub(start) / 1000) as f64 / 1000.0
}

/// Linux: the high-water mark of resident memory.
fn peak_rss_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kib: f64 = status.lines().find_map(|l| l.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok())?;
    Some(kib / 1024.0)
}
