//! The progress bar.

use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar that counts samples and shows loss, accuracy and samples per second.
///
/// It draws to stderr, and only to a terminal; the last line of every epoch is printed either way.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    name: String,
    start: Instant,
    samples: u64,
    shown: String,
}

impl Progress {
    /// A bar named `epoch 1/3` that ends after `samples`.
    pub fn new(name: impl Into<String>, samples: usize) -> Progress {
        let name = name.into();
        let bar = ProgressBar::with_draw_target(Some(samples as u64), ProgressDrawTarget::stderr_with_hz(8));
        let style = ProgressStyle::with_template("{prefix} [{bar:32}] {pos}/{len}  {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
        bar.set_prefix(name.clone());
        Progress { bar, name, start: Instant::now(), samples: 0, shown: String::new() }
    }

    /// So many samples more.
    pub fn advance(&mut self, samples: usize) {
        self.samples += samples as u64;
        self.bar.inc(samples as u64);
    }

    /// The latest mean loss, and the accuracy (0 to 1) where it is known.
    pub fn show(&mut self, loss: f64, accuracy: Option<f64>) {
        let accuracy = accuracy.map_or(String::new(), |a| format!("  accuracy {:.2} %", 100.0 * a));
        self.shown = format!("loss {loss:.4}{accuracy}");
        self.bar.set_message(format!("{}  {:.0} samples/s", self.shown, self.rate()));
    }

    /// Samples per second since the bar was made.
    pub fn rate(&self) -> f64 {
        self.samples as f64 / self.start.elapsed().as_secs_f64().max(1e-9)
    }

    /// Removes the bar and prints its summary, with `more` behind it.
    pub fn finish(self, more: &str) {
        self.bar.finish_and_clear();
        let seconds = self.start.elapsed().as_secs_f64();
        println!("{}  {}{more}  {:.0} samples/s  {seconds:.1} s", self.name, self.shown, self.rate());
    }
}
