//! A smaller program that fails as well.

use std::time::{Duration, Instant};

use super::{
    check::{Contender, Failure, check},
    program::{Fill, Habits, Program},
    script::Script,
};

/// Takes away and simplifies as long as the contender that failed still does, and the time allows.
pub fn shrink(program: &Program, failure: &Failure, contenders: &[Contender], time: Duration) -> (Program, Failure) {
    let end = Instant::now() + time;
    let only: Vec<Contender> = contenders.iter().filter(|c| c.name == failure.contender).cloned().collect();
    let (mut best, mut why) = (program.clone(), failure.clone());
    let settled = Script::settle(program).settled(program);
    if let Err(found) = check(&settled, &only) {
        (best, why) = (settled, found);
    }
    loop {
        let mut better = false;
        // A list made anew after every success: what was next may be gone.
        let mut next = 0;
        while let Some(smaller) = candidates(&best).into_iter().nth(next) {
            if Instant::now() > end {
                return (best, why);
            }
            match check(&smaller, &only) {
                // Another contender's failure, or another kind of failure, is another story.
                Err(found) if found.contender == why.contender && kind(&found) == kind(&why) => {
                    (best, why) = (smaller, found);
                    better = true;
                }
                _ => next += 1,
            }
        }
        if !better {
            return (best, why);
        }
    }
}

fn kind(failure: &Failure) -> &'static str {
    let what = &failure.what;
    if what.contains("panic:") {
        "panic"
    } else if what.contains("allowed") {
        "value"
    } else {
        "error"
    }
}

/// Every program that is one change simpler, the greatest changes first.
fn candidates(p: &Program) -> Vec<Program> {
    let mut all = Vec::new();
    let mut with = |change: &dyn Fn(&mut Program)| {
        let mut q = p.clone();
        change(&mut q);
        if q != *p && !q.leaves.is_empty() {
            all.push(q);
        }
    };
    // Runs of instructions, then single ones; whoever used one uses its first operand instead.
    for run in [p.steps.len() / 2, p.steps.len() / 4, 2, 1] {
        for start in (0..p.steps.len()).rev().step_by(run.max(1)) {
            with(&|q| (0..run).for_each(|_| remove(q, start)));
        }
    }
    for i in 0..p.habits.outputs.len() {
        with(&|q| {
            if q.habits.outputs.len() > 1 {
                q.habits.outputs.remove(i);
            }
        });
    }
    for i in 0..p.habits.writes.len() {
        with(&|q| {
            q.habits.writes.remove(i);
        });
    }
    with(&|q| q.habits.second = false);
    with(&|q| q.habits.gradient = q.habits.second);
    with(&|q| q.habits.read_first = false);
    with(&|q| q.habits.peek = None);
    with(&|q| q.habits.hold = false);
    with(&|q| q.habits.together = true);
    for i in 0..p.leaves.len() {
        with(&|q| {
            q.leaves.remove(i);
        });
        with(&|q| q.leaves[i].tracked = false);
        for d in 0..p.leaves[i].shape.len() {
            let n = p.leaves[i].shape[d];
            with(&|q| {
                q.leaves[i].shape.remove(d);
            });
            // The same extent everywhere, then here alone.
            for smaller in [1, 2, n / 2, n.saturating_sub(1)].into_iter().filter(|m| *m > 0 && *m < n) {
                with(&|q| {
                    q.leaves.iter_mut().flat_map(|l| &mut l.shape).filter(|e| **e == n).for_each(|e| *e = smaller)
                });
                with(&|q| q.leaves[i].shape[d] = smaller);
            }
        }
        with(&|q| {
            if matches!(q.leaves[i].fill, Fill::Spread | Fill::Order | Fill::Number | Fill::Positions | Fill::Draw) {
                q.leaves[i].fill = Fill::Grid;
            }
        });
        with(&|q| {
            if q.leaves[i].fill == Fill::Grid {
                q.leaves[i].fill = Fill::Ones;
            }
        });
    }
    for i in 0..p.steps.len() {
        for seed in 0..p.steps[i].seed.min(3) {
            with(&|q| q.steps[i].seed = seed);
        }
    }
    all
}

fn remove(p: &mut Program, at: usize) {
    if at >= p.steps.len() {
        return;
    }
    let gone = p.steps.remove(at);
    let instead = gone.picks.first().copied().unwrap_or(0);
    let Habits { outputs, peek, writes, .. } = &mut p.habits;
    let written = writes.iter_mut().map(|(_, value)| value);
    let of = p.steps.iter_mut().flat_map(|s| &mut s.picks).chain(outputs).chain(peek).chain(written);
    of.filter(|pick| **pick == gone.id).for_each(|pick| *pick = instead);
}
