//! Many programs, one after the other.

use std::time::{Duration, Instant};

use super::{
    super::{check::Contender, series::Tally},
    actions::Program,
    print::print,
    run::check,
    shrink::shrink,
};

/// Programs with consecutive seeds.
pub struct Series {
    /// The seed of the first.
    pub seed: u64,
    /// How many; without end if none is given.
    pub count: Option<u64>,
    /// When to stop.
    pub until: Option<Instant>,
    /// Who runs them, in turn.
    pub contenders: Vec<Contender>,
    /// How long a failure may shrink.
    pub shrink: Duration,
}

impl Series {
    /// Runs them. `report` gets the tally after each program, and a failure as a program; it says whether to go on.
    pub fn run(&self, mut report: impl FnMut(Option<String>, Tally) -> bool) -> Tally {
        let mut tally = Tally::default();
        while self.count.is_none_or(|n| tally.ran < n) && self.until.is_none_or(|end| Instant::now() < end) {
            let seed = self.seed.wrapping_add(tally.ran);
            let program = Program::draw(seed);
            let contender = &self.contenders[seed as usize % self.contenders.len()];
            tally.ran += 1;
            let failure = check(&program, contender).err().map(|failure| {
                tally.failed += 1;
                let (smaller, failure) = shrink(&program, &failure, contender, self.shrink);
                print(&smaller, &failure)
            });
            if !report(failure, tally) {
                break;
            }
        }
        tally
    }
}
