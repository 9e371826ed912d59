//! One measurement, as a line of JSON.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What is printed for one workload and size.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Line {
    /// Always `thalweg`.
    pub peer: String,
    /// The device as the user names it, or its name.
    pub backend: String,
    /// `W1` …
    pub workload: String,
    /// Size, dtype and what else distinguishes lines of one workload.
    pub params: Map<String, Value>,
    /// Median of a call, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub median_ms: Option<f64>,
    /// Fastest call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_ms: Option<f64>,
    /// Timed samples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runs: Option<usize>,
    /// The rate that the workload defines, from the median.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gflops_or_gbps: Option<f64>,
    /// `GFLOP/s` or `GB/s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Highest resident memory of the process, where the system tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_rss_mb: Option<f64>,
    /// The first call of this size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_call_ms: Option<f64>,
    /// From the launch of the process to the end of its first call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub startup_ms: Option<f64>,
    /// Sum of the output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<f64>,
    /// Loss of the first step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss_first: Option<f64>,
    /// Loss of the last step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss_last: Option<f64>,
    /// Launches of one training step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub launches: Option<usize>,
    /// Distinct kernels among them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernels: Option<usize>,
    /// Bytes of the step's activation pool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub planned_bytes: Option<u64>,
    /// This crate's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What went wrong, instead of figures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Line {
    /// Prints it.
    pub fn print(&self) {
        match serde_json::to_string(self) {
            Ok(text) => println!("{text}"),
            Err(error) => eprintln!("{}: {error}", self.workload),
        }
    }

    /// The row it belongs to in a table: the workload and its size.
    pub fn row(&self) -> String {
        match self.params.get("n") {
            Some(n) => format!("{} {n}", self.workload),
            None => self.workload.clone(),
        }
    }
}
