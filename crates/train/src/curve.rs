//! The loss curve, as a picture.

use std::path::Path;

use plotters::prelude::*;
use thalweg_graph::Result;

use crate::{
    atomic::write_atomically,
    chart::{Chart, Line, logarithmic},
};

/// Training loss by step, and test loss where it was measured.
#[derive(Clone, Debug, Default)]
pub struct Curve {
    pub(crate) train: Vec<(f64, f64)>,
    pub(crate) test: Vec<(f64, f64)>,
}

impl Curve {
    /// The training loss of a step.
    pub fn train(&mut self, step: usize, loss: f64) {
        self.train.push((step as f64, loss));
    }

    /// The test loss after a step.
    pub fn test(&mut self, step: usize, loss: f64) {
        self.test.push((step as f64, loss));
    }

    /// The curve as SVG: the loss on a logarithmic axis, training in blue, test in red. Losses that are not positive numbers
    /// have no place on it and are left out.
    ///
    /// # Errors
    /// When the plot cannot be drawn.
    #[track_caller]
    pub fn svg(&self, title: &str) -> Result<String> {
        let [train, test] = [&self.train, &self.test].map(|line| visible(line));
        let all = || train.iter().chain(&test);
        let last = all().map(|p| p.0).fold(1.0, f64::max);
        let losses = logarithmic(all().map(|p| p.1));
        let lines = vec![
            Line { name: "training", color: BLUE, points: train },
            Line { name: "test", color: RED, points: test },
        ];
        let legend = Some(SeriesLabelPosition::MiddleRight);
        Chart { title, x: "step", y: "loss", legend }.svg(0.0..last, losses.log_scale(), lines)
    }

    /// Writes [`Curve::svg`] to a file, atomically.
    ///
    /// # Errors
    /// When it cannot be drawn or written.
    #[track_caller]
    pub fn save(&self, path: impl AsRef<Path>, title: &str) -> Result<()> {
        write_atomically(path, self.svg(title)?.as_bytes())
    }

    /// The curve as a table, `step,training loss,test loss`, with a line for each step of which one of them is known.
    pub fn csv(&self) -> String {
        let point = |(step, loss): &(f64, f64), test| (*step, test, *loss);
        let mut points: Vec<_> = self.train.iter().map(|p| point(p, false)).collect();
        points.extend(self.test.iter().map(|p| point(p, true)));
        points.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let line = |points: &[(f64, bool, f64)]| {
            let loss = |of| points.iter().find(|p| p.1 == of).map_or(String::new(), |p| p.2.to_string());
            format!("{},{},{}\n", points[0].0, loss(false), loss(true))
        };
        let lines = points.chunk_by(|a, b| a.0 == b.0).map(line);
        std::iter::once("step,training loss,test loss\n".to_string()).chain(lines).collect()
    }
}

fn visible(line: &[(f64, f64)]) -> Vec<(f64, f64)> {
    line.iter().copied().filter(|(_, loss)| loss.is_finite() && *loss > 0.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_both_lines_and_survives_bad_losses() {
        let mut curve = Curve::default();
        assert!(curve.svg("empty").unwrap().contains("</svg>"));
        for step in 0..100 {
            curve.train(step, 2.3 * (-(step as f64) / 30.0).exp());
        }
        curve.train(100, f64::NAN);
        curve.test(50, 0.7);
        curve.test(100, 0.0);
        let svg = curve.svg("digits").unwrap();
        assert!(svg.contains("<polyline") && svg.contains("digits") && svg.contains("#FF0000"), "{svg}");
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn is_a_table_of_what_is_known() {
        let mut curve = Curve::default();
        assert_eq!(curve.csv(), "step,training loss,test loss\n");
        curve.train(1, 2.5);
        curve.test(2, 0.75);
        curve.train(2, 1.25);
        curve.test(3, 0.5);
        assert_eq!(curve.csv(), "step,training loss,test loss\n1,2.5,\n2,1.25,0.75\n3,,0.5\n");
    }
}
