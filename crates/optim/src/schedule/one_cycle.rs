//! One rise and one fall.

use super::{Constant, Cosine, Family, Linear, Schedule, check};

/// How [`OneCycle`] gets from rate to rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// As half a cosine.
    Cosine,
    /// In a straight line.
    Linear,
}

/// What [`OneCycle`] does behind its peak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phases {
    /// It falls to the last rate.
    Two,
    /// It falls to the first rate as fast as it rose, and to the last one from there.
    Three,
}

/// One cycle: from `peak / div` up to `peak` by step `rise · over - 1`, and down to `peak / (div · final_div)` by step `over - 1`,
/// the last one. The places of the corners are PyTorch's.
///
/// # Source
/// Smith & Topin 2017, arXiv:1708.07120.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OneCycle {
    /// The largest rate.
    pub peak: f64,
    /// How many rates there are.
    pub over: f64,
    /// The share of them that rise.
    pub rise: f64,
    /// How much smaller the first rate is than the peak.
    pub div: f64,
    /// How much smaller the last rate is than the first one.
    pub final_div: f64,
    /// The way between the corners.
    pub curve: Curve,
    /// The corners.
    pub phases: Phases,
}

impl OneCycle {
    /// Two phases of cosines, three tenths of which rise, from a 25th of the peak; down to 10⁻⁴ of that.
    pub fn new(peak: f64, over: f64) -> OneCycle {
        let (curve, phases) = (Curve::Cosine, Phases::Two);
        OneCycle { peak, over, rise: 0.3, div: 25.0, final_div: 1e4, curve, phases }
    }

    /// The momentum that goes with it: from `high` down to `low` where the rate peaks, and back; it stays there in a third phase.
    #[must_use]
    pub fn momentum(self, low: f64, high: f64) -> OneCycle {
        OneCycle { peak: low, div: low / high, final_div: 1.0, ..self }
    }

    /// Corner to corner.
    fn phase(&self, from: f64, to: f64, over: f64) -> Schedule {
        match self.curve {
            Curve::Cosine => Cosine { from, to, over }.into(),
            Curve::Linear => Linear { from, to, over }.into(),
        }
    }
}

impl Family for OneCycle {
    fn at(&self, t: f64) -> f64 {
        let (first, last) = (self.peak / self.div, self.peak / (self.div * self.final_div));
        // A rise shorter than a step is over before the first one.
        let top = self.rise * self.over - 1.0;
        let corners = match self.phases {
            Phases::Two => vec![(0.0, first), (top, self.peak), (self.over - 1.0, last)],
            Phases::Three => vec![(0.0, first), (top, self.peak), (2.0 * top, first), (self.over - 1.0, last)],
        };
        let Some(pair) = corners.windows(2).find(|pair| t <= pair[1].0) else {
            return last;
        };
        let [(start, from), (end, to)] = pair else { return last };
        match end > start {
            true => self.phase(*from, *to, end - start).at(t - start),
            false => Constant(*to).at(t),
        }
    }

    fn check(&self) -> Result<(), String> {
        check::rate("peak", self.peak)?;
        check::positive("over", self.over)?;
        check::of((0.0..=1.0).contains(&self.rise), "rise", self.rise, "in [0, 1]")?;
        check::positive("div", self.div)?;
        check::positive("final_div", self.final_div)
    }

    fn length(&self) -> f64 {
        self.over
    }
}
