//! Many programs, one after the other.

use std::time::{Duration, Instant};

use super::{
    check::{Contender, check},
    print::print,
    program::Program,
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
    /// Who runs them, besides the strict executor.
    pub contenders: Vec<Contender>,
    /// How long a failure may shrink.
    pub shrink: Duration,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Programs that ran.
    pub ran: u64,
    /// Those on which executors disagree.
    pub failed: u64,
}

impl Series {
    /// Runs them. `report` gets the tally after each program, and a failure as a test; it says whether to go on.
    pub fn run(&self, mut report: impl FnMut(Option<String>, Tally) -> bool) -> Tally {
        let mut tally = Tally::default();
        while self.count.is_none_or(|n| tally.ran < n) && self.until.is_none_or(|end| Instant::now() < end) {
            let program = Program::draw(self.seed.wrapping_add(tally.ran));
            tally.ran += 1;
            let failure = check(&program, &self.contenders).err().map(|failure| {
                tally.failed += 1;
                let (smaller, failure) = shrink(&program, &failure, &self.contenders, self.shrink);
                print(&smaller, &failure)
            });
            if !report(failure, tally) {
                break;
            }
        }
        tally
    }
}
