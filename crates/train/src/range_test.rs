//! Which learning rate to take: a sweep over all of them.

use std::path::Path;

use plotters::prelude::*;
use thalweg_graph::{
    Error, ErrorKind, Module, Result, Tensor,
    module::snapshot::{Snapshot, Stateful},
};
use thalweg_optim::{
    Optimizer,
    schedule::{Family, Geometric},
};

use crate::{
    atomic::write_atomically,
    chart::{Chart, Line, logarithmic},
};

/// The learning rate range test: some steps with rates that grow geometrically, and the loss at each.
///
/// ```ignore
/// let sweep = RangeTest::default().run(&net, &opt, |step| Ok(loss_of(batches.next()?)))?;
/// sweep.save("rates.svg")?;
/// opt.set_lr(sweep.steepest().unwrap_or(1e-3))?;
/// ```
///
/// # Source
/// Smith 2017, arXiv:1506.01186, §3.3.
#[derive(Clone, Debug, PartialEq)]
pub struct RangeTest {
    /// The first rate.
    pub from: f64,
    /// The last rate.
    pub to: f64,
    /// How many steps there are.
    pub steps: usize,
    /// The decay of the mean that smooths the losses.
    pub smoothing: f64,
    /// It stops when the smoothed loss is this many times its least.
    pub diverged: f64,
}

impl Default for RangeTest {
    fn default() -> RangeTest {
        RangeTest { from: 1e-7, to: 10.0, steps: 100, smoothing: 0.98, diverged: 4.0 }
    }
}

/// What came of a range test: rates with their losses.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    /// The loss at each rate.
    pub losses: Vec<(f64, f64)>,
    /// The smoothed loss.
    pub smooth: Vec<(f64, f64)>,
}

impl RangeTest {
    /// Runs it, by a function that gives the loss of a step. Model and optimizer, with its rate or schedule, are then what they were.
    ///
    /// # Errors
    /// Settings that are no range; as [`Optimizer::step`].
    #[track_caller]
    pub fn run<M: Module>(
        &self,
        net: &M,
        opt: &Optimizer,
        mut loss: impl FnMut(usize) -> Result<Tensor>,
    ) -> Result<Sweep> {
        let rates = Geometric { from: self.from, to: self.to, over: (self.steps.max(2) - 1) as f64 };
        if rates.check().is_err() || self.steps < 2 || !(0.0..1.0).contains(&self.smoothing) {
            let problem = format!("{self:?}: needs positive rates, two steps at least, and a smoothing in [0, 1)");
            return Err(Error::new("range_test", ErrorKind::Invalid(problem)));
        }
        let (mut model, mut state) = (Snapshot::new(), Snapshot::new());
        net.save(&mut model)?;
        opt.save(&mut state)?;
        let (rate, schedule) = (opt.lr(), opt.current_schedule());
        let swept = self.sweep(&rates, opt, &mut loss);
        net.load(&model)?;
        opt.load(&state)?;
        match schedule {
            Some(schedule) => opt.set_schedule(schedule),
            None => opt.set_lr(rate)?,
        }
        swept
    }

    #[track_caller]
    fn sweep(
        &self,
        rates: &Geometric,
        opt: &Optimizer,
        loss: &mut impl FnMut(usize) -> Result<Tensor>,
    ) -> Result<Sweep> {
        let mut sweep = Sweep { losses: Vec::new(), smooth: Vec::new() };
        let (mut mean, mut weight, mut least) = (0.0, 0.0, f64::INFINITY);
        for step in 0..self.steps {
            let rate = rates.at(step as f64);
            opt.set_lr(rate)?;
            let loss = loss(step)?;
            opt.step(&loss)?;
            let loss = loss.item()?;
            let mix = |mean: f64, new: f64| self.smoothing * mean + (1.0 - self.smoothing) * new;
            (mean, weight) = (mix(mean, loss), mix(weight, 1.0));
            let smooth = mean / weight;
            if !smooth.is_finite() {
                break;
            }
            sweep.losses.push((rate, loss));
            sweep.smooth.push((rate, smooth));
            least = least.min(smooth);
            if smooth > self.diverged * least {
                break;
            }
        }
        Ok(sweep)
    }
}

