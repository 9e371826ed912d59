//! The measurements of several devices side by side.

use std::fmt::Write;

use crate::line::Line;

/// A Markdown table: for each workload and size the median and rate on every device, and how many times faster than the
/// first device each other one is.
pub fn table(lines: &[Line], devices: &[String]) -> String {
    let mut rows: Vec<String> = Vec::new();
    for line in lines {
        if !rows.contains(&line.row()) {
            rows.push(line.row());
        }
    }
    let mut text = String::from("| workload |");
    for (i, device) in devices.iter().enumerate() {
        let _ = write!(text, " {device} |{}", if i > 0 { " ratio |" } else { "" });
    }
    text.push_str("\n|---|");
    text.push_str(&"---|".repeat(2 * devices.len() - usize::from(!devices.is_empty())));
    for row in &rows {
        let _ = write!(text, "\n| {row} |");
        let of = |device: &String| lines.iter().find(|l| l.row() == *row && l.backend == *device);
        let median = |device: &String| of(device).filter(|l| l.error.is_none()).and_then(|l| l.median_ms);
        let base = devices.first().and_then(median);
        for (i, device) in devices.iter().enumerate() {
            let _ = write!(text, " {} |", of(device).map_or("-".into(), cell));
            if i > 0 {
                let ratio = base.zip(median(device)).map(|(base, ms)| format!("{:.2}", base / ms));
                let _ = write!(text, " {} |", ratio.unwrap_or("-".into()));
            }
        }
    }
    text.push('\n');
    text
}

fn cell(line: &Line) -> String {
    if line.error.is_some() {
        return "failed".into();
    }
    let figure =
        |x: Option<f64>| x.map_or("-".into(), |x| if x < 10.0 { format!("{x:.3}") } else { format!("{x:.1}") });
    let mut text = format!(
        "{} ms, {} {}",
        figure(line.median_ms),
        figure(line.gflops_or_gbps),
        line.unit.as_deref().unwrap_or_default()
    );
    if let (Some(launches), Some(kernels)) = (line.launches, line.kernels) {
        let _ = write!(text, ", {launches} launches of {kernels} kernels");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn puts_devices_side_by_side_with_the_ratio() {
        let line = |backend: &str, ms: f64| Line {
            backend: backend.into(),
            workload: "W6".into(),
            median_ms: Some(ms),
            gflops_or_gbps: Some(2.5),
            unit: Some("GB/s".into()),
            ..Line::default()
        };
        let devices = ["cpu".to_string(), "gpu".to_string()];
        let text = table(&[line("cpu", 20.0), line("gpu", 5.0)], &devices);
        let want = "| workload | cpu | gpu | ratio |\n|---|---|---|---|\n| W6 | 20.0 ms, 2.500 GB/s | 5.000 ms, 2.500 \
                    GB/s | 4.00 |\n";
        assert_eq!(text, want);
        let failed = Line { error: Some("x".into()), ..line("gpu", 1.0) };
        assert!(table(&[line("cpu", 20.0), failed], &devices).contains("| failed | - |"));
    }
}
