//! Pictures of schedules.

use std::path::Path;

use plotters::prelude::*;
use thalweg_graph::Result;
use thalweg_optim::schedule::{Family, Schedule};

use crate::{
    atomic::write_atomically,
    chart::{Chart, Line},
};

/// How many points a line is drawn by.
const POINTS: usize = 1000;

/// What schedules look like.
pub trait DrawExt {
    /// The rate over so many steps, as SVG, titled by how it is written.
    ///
    /// # Errors
    /// When the plot cannot be drawn.
    #[track_caller]
    fn svg(&self, steps: usize) -> Result<String>;

    /// Writes [`DrawExt::svg`] to a file, atomically.
    ///
    /// # Errors
    /// When it cannot be drawn or written.
    #[track_caller]
    fn save_svg(&self, path: impl AsRef<Path>, steps: usize) -> Result<()> {
        write_atomically(path, self.svg(steps)?.as_bytes())
    }
}

impl<F: Family> DrawExt for F {
    #[track_caller]
    fn svg(&self, steps: usize) -> Result<String> {
        let schedule: Schedule = self.clone().into();
        let last = steps.max(2) - 1;
        let at = |i: usize| (i * last / POINTS.min(last)) as f64;
        let points = (0..=POINTS.min(last)).map(|i| (at(i), schedule.at(at(i)))).filter(|(_, rate)| rate.is_finite());
        let points: Vec<(f64, f64)> = points.collect();
        let high = points.iter().map(|p| p.1).fold(0.0, f64::max);
        let high = if high > 0.0 { 1.05 * high } else { 1.0 };
        let title = schedule.to_string();
        let lines = vec![Line { name: "rate", color: BLUE, points }];
        Chart { title: &title, x: "step", y: "learning rate", legend: None }.svg(0.0..last as f64, 0.0..high, lines)
    }
}

#[cfg(test)]
mod tests {
    use thalweg_optim::schedule::{Constant, Cosine, Lambda, WarmUp};

    use super::*;

    #[test]
    fn any_schedule_is_drawn_over_any_number_of_steps() {
        let rate = WarmUp { to: 3e-4, over: 20.0 }.then(Cosine { from: 3e-4, to: 0.0, over: 80.0 });
        let wild = Lambda::new("tan", f64::tan).times(1e9);
        for steps in [0, 1, 2, 3, 100, 1001, 1_000_000] {
            for svg in [rate.svg(steps).unwrap(), Constant(0.0).svg(steps).unwrap(), wild.svg(steps).unwrap()] {
                assert!(svg.contains("</svg>") && svg.contains("<polyline") && !svg.contains("NaN"), "{svg}");
            }
        }
        assert!(rate.svg(100).unwrap().contains("Cosine { from: 0.0003"));
    }
}