impl Sweep {
    /// The rate at which the smoothed loss falls fastest against the logarithm of the rate; `None` where it never falls.
    pub fn steepest(&self) -> Option<f64> {
        let slope = |w: &[(f64, f64)]| (w[1].0, (w[2].1 - w[0].1) / (w[2].0 / w[0].0).ln());
        let falling = self.smooth.windows(3).map(slope).filter(|(_, slope)| *slope < 0.0);
        falling.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(rate, _)| rate)
    }

    /// A tenth of the rate at which the smoothed loss is least.
    pub fn tenth_of_best(&self) -> Option<f64> {
        self.smooth.iter().min_by(|a, b| a.1.total_cmp(&b.1)).map(|(rate, _)| rate / 10.0)
    }

    /// Losses over rates, both on logarithmic axes, with both suggestions, as SVG. Losses that are not positive have no place on it.
    ///
    /// # Errors
    /// When the plot cannot be drawn.
    #[track_caller]
    pub fn svg(&self, title: &str) -> Result<String> {
        let visible = |points: &[(f64, f64)]| points.iter().copied().filter(|p| p.1 > 0.0).collect::<Vec<_>>();
        let (losses, smooth) = (visible(&self.losses), visible(&self.smooth));
        let all = || losses.iter().chain(&smooth);
        let (rates, range) = (logarithmic(all().map(|p| p.0)), logarithmic(all().map(|p| p.1)));
        let at = |rate: f64| vec![(rate, range.start), (rate, range.end)];
        let (steepest, tenth) = (self.steepest(), self.tenth_of_best());
        let named = |what: &str, rate: Option<f64>| rate.map_or(String::new(), |rate| format!("{what}: {rate:.2e}"));
        let names = [named("steepest", steepest), named("a tenth of the best", tenth)];
        let mut lines = vec![
            Line { name: "loss", color: RGBColor(170, 190, 230), points: losses.clone() },
            Line { name: "smoothed", color: BLUE, points: smooth.clone() },
        ];
        for ((name, rate), color) in names.iter().zip([steepest, tenth]).zip([RED, GREEN]) {
            if let Some(rate) = rate.filter(|rate| rates.contains(rate)) {
                lines.push(Line { name, color, points: at(rate) });
            }
        }
        let legend = Some(SeriesLabelPosition::UpperLeft);
        Chart { title, x: "learning rate", y: "loss", legend }.svg(rates.log_scale(), range.clone().log_scale(), lines)
    }

    /// Writes [`Sweep::svg`] to a file, atomically.
    ///
    /// # Errors
    /// When it cannot be drawn or written.
    #[track_caller]
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        write_atomically(path, self.svg("learning rate range test")?.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use thalweg_cpu::StrictCpu;
    use thalweg_graph::{Device, Param};
    use thalweg_optim::{Adam, RuleExt, Sgd, schedule::Cosine};

    use super::*;

    fn param() -> Param {
        let device = Device::new(Arc::new(StrictCpu::new()));
        Param::new(Tensor::from_slice(&device, &[1.0f32, -2.0], [2])).unwrap()
    }

    fn saved(parts: [&dyn Stateful; 2]) -> Vec<Vec<(String, String)>> {
        let entries = |part: &dyn Stateful| {
            let mut all = Snapshot::new();
            part.save(&mut all).unwrap();
            all.iter().map(|(name, value)| (name.to_string(), format!("{value:?}"))).collect()
        };
        parts.map(entries).to_vec()
    }

    /// Gradient descent on `x² / 2` diverges above a rate of 2.
    #[test]
    fn finds_rates_at_which_the_loss_falls_and_leaves_everything_as_it_was() {
        let net = param();
        let opt = Sgd { momentum: 0.5, ..Sgd::default() }.init(&net).unwrap();
        let loss = || (net.tensor().square() * 0.5).sum(..);
        opt.step(&loss()).unwrap();
        let before = saved([&net, &opt]);
        let test = RangeTest { from: 1e-3, to: 100.0, steps: 60, smoothing: 0.5, ..RangeTest::default() };
        let sweep = test.run(&net, &opt, |_| Ok(loss())).unwrap();
        assert_eq!(saved([&net, &opt]), before);
        assert_eq!(opt.lr(), 1e-2);
        assert!(sweep.losses.len() < 60 && sweep.losses[0].0 == 1e-3, "it diverges: {sweep:?}");
        let (steepest, tenth) = (sweep.steepest().unwrap(), sweep.tenth_of_best().unwrap());
        assert!((0.01..2.0).contains(&steepest) && (0.01..0.5).contains(&tenth), "{steepest}, {tenth}");
        let svg = sweep.svg("rates").unwrap();
        assert!(svg.contains("steepest: ") && svg.contains("a tenth of the best: ") && svg.contains("</svg>"));
        let empty = Sweep { losses: vec![], smooth: vec![] };
        assert!(empty.svg("none").unwrap().contains("</svg>") && empty.steepest().is_none());
    }

    #[test]
    fn a_schedule_goes_on_and_errors_change_nothing() {
        let net = param();
        let rate = Cosine { from: 0.1, to: 0.0, over: 10.0 };
        let opt = Adam::default().init(&net).unwrap().schedule(rate);
        let loss = || (net.tensor().square() * 0.5).sum(..);
        let before = saved([&net, &opt]);
        let fails = |step| if step < 3 { Ok(loss()) } else { loss().reshape([7]).check().map(|()| loss()) };
        assert!(RangeTest::default().run(&net, &opt, fails).unwrap_err().to_string().contains("reshape"));
        assert_eq!(saved([&net, &opt]), before);
        assert_eq!(opt.current_schedule(), Some(rate.into()));
        let error = RangeTest { from: 0.0, ..RangeTest::default() }.run(&net, &opt, fails).unwrap_err().to_string();
        assert!(error.contains("needs positive rates, two steps at least"), "{error}");
    }
}
