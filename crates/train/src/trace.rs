//! A profile as a file that trace viewers show.

use std::{path::Path, time::Duration};

use nojson::json;
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
            let line = label.map(|label| format!("{}:{}", label.location.file(), label.location.line()));
            let args = json(|f| {
                f.object(|f| {
                    f.member("parameter", label.and_then(|label| label.path.as_deref()))?;
                    f.member("line", &line)?;
                    f.member("ops", span.members.iter().map(|label| label.op).collect::<Vec<_>>())?;
                    f.member("kernel", span.kernel)?;
                    f.member("flop", span.cost.flop)?;
                    f.member("bytes", span.cost.bytes)
                })
            });
            json(|f| {
                f.object(|f| {
                    f.member("name", span.name())?;
                    f.member("cat", span.phase().to_string())?;
                    f.member("ph", "X")?;
                    f.member("ts", us(span.start.saturating_duration_since(self.start())))?;
                    f.member("dur", us(span.duration))?;
                    f.member("pid", 1)?;
                    f.member("tid", 1)?;
                    f.member("args", &args)
                })
            })
            .to_string()
        };
        format!("[{}]", self.spans().iter().map(event).collect::<Vec<_>>().join(","))
    }

    #[track_caller]
    fn write_trace(&self, path: impl AsRef<Path>) -> Result<()> {
        write_atomically(path, self.trace_events().as_bytes())
    }
}
