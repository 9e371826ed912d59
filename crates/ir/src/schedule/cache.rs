//! Plans, kept by the graph they were built from.
//!
//! A long program is planned as a whole, which takes its time and makes the best plan. Where each is another one, an episode or a text of
//! another length, they are put together of pieces instead, of which most are known; one that comes again and again all the same is planned
//! as a whole then.

use std::sync::{Arc, Mutex, MutexGuard};

use super::{pieces::Pieces, recent::Recent};
use crate::program::Program;

/// How many plans are kept.
pub const PLANS: usize = 32;
/// Nodes of all of them together: what a plan of a thousand nodes takes is about a megabyte.
const NODES: usize = 1 << 14;
/// Nodes of a long program.
const LONG: usize = 1 << 10;
/// Long programs in a row that were planned as a whole in vain: the next one is another again.
const STRANGERS: u32 = 2;
/// Runs after which a program that was put together of pieces is worth a plan as a whole.
const WORTH: u32 = 8;
/// Dropped plans after which a warning says that the cache thrashes, and again at twice as many.
const THRASHING: u64 = 8;

/// The most recently used plans, and the pieces that long ones were made of.
pub struct PlanCache<P> {
    state: Mutex<State<P>>,
}

struct State<P> {
    plans: Recent<Kept<P>>,
    pieces: Pieces,
    /// Long programs since the last one that came again.
    strangers: u32,
    dropped: u64,
    built: u64,
}

struct Kept<P> {
    plan: Arc<P>,
    /// Of a plan that was put together of pieces, the runs it is still good for.
    runs_left: Option<u32>,
}

impl<P> Kept<P> {
    /// The plan for one more run, unless a better one is worth its time by now.
    fn run(&mut self) -> Option<Arc<P>> {
        if let Some(left) = &mut self.runs_left {
            *left = left.checked_sub(1)?;
        }
        Some(self.plan.clone())
    }
}

impl<P> Default for PlanCache<P> {
    fn default() -> Self {
        let plans = Recent::new(PLANS, NODES);
        let pieces = Pieces::default();
        PlanCache { state: Mutex::new(State { plans, pieces, strangers: 0, dropped: 0, built: 0 }) }
    }
}

impl<P: Send + Sync + 'static> PlanCache<P> {
    /// The plan of this program, built by `build` when it is not there.
    pub fn get_or_build<E>(
        &self,
        program: &Program,
        build: impl FnOnce(&mut Pieces) -> Result<P, E>,
    ) -> Result<Arc<P>, E> {
        if let Some(plan) = program.plan.get() {
            return Ok(plan);
        }
        let mut state = self.state();
        let is_long = program.nodes.len() > LONG;
        let mut is_known = false;
        if let Some(kept) = state.plans.get(&program.key) {
            is_known = true;
            if let Some(plan) = kept.run() {
                if kept.runs_left.is_none() {
                    program.plan.set(&plan);
                    state.strangers = if is_long { 0 } else { state.strangers };
                }
                return Ok(plan);
            }
        }
        let in_pieces = is_long && !is_known && state.strangers >= STRANGERS;
        state.strangers += u32::from(is_long && !is_known);
        state.pieces.cut_longer_than(if in_pieces { LONG } else { usize::MAX });
        let plan = Arc::new(build(&mut state.pieces)?);
        if !in_pieces {
            program.plan.set(&plan);
        }
        state.built += 1;
        let kept = Kept { plan: plan.clone(), runs_left: in_pieces.then_some(WORTH - 1) };
        let dropped = state.plans.insert(program.key.clone(), kept, program.nodes.len());
        let before = state.dropped;
        state.dropped += dropped;
        if (before + 1..=state.dropped).any(|n| n >= THRASHING && n.is_power_of_two()) {
            log::warn!(
                "{} plans were dropped to make room: the graph changes from run to run (other shapes, or host numbers used \
                 as shapes); the latest has {} nodes and {} leaves",
                state.dropped,
                program.nodes.len(),
                program.leaves.len()
            );
        }
        Ok(plan)
    }

    /// Plans built so far.
    pub fn built(&self) -> u64 {
        self.state().built
    }

    /// Nodes of pieces of long programs that were grouped so far.
    pub fn nodes_grouped(&self) -> u64 {
        self.state().pieces.grouped()
    }

    fn state(&self) -> MutexGuard<'_, State<P>> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use smallvec::smallvec;

    use super::*;
    use crate::{
        DType,
        op::Op,
        program::{Draft, Label, Node},
    };

    /// A program of so many nodes.
    fn program(nodes: usize) -> Program {
        let node = |id: usize| Node {
            op: Op::Detach,
            inputs: id.checked_sub(1).into_iter().collect(),
            shape: smallvec![2],
            dtype: DType::F32,
            compute: None,
            label: Label::here("test"),
            source: id,
            slot: None,
        };
        Draft { nodes: (0..nodes).map(node).collect(), ..Draft::default() }.finish().0
    }

    /// Whether a run of a program of so many nodes builds a plan, and whether of pieces.
    fn run(cache: &PlanCache<()>, nodes: usize) -> Option<bool> {
        let mut built = None;
        let plan = cache.get_or_build::<Infallible>(&program(nodes), |pieces| {
            built = Some(pieces.cuts(nodes));
            Ok(())
        });
        assert!(plan.is_ok());
        built
    }

    #[test]
    fn long_programs_are_cut_where_none_comes_again() {
        let cache = PlanCache::default();
        assert_eq!(
            [2000, 2000, 2001, 2001, 2002].map(|n| run(&cache, n)),
            [Some(false), None, Some(false), None, Some(false)]
        );
        // The third stranger in a row.
        assert_eq!([2003, 2004, 2005, 10].map(|n| run(&cache, n)), [Some(false), Some(true), Some(true), Some(false)]);
        // What comes again is planned as a whole in the end, and what is new then with it.
        let again: Vec<_> = (0..9).map(|_| run(&cache, 2005)).collect();
        assert_eq!(again, [&[None; 7][..], &[Some(false), None]].concat());
        assert_eq!(run(&cache, 2006), Some(false));
    }
}
