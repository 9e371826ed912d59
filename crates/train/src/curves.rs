//! Losses of several runs, as one picture.

use std::path::Path;

use plotters::prelude::*;
use thalweg_graph::Result;

use crate::{
    atomic::write_atomically,
    chart::{Chart, Line, logarithmic},
};

/// A line of losses for each of several runs.
#[derive(Clone, Debug, Default)]
pub struct Curves {
    lines: Vec<(String, Vec<(f64, f64)>)>,
}

impl Curves {
    /// A run's losses by step.
    pub fn line(&mut self, name: impl Into<String>, losses: impl IntoIterator<Item = (usize, f64)>) {
        let points = losses.into_iter().map(|(step, loss)| (step as f64, loss)).collect();
        self.lines.push((name.into(), points));
    }

    /// All lines as SVG, the loss on a logarithmic axis. Losses that are not positive numbers have no place on it and are left out.
    ///
    /// # Errors
    /// When the plot cannot be drawn.
    #[track_caller]
    pub fn svg(&self, title: &str) -> Result<String> {
        let visible = |points: &[(f64, f64)]| -> Vec<(f64, f64)> {
            points.iter().copied().filter(|(_, loss)| loss.is_finite() && *loss > 0.0).collect()
        };
        let mut lines = Vec::with_capacity(self.lines.len());
        for (i, (name, points)) in self.lines.iter().enumerate() {
            lines.push(Line { name, color: color(i, self.lines.len()), points: visible(points) });
        }
        let points: Vec<(f64, f64)> = lines.iter().flat_map(|line: &Line| line.points.clone()).collect();
        let last = points.iter().map(|p| p.0).fold(1.0, f64::max);
        let losses = logarithmic(points.iter().map(|p| p.1));
        let legend = Some(SeriesLabelPosition::UpperRight);
        Chart { title, x: "step", y: "loss", legend }.svg(0.0..last, losses.log_scale(), lines)
    }

    /// Writes [`Curves::svg`] to a file, atomically.
    ///
    /// # Errors
    /// When it cannot be drawn or written.
    #[track_caller]
    pub fn save(&self, path: impl AsRef<Path>, title: &str) -> Result<()> {
        write_atomically(path, self.svg(title)?.as_bytes())
    }
}

/// Hues all around, dark and light in turn, so that neighbours can be told apart.
fn color(i: usize, of: usize) -> RGBColor {
    let (hue, light) = (i as f64 / of.max(1) as f64, if i.is_multiple_of(2) { 0.35 } else { 0.55 });
    let (r, g, b) = HSLColor(hue, 0.9, light).to_backend_color().rgb;
    RGBColor(r, g, b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_every_line_in_a_colour_of_its_own() {
        let mut curves = Curves::default();
        assert!(curves.svg("none").unwrap().contains("</svg>"));
        for name in ["Sgd", "Adam", "Lion"] {
            curves.line(name, (0..20).map(|step| (step, 2.0 / (1.0 + step as f64))));
        }
        curves.line("none", [(0, f64::NAN), (1, -1.0)]);
        let svg = curves.svg("rules").unwrap();
        assert!(["Sgd", "Adam", "Lion", "rules"].iter().all(|name| svg.contains(name)), "{svg}");
        let colors: std::collections::HashSet<_> = (0..4).map(|i| color(i, 4)).map(|c| (c.0, c.1, c.2)).collect();
        assert!(colors.len() == 4 && !svg.contains("NaN"));
    }
}
