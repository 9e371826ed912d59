//! A profile as a file that trace viewers show.

use std::{path::Path, time::Duration};

use serde_json::json;
use thalweg_graph::{Profile, Result, Span};

use crate::atomic::write_atomically;

/// Profiles as traces, which `ui.perfetto.dev` and `chrome://tracing` show.
///
/// ```
/// # use thalweg_graph::{Device, Profile, Result};
/// # use thalweg_train::ProfileExt;
/// # fn step() -> Result<()> { Ok(()) }
/// # fn example(device: &Device) -> Result<()> {
/// let (stepped, profile) = device.profile(|| step());
/// profile.write_trace("step.json")?;
/// # stepped }
/// ```
pub trait ProfileExt {
    /// The launches as trace events in JSON.
    ///
    /// # Source
    /// "Trace Event Format", complete events (`ph: "X"`), times in microseconds.
    fn trace_events(&self) -> String;

    /// Writes them to a file, atomically.
    ///
    /// # Errors
    /// When it cannot be written.
    #[track_caller]
    fn write_trace(&self, path: impl AsRef<Path>) -> Result<()>;
}

impl ProfileExt for Profile {
    fn trace_events(&self) -> String {
        let us = |time: Duration| time.as_nanos() as f64 / 1e3;
        let event = |span: &Span| {
            let label = span.label();
            json!({
                "name": span.name(),
                "cat": span.phase().to_string(),
                "ph": "X",
                "ts": us(span.start.saturating_duration_since(self.start())),
                "dur": us(span.duration),
                "pid": 1,
                "tid": 1,
                "args": {
                    "parameter": label.and_then(|label| label.path.as_deref()),
                    "line": label.map(|label| format!("{}:{}", label.location.file(), label.location.line())),
                    "ops": span.members.iter().map(|label| label.op).collect::<Vec<_>>(),
                    "kernel": span.kernel,
                    "flop": span.cost.flop,
                    "bytes": span.cost.bytes,
                },
            })
        };
        serde_json::Value::from(self.spans().iter().map(event).collect::<Vec<_>>()).to_string()
    }

    #[track_caller]
    fn write_trace(&self, path: impl AsRef<Path>) -> Result<()> {
        write_atomically(path, self.trace_events().as_bytes())
    }
}
